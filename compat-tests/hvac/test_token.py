"""A token's life, as Python programs see it through hvac."""
import time

import hvac

from live import TransitTest, connect


class Token(TransitTest):
    def child(self):
        created = self.client.auth.token.create(ttl="1h", display_name="child", meta={"team": "a"})
        return connect(created["auth"]["client_token"]), created["auth"]

    def test_create_answers_with_the_whole_auth(self):
        _, auth = self.child()
        self.assertEqual((auth["lease_duration"], auth["renewable"], auth["token_type"]), (3600, True, "service"))
        self.assertEqual(auth["policies"], ["root"])
        self.assertTrue(auth["accessor"] and auth["client_token"].startswith("hvs."))

    def test_lookup_self(self):
        client, auth = self.child()
        found = client.auth.token.lookup_self()["data"]
        self.assertEqual((found["id"], found["accessor"]), (auth["client_token"], auth["accessor"]))
        self.assertEqual((found["display_name"], found["meta"]), ("token-child", {"team": "a"}))
        self.assertTrue(0 < found["ttl"] <= 3600)
        self.assertEqual(found["creation_ttl"], 3600)

    def test_renew_self(self):
        client, _ = self.child()
        self.assertEqual(client.auth.token.renew_self(increment="30m")["auth"]["lease_duration"], 1800)

    def test_revoke_self(self):
        client, _ = self.child()
        self.assertTrue(client.is_authenticated())
        client.auth.token.revoke_self()
        self.assertFalse(client.is_authenticated())

    def test_the_root_token_never_ends(self):
        found = self.client.auth.token.lookup_self()["data"]
        self.assertEqual((found["ttl"], found["expire_time"], found["policies"]), (0, None, ["root"]))

    def test_a_token_ends_with_its_time(self):
        client = connect(self.client.auth.token.create(policies=["default"], ttl="1s")["auth"]["client_token"])
        with self.assertRaisesRegex(hvac.exceptions.Forbidden, "permission denied"):
            while client.auth.token.lookup_self():
                time.sleep(0.1)

    def test_tokens_by_accessor(self):
        _, auth = self.child()
        tokens = self.client.auth.token
        self.assertIn(auth["accessor"], tokens.list_accessors()["data"]["keys"])
        self.assertEqual(tokens.lookup_accessor(auth["accessor"])["data"]["display_name"], "token-child")
        self.assertEqual(tokens.renew_accessor(auth["accessor"], increment="2h")["auth"]["lease_duration"], 7200)
        tokens.revoke_accessor(auth["accessor"])
        with self.assertRaises(hvac.exceptions.Forbidden):
            tokens.lookup(auth["client_token"])

    def test_roles_make_tokens(self):
        tokens, role = self.client.auth.token, self.mount
        tokens.create_or_update_role(role, allowed_policies=["default"], orphan=True, token_period="10m")
        self.assertIn(role, tokens.list_roles()["data"]["keys"])
        self.assertEqual(tokens.read_role(role)["data"]["token_period"], 600)
        auth = tokens.create(role_name=role)["auth"]
        self.assertEqual((auth["lease_duration"], auth["orphan"]), (600, True))
        tokens.delete_role(role)
        with self.assertRaises(hvac.exceptions.InvalidPath):
            tokens.read_role(role)

    def test_an_orphan_outlives_whom_its_parent_was(self):
        parent, auth = self.child()
        kept = parent.auth.token.create(ttl="1h", policies=["default"])["auth"]["client_token"]
        self.client.auth.token.revoke_and_orphan_children(auth["client_token"])
        self.assertTrue(connect(kept).auth.token.lookup_self()["data"]["orphan"])
        self.client.auth.token.revoke(kept)
        self.assertFalse(connect(kept).is_authenticated())

    def test_uses_are_counted(self):
        auth = self.client.auth.token.create(policies=["default"], num_uses=2)["auth"]
        client = connect(auth["client_token"])
        client.auth.token.lookup_self()
        client.auth.token.lookup_self()
        self.assertFalse(client.is_authenticated())

"""Entities, groups and second factors, as Python programs see them through hvac."""
import base64
import hashlib
import hmac
import secrets
import struct
import time
import unittest
import urllib.parse

import hvac

from live import connect


def code(url, periods_away=0):
    """The code that an app shows which has read this URL."""
    query = urllib.parse.parse_qs(urllib.parse.urlparse(url).query)
    secret = query["secret"][0]
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    step = int(time.time()) // int(query["period"][0]) + periods_away
    mac = hmac.new(key, struct.pack(">Q", step), getattr(hashlib, query["algorithm"][0].lower())).digest()
    at = mac[-1] & 15
    digits = int(query["digits"][0])
    return str((struct.unpack(">I", mac[at:at + 4])[0] & 0x7FFFFFFF) % 10 ** digits).zfill(digits)


class IdentityTest(unittest.TestCase):
    """People who log in with a password, at a mount of the class."""

    @classmethod
    def setUpClass(cls):
        cls.client = connect()
        cls.identity = cls.client.secrets.identity
        cls.mount = f"people-{secrets.token_hex(4)}"
        cls.client.sys.enable_auth_method("userpass", path=cls.mount)
        cls.addClassCleanup(cls.client.sys.disable_auth_method, cls.mount)
        methods = cls.client.sys.list_auth_methods()["data"]
        cls.accessor = methods[f"{cls.mount}/"]["accessor"]

    def log_in(self, name):
        self.client.auth.userpass.create_or_update_user(name, "pw", mount_point=self.mount)
        client = connect()
        client.token = None
        return client, client.auth.userpass.login(name, "pw", mount_point=self.mount)["auth"]

    def name(self, noun):
        return f"{noun}-{secrets.token_hex(4)}"


class Entities(IdentityTest):
    def entity(self, **fields):
        name = self.name("entity")
        created = self.identity.create_or_update_entity(name=name, **fields)["data"]
        self.addCleanup(self.identity.delete_entity, created["id"])
        return name, created["id"]

    def test_an_entity_is_made_changed_found_and_deleted(self):
        name, entity = self.entity(metadata={"team": "a"})
        self.identity.update_entity(entity, metadata={"team": "b"}, policies=["p"])
        found = self.identity.read_entity_by_name(name)["data"]
        self.assertEqual((found["id"], found["metadata"], found["policies"]), (entity, {"team": "b"}, ["p"]))
        self.assertIn(entity, self.identity.list_entities()["data"]["keys"])
        self.assertIn(name, self.identity.list_entities_by_name(method="GET")["data"]["keys"])
        self.assertEqual(self.identity.lookup_entity(name=name)["data"]["id"], entity)
        self.identity.delete_entity_by_name(name)
        with self.assertRaises(hvac.exceptions.InvalidPath):
            self.identity.read_entity(entity)
        self.assertEqual(self.identity.lookup_entity(entity_id=entity).status_code, 204)

    def test_an_alias_ties_a_login_to_an_entity(self):
        _, entity = self.entity(policies=["p"])
        alias = self.identity.create_or_update_entity_alias("alice", canonical_id=entity, mount_accessor=self.accessor)
        alias = alias["data"]["id"]
        self.assertEqual(self.identity.read_entity_alias(alias)["data"]["mount_path"], f"auth/{self.mount}/")
        client, auth = self.log_in("alice")
        self.assertEqual((auth["entity_id"], auth["identity_policies"]), (entity, ["p"]))
        self.assertEqual(client.auth.token.lookup_self()["data"]["identity_policies"], ["p"])
        self.identity.update_entity(entity, disabled=True)
        self.assertFalse(client.is_authenticated())
        self.identity.delete_entity_alias(alias)

    def test_entities_are_merged(self):
        _, kept = self.entity(policies=["a"])
        _, ended = self.entity(policies=["b"])
        self.identity.merge_entities(from_entity_ids=[ended], to_entity_id=kept)
        found = self.identity.read_entity(kept)["data"]
        self.assertEqual((found["policies"], found["merged_entity_ids"]), (["a", "b"], [ended]))

    def test_members_of_groups_have_their_policies(self):
        client, auth = self.log_in("bob")
        inner = self.name("inner")
        group = self.identity.create_or_update_group(name=inner, member_entity_ids=[auth["entity_id"]])["data"]["id"]
        self.addCleanup(self.identity.delete_group, group)
        outer = self.identity.create_or_update_group(
            name=self.name("outer"), member_group_ids=[group], policies=["g"])["data"]["id"]
        self.addCleanup(self.identity.delete_group, outer)
        self.assertEqual(client.auth.token.lookup_self()["data"]["identity_policies"], ["g"])
        found = self.identity.read_group_by_name(inner)["data"]
        self.assertEqual((found["type"], found["member_entity_ids"]), ("internal", [auth["entity_id"]]))
        self.assertEqual(found["parent_group_ids"], [outer])
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "cyclic"):
            self.identity.update_group(group, name=inner, member_group_ids=[outer])

    def test_a_group_elsewhere_is_known_by_its_alias(self):
        alias = self.identity.create_or_update_group_alias("devs", mount_accessor=self.accessor)["data"]
        self.addCleanup(self.identity.delete_group, alias["canonical_id"])
        found = self.identity.lookup_group(alias_name="devs", alias_mount_accessor=self.accessor)["data"]
        self.assertEqual((found["id"], found["alias"]["id"]), (alias["canonical_id"], alias["id"]))
        self.assertIn(alias["id"], self.identity.list_group_aliases()["data"]["keys"])


class SecondFactors(IdentityTest):
    def test_a_login_waits_for_its_code(self):
        _, auth = self.log_in("carol")
        # hvac has no calls for second factors.
        method = self.client.write_data("identity/mfa/method/totp", data={"issuer": "hvac"})["data"]["method_id"]
        generate = {"method_id": method, "entity_id": auth["entity_id"]}
        made = self.client.write_data("identity/mfa/method/totp/admin-generate", data=generate)["data"]
        self.assertTrue(base64.b64decode(made["barcode"]).startswith(b"\x89PNG"))
        demand = f"identity/mfa/login-enforcement/{self.name('demand')}"
        self.client.write_data(demand, data={"mfa_method_ids": [method], "identity_entity_ids": [auth["entity_id"]]})
        self.addCleanup(self.client.delete, f"identity/mfa/method/totp/{method}")
        self.addCleanup(self.client.delete, demand)

        client, waiting = self.log_in("carol")
        self.assertEqual(waiting["client_token"], "")
        request = waiting["mfa_requirement"]["mfa_request_id"]
        def validate(passcode):
            data = {"mfa_request_id": request, "mfa_payload": {method: [passcode]}}
            return client.write_data("sys/mfa/validate", data=data)["auth"]

        with self.assertRaisesRegex(hvac.exceptions.Forbidden, "failed to satisfy enforcement"):
            validate("000000")
        client.token = validate(code(made["url"]))["client_token"]
        self.assertTrue(client.is_authenticated())
        self.assertEqual(client.auth.token.lookup_self()["data"]["entity_id"], auth["entity_id"])

        client.adapter.session.headers["X-Vault-MFA"] = f"{method}:{code(made['url'], 1)}"
        again = client.auth.userpass.login("carol", "pw", mount_point=self.mount)["auth"]
        self.assertTrue(again["client_token"].startswith("hvs."))

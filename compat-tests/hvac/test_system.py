"""The server's state, its mounts and a token's life, as Python programs see them through hvac."""
import hvac

from live import TransitTest, connect


class State(TransitTest):
    def test_health(self):
        health = self.client.sys.read_health_status(method="GET")
        self.assertEqual((health["initialized"], health["sealed"], health["standby"]), (True, False, False))
        self.assertRegex(health["version"], r"^\d+\.\d+\.\d+")
        self.assertEqual(self.client.sys.read_health_status().status_code, 200)

    def test_seal_status(self):
        status = self.client.seal_status
        self.assertEqual((status["initialized"], status["sealed"]), (True, False))
        self.assertFalse(self.client.sys.is_sealed())

    def test_leader(self):
        self.assertIn("ha_enabled", self.client.ha_status)

    def test_the_mount_is_listed_until_it_is_disabled(self):
        mounts = self.client.sys.list_mounted_secrets_engines()
        self.assertEqual(mounts["data"][f"{self.mount}/"]["type"], "transit")
        path = self.mount + "-gone"
        self.client.sys.enable_secrets_engine("transit", path=path)
        self.client.sys.disable_secrets_engine(path)
        self.assertNotIn(f"{path}/", self.client.sys.list_mounted_secrets_engines()["data"])

    def test_a_mount_is_tuned(self):
        self.client.sys.tune_mount_configuration(self.mount, default_lease_ttl=3600, max_lease_ttl=7200)
        tuned = self.client.sys.read_mount_configuration(self.mount)["data"]
        self.assertEqual((tuned["default_lease_ttl"], tuned["max_lease_ttl"]), (3600, 7200))

    def test_a_path_is_mounted_once(self):
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "path is already in use"):
            self.client.sys.enable_secrets_engine("transit", path=self.mount)


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

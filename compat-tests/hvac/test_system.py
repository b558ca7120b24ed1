"""The server's state and its mounts, as Python programs see them through hvac."""
import hvac

from live import TransitTest


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

    def test_a_mount_is_moved(self):
        path = self.mount + "-old"
        self.client.sys.enable_secrets_engine("kv", path=path, options={"version": "1"})
        self.client.secrets.kv.v1.create_or_update_secret("a", {"a": 1}, mount_point=path)
        self.client.sys.move_backend(path, self.mount + "-new")
        read = self.client.secrets.kv.v1.read_secret("a", mount_point=self.mount + "-new")
        self.assertEqual(read["data"], {"a": 1})

    def test_login_methods(self):
        path = self.mount + "-people"
        self.client.sys.enable_auth_method("userpass", path=path, description="of a test")
        self.client.sys.tune_auth_method(path, max_lease_ttl=3600)
        self.assertEqual(self.client.sys.read_auth_method_tuning(path)["data"]["max_lease_ttl"], 3600)
        self.assertEqual(self.client.sys.list_auth_methods()["data"][f"{path}/"]["description"], "of a test")
        self.client.sys.disable_auth_method(path)
        self.assertNotIn(f"{path}/", self.client.sys.list_auth_methods()["data"])

    def test_audit_devices(self):
        path = self.mount + "-audit"
        self.client.sys.enable_audit_device("file", path=path, options={"file_path": "discard"})
        self.assertEqual(self.client.sys.list_enabled_audit_devices()["data"][f"{path}/"]["type"], "file")
        hashed = self.client.sys.calculate_hash(path, "hello")["data"]["hash"]
        self.assertTrue(hashed.startswith("hmac-sha256:"))
        self.client.sys.disable_audit_device(path)

    def test_it_is_initialised(self):
        self.assertTrue(self.client.sys.is_initialized())
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "already initialized"):
            self.client.sys.initialize()

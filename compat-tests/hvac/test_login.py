"""Logins with names and passwords, and with role IDs and secret IDs, as Python programs do them through hvac."""
import secrets
import unittest

import hvac

from live import connect


class LoginTest(unittest.TestCase):
    """A login method of its own for each class."""
    method = None

    @classmethod
    def setUpClass(cls):
        if cls.method is None:
            raise unittest.SkipTest("has no method of its own")
        cls.client = connect()
        cls.mount = f"{cls.method}-{secrets.token_hex(4)}"
        cls.client.sys.enable_auth_method(cls.method, path=cls.mount)
        cls.addClassCleanup(cls.client.sys.disable_auth_method, cls.mount)

    def stranger(self):
        client = connect()
        client.token = None
        return client


class Userpass(LoginTest):
    method = "userpass"

    def users(self, call, *args, **kwargs):
        return getattr(self.client.auth.userpass, call)(*args, mount_point=self.mount, **kwargs)

    def test_a_user_is_made_listed_changed_and_deleted(self):
        self.users("create_or_update_user", "alice", "secret1", policies="a,b")
        self.assertIn("alice", self.users("list_user")["data"]["keys"])
        self.assertEqual(self.users("read_user", "alice")["data"]["token_policies"], ["a", "b"])
        self.users("update_password_on_user", "alice", "secret2")
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "invalid username or password"):
            self.stranger().auth.userpass.login("alice", "secret1", mount_point=self.mount)
        self.stranger().auth.userpass.login("alice", "secret2", mount_point=self.mount)
        self.users("delete_user", "alice")
        with self.assertRaises(hvac.exceptions.InvalidPath):
            self.users("read_user", "alice")

    def test_a_login_makes_a_token_that_works(self):
        self.users("create_or_update_user", "bob", "secret1", policies=["default"])
        client = self.stranger()
        auth = client.auth.userpass.login("bob", "secret1", mount_point=self.mount)["auth"]
        self.assertEqual((auth["metadata"], auth["policies"], auth["orphan"]), ({"username": "bob"}, ["default"], True))
        self.assertTrue(client.is_authenticated())
        self.assertEqual(client.auth.token.lookup_self()["data"]["display_name"], f"{self.mount}-bob")


class AppRole(LoginTest):
    method = "approle"

    def roles(self, call, *args, **kwargs):
        return getattr(self.client.auth.approle, call)(*args, mount_point=self.mount, **kwargs)

    def test_a_role_is_made_read_listed_and_deleted(self):
        self.roles("create_or_update_approle", "web", token_policies=["a"], token_ttl="10m", secret_id_num_uses=3)
        role = self.roles("read_role", "web")["data"]
        self.assertEqual((role["token_policies"], role["token_ttl"], role["secret_id_num_uses"]), (["a"], 600, 3))
        self.assertIn("web", self.roles("list_roles")["data"]["keys"])
        self.roles("update_role_id", "web", f"web-{self.mount}")
        self.assertEqual(self.roles("read_role_id", "web")["data"]["role_id"], f"web-{self.mount}")
        self.roles("delete_role", "web")
        with self.assertRaises(hvac.exceptions.InvalidPath):
            self.roles("read_role", "web")

    def test_a_login_with_a_secret_id_that_has_metadata(self):
        self.roles("create_or_update_approle", "app", token_policies=["default"])
        role_id = self.roles("read_role_id", "app")["data"]["role_id"]
        made = self.roles("generate_secret_id", "app", metadata={"k": "v"}, cidr_list=["127.0.0.0/8"])["data"]
        client = self.stranger()
        auth = client.auth.approle.login(role_id, made["secret_id"], mount_point=self.mount)["auth"]
        self.assertEqual(auth["metadata"], {"role_name": "app", "k": "v"})
        self.assertTrue(client.is_authenticated())
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "invalid role or secret ID"):
            self.stranger().auth.approle.login(role_id, "wrong", mount_point=self.mount)

    def test_secret_ids_are_looked_up_listed_and_destroyed(self):
        self.roles("create_or_update_approle", "many")
        made = [self.roles("generate_secret_id", "many")["data"] for _ in range(2)]
        self.roles("create_custom_secret_id", "many", f"own-{self.mount}")
        self.assertEqual(len(self.roles("list_secret_id_accessors", "many")["data"]["keys"]), 3)
        found = self.roles("read_secret_id", "many", made[0]["secret_id"])["data"]
        self.assertEqual(found["secret_id_accessor"], made[0]["secret_id_accessor"])
        by_accessor = self.roles("read_secret_id_accessor", "many", made[0]["secret_id_accessor"])["data"]
        self.assertEqual(by_accessor, found)
        self.roles("destroy_secret_id", "many", made[0]["secret_id"])
        self.roles("destroy_secret_id_accessor", "many", made[1]["secret_id_accessor"])
        self.assertEqual(len(self.roles("list_secret_id_accessors", "many")["data"]["keys"]), 1)

    def test_a_wrapped_secret_id_is_told_once(self):
        self.roles("create_or_update_approle", "wrapped")
        role_id = self.roles("read_role_id", "wrapped")["data"]["role_id"]
        wrapped = self.roles("generate_secret_id", "wrapped", wrap_ttl="60s")["wrap_info"]["token"]
        secret_id = self.client.sys.unwrap(wrapped)["data"]["secret_id"]
        self.stranger().auth.approle.login(role_id, secret_id, mount_point=self.mount)
        with self.assertRaises(hvac.exceptions.InvalidRequest):
            self.client.sys.unwrap(wrapped)

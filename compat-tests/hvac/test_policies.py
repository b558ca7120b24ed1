"""Who may do what, through hvac."""
import hvac

from live import MountTest, connect


class Policies(MountTest):
    engine, options = "kv", {"version": "1"}

    def test_a_policy_is_written_read_listed_and_deleted(self):
        for policy in ['path "secret/*" { capabilities = ["read"] }', {"path": {"secret/*": {"policy": "read"}}}]:
            self.client.sys.create_or_update_policy(self.mount, policy)
            self.assertIn(self.mount, self.client.sys.list_policies()["data"]["policies"])
            self.assertIn("secret/*", self.client.sys.read_policy(self.mount)["data"]["rules"])
            self.client.sys.delete_policy(self.mount)
            with self.assertRaises(hvac.exceptions.InvalidPath):
                self.client.sys.read_policy(self.mount)

    def test_an_acl_policy_has_a_name_and_a_text(self):
        text = 'path "secret/*" { capabilities = ["read"] }'
        self.client.sys.create_or_update_acl_policy(self.mount, text)
        told = self.client.sys.read_acl_policy(self.mount)["data"]
        self.assertEqual(told, {"name": self.mount, "policy": text})
        self.assertIn(self.mount, self.client.sys.list_acl_policies()["data"]["keys"])
        self.client.sys.delete_acl_policy(self.mount)

    def test_a_policy_allows_what_it_says_and_no_more(self):
        self.client.sys.create_or_update_acl_policy("some", f'path "{self.mount}/*" {{ capabilities = ["create"] }}')
        auth = self.client.auth.token.create(policies=["some"], no_default_policy=True)["auth"]
        client = connect(auth["client_token"])
        client.write_data(f"{self.mount}/a", data={"a": 1})
        with self.assertRaisesRegex(hvac.exceptions.Forbidden, "permission denied"):
            client.write_data(f"{self.mount}/a", data={"a": 2})
        told = self.client.sys.get_capabilities([f"{self.mount}/a"], token=auth["client_token"])["data"]
        self.assertEqual(told["capabilities"], ["create"])

    def test_a_policy_that_cannot_be_read_is_refused(self):
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "failed to parse policy"):
            self.client.sys.create_or_update_acl_policy(self.mount, "path {")

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

    def test_who_is_refused_may_ask_why(self):
        self.client.sys.create_or_update_acl_policy("asks", 'path "sys/policies/explain-self" { capabilities = ["update"] }')
        client = connect(self.client.auth.token.create(policies=["asks"], no_default_policy=True)["auth"]["client_token"])
        question = {"path": f"{self.mount}/a", "operation": "read"}
        told = client.write_data("sys/policies/explain-self", data=question)["data"]
        self.assertFalse(told["allowed"])
        self.assertIn(f"{self.mount}/a", told["smallest_policy"])
        self.client.sys.create_or_update_acl_policy("asks-and-reads", told["smallest_policy"])
        self.client.sys.create_or_update_acl_policy(
            "asks", 'path "sys/policies/explain-self" { capabilities = ["update"] }\n' + told["smallest_policy"])
        self.assertTrue(client.write_data("sys/policies/explain-self", data=question)["data"]["allowed"])

    def test_refusals_can_explain_themselves(self):
        client = connect(self.client.auth.token.create(policies=["default"])["auth"]["client_token"])
        with self.assertRaises(hvac.exceptions.Forbidden) as plain:
            client.read(f"{self.mount}/a")
        self.addCleanup(self.client.write_data, "sys/config/explain", data={"enabled": False})
        self.client.write_data("sys/config/explain", data={"enabled": True})
        self.assertTrue(self.client.read("sys/config/explain")["data"]["enabled"])
        with self.assertRaises(hvac.exceptions.Forbidden) as explained:
            client.read(f"{self.mount}/a")
        self.assertGreater(len(explained.exception.text), len(plain.exception.text))

    def test_a_policy_needs_a_name(self):
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "'name' parameter not supplied"):
            self.client.write_data("sys/policies/acl", data={"policy": "path \"a\" {}"})

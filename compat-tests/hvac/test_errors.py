"""What hvac raises: an exception for each status, with the texts of the server."""
import hvac

from live import MountTest, connect


class Errors(MountTest):
    engine, options = "kv", {"version": "1"}

    def check(self, error, errors, call, *args, **kwargs):
        with self.assertRaises(error) as raised:
            call(*args, **kwargs)
        self.assertEqual(raised.exception.errors, errors)

    def test_400(self):
        self.check(hvac.exceptions.InvalidRequest, ["missing data fields"],
                   self.client.write_data, f"{self.mount}/a", data={})

    def test_403(self):
        stranger = connect("hvs.none")
        self.check(hvac.exceptions.Forbidden, ["permission denied"], stranger.write_data, f"{self.mount}/a", data={"a": 1})

    def test_404(self):
        self.check(hvac.exceptions.InvalidPath, [], self.client.secrets.kv.v1.read_secret, "none", mount_point=self.mount)
        self.check(hvac.exceptions.InvalidPath, ['no handler for route "nowhere/a". route entry not found.'],
                   self.client.write_data, "nowhere/a", data={"a": 1})

    def test_405(self):
        self.check(hvac.exceptions.UnexpectedError, [], self.client.adapter.post, "/v1/sys/seal-status")

    def test_a_header_that_cannot_be_is_refused(self):
        with self.assertRaises(Exception):
            connect("hvs.\x01").lookup_token()


class VersionsMistaken(MountTest):
    """A client for KV without versions, on a mount that has them: it is told so, and how it is done."""
    engine, options = "kv", {"version": "2"}

    def told(self, method, path, body=None):
        headers = {"Content-Type": "application/merge-patch+json"} if method == "patch" else {}
        with self.assertRaises(hvac.exceptions.InvalidPath) as raised:
            self.client.adapter.request(method, f"/v1/{self.mount}/{path}", json=body, headers=headers)
        return raised.exception.text

    def test_each_operation_is_answered_with_advice(self):
        for method, advice in [("get", "get"), ("list", "list"), ("delete", "delete")]:
            self.assertIn(f"use 'vault kv {advice}'", self.told(method, "app"))
        self.assertIn("use 'vault kv put'", self.told("post", "app", {"a": 1}))
        self.assertIn("Invalid path for a versioned K/V", self.told("patch", "app", {"a": 1}))

    def test_the_root_of_what_has_versions_is_no_secret(self):
        for method in ["get", "delete"]:
            self.assertIn("Non-listing operations on the root", self.told(method, "data"))
        self.assertIn("Non-listing operations on the root", self.told("patch", "data", {"a": 1}))
        self.assertIn("Invalid path for a versioned K/V", self.told("list", "data"))


class OfAnEnterprise(MountTest):
    """What only Vault Enterprise has is answered as by a Vault that is none."""
    engine, options = "kv", {"version": "1"}

    def refused(self, call, *args, **kwargs):
        with self.assertRaisesRegex(hvac.exceptions.InvalidPath, "enterprise-only feature"):
            call(*args, **kwargs)

    def test_namespaces(self):
        self.refused(self.client.sys.create_namespace, "team")
        self.refused(self.client.sys.list_namespaces)
        self.refused(self.client.sys.delete_namespace, "team")
        self.refused(self.client.adapter.get, "/v1/sys/namespaces/team")
        self.refused(self.client.adapter.get, "/v1/sys/namespaces")
        patch = {"headers": {"Content-Type": "application/merge-patch+json"}, "json": {}}
        self.refused(self.client.adapter.request, "patch", "/v1/sys/namespaces/team", **patch)
        self.refused(self.client.write_data, "sys/config/group-policy-application", data={"a": 1})

"""Secrets with versions, through hvac."""
import hvac

from live import MountTest


class Kv2(MountTest):
    engine, options = "kv", {"version": "2"}

    def kv(self, call, *args, **kwargs):
        return getattr(self.client.secrets.kv.v2, call)(*args, mount_point=self.mount, **kwargs)

    def read(self, path, **kwargs):
        return self.kv("read_secret_version", path, raise_on_deleted_version=True, **kwargs)["data"]

    def test_versions_are_written_and_read(self):
        for n in range(3):
            made = self.kv("create_or_update_secret", "app", {"n": n})["data"]
            self.assertEqual(made["version"], n + 1)
        self.assertEqual(self.read("app")["data"], {"n": 2})
        self.assertEqual(self.read("app", version=1)["data"], {"n": 0})

    def test_check_and_set(self):
        self.kv("create_or_update_secret", "cas", {"a": 1}, cas=0)
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "did not match the current version"):
            self.kv("create_or_update_secret", "cas", {"a": 2}, cas=0)
        self.kv("update_metadata", "cas", cas_required=True)
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "check-and-set parameter required"):
            self.kv("create_or_update_secret", "cas", {"a": 2})

    def test_a_patch_changes_some_of_it(self):
        self.kv("create_or_update_secret", "patched", {"keep": 1, "change": 1})
        self.kv("patch", "patched", {"change": 2})
        self.assertEqual(self.read("patched")["data"], {"keep": 1, "change": 2})
        with self.assertRaises(hvac.exceptions.InvalidPath):
            self.kv("patch", "none", {"a": 1})

    def test_versions_are_deleted_undeleted_and_destroyed(self):
        for n in range(2):
            self.kv("create_or_update_secret", "gone", {"n": n})
        self.kv("delete_latest_version_of_secret", "gone")
        with self.assertRaises(hvac.exceptions.InvalidPath):
            self.read("gone")
        told = self.kv("read_secret_version", "gone", raise_on_deleted_version=False)["data"]["metadata"]
        self.assertNotEqual(told["deletion_time"], "")
        self.kv("undelete_secret_versions", "gone", [2])
        self.kv("delete_secret_versions", "gone", [1])
        self.kv("destroy_secret_versions", "gone", [1])
        versions = self.kv("read_secret_metadata", "gone")["data"]["versions"]
        self.assertEqual((versions["1"]["destroyed"], versions["2"]["deletion_time"]), (True, ""))

    def test_metadata(self):
        self.kv("create_or_update_secret", "folder/one", {"a": 1})
        self.kv("update_metadata", "folder/one", max_versions=3, delete_version_after="2h", custom_metadata={"o": "t"})
        told = self.kv("read_secret_metadata", "folder/one")["data"]
        self.assertEqual((told["max_versions"], told["delete_version_after"], told["custom_metadata"]),
                         (3, "2h0m0s", {"o": "t"}))
        self.assertEqual(self.kv("list_secrets", "folder")["data"]["keys"], ["one"])
        self.kv("delete_metadata_and_all_versions", "folder/one")
        with self.assertRaises(hvac.exceptions.InvalidPath):
            self.kv("list_secrets", "folder")

    def test_configuration(self):
        self.kv("configure", max_versions=5, delete_version_after="3h")
        told = self.kv("read_configuration")["data"]
        self.assertEqual((told["max_versions"], told["delete_version_after"]), (5, "3h0m0s"))
        self.kv("configure", max_versions=0, delete_version_after="0s")

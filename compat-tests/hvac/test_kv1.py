"""Secrets without versions, through hvac."""
import hvac

from live import MountTest


class Kv1(MountTest):
    engine, options = "kv", {"version": "1"}

    def kv(self, call, *args, **kwargs):
        return getattr(self.client.secrets.kv.v1, call)(*args, mount_point=self.mount, **kwargs)

    def test_a_secret_is_written_read_listed_and_deleted(self):
        secret = {"user": "shop", "port": 5432, "deep": {"a": [1, None, True]}}
        self.kv("create_or_update_secret", "app/db", secret)
        self.assertEqual(self.kv("read_secret", "app/db")["data"], secret)
        self.assertEqual(self.kv("list_secrets", "app")["data"]["keys"], ["db"])
        self.kv("delete_secret", "app/db")
        with self.assertRaises(hvac.exceptions.InvalidPath):
            self.kv("read_secret", "app/db")

    def test_a_secret_says_how_long_it_holds(self):
        self.kv("create_or_update_secret", "leased", {"ttl": "90s", "a": 1})
        self.assertEqual(self.kv("read_secret", "leased")["lease_duration"], 90)

    def test_names_may_be_odd(self):
        for name in ["a b", "100%", "\u00fc", "http:/test.com", "['x']"]:
            with self.subTest(name):
                self.kv("create_or_update_secret", f"odd/{name}", {"name": name})
                self.assertEqual(self.kv("read_secret", f"odd/{name}")["data"], {"name": name})

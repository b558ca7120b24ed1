"""Answers that only one can open, once, through hvac."""
import hvac

from live import MountTest, connect


class Wrapping(MountTest):
    engine, options = "kv", {"version": "1"}

    def test_what_is_wrapped_is_opened_once(self):
        wrapped = self.client.sys.wrap({"secret": "s"}, ttl=60)["wrap_info"]
        self.assertEqual((wrapped["ttl"], wrapped["creation_path"]), (60, "sys/wrapping/wrap"))
        self.assertEqual(self.client.sys.unwrap(wrapped["token"])["data"], {"secret": "s"})
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "not valid or does not exist"):
            self.client.sys.unwrap(wrapped["token"])

    def test_an_answer_is_opened_with_its_own_token(self):
        self.client.write_data(f"{self.mount}/a", data={"a": "1"})
        wrapped = self.client.read(f"{self.mount}/a", wrap_ttl="60s")["wrap_info"]
        self.assertEqual(connect(wrapped["token"]).sys.unwrap()["data"], {"a": "1"})

    def test_what_is_wrapped_is_wrapped_anew(self):
        wrapped = self.client.sys.wrap({"a": "1"}, ttl=120)["wrap_info"]["token"]
        lookup = self.client.write_data("sys/wrapping/lookup", data={"token": wrapped})["data"]
        self.assertEqual(lookup["creation_ttl"], 120)
        again = self.client.write_data("sys/wrapping/rewrap", data={"token": wrapped})["wrap_info"]["token"]
        self.assertEqual(self.client.sys.unwrap(again)["data"], {"a": "1"})

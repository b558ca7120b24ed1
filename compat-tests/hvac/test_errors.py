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

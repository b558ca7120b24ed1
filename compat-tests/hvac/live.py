"""Runs the tests beside it; gives each class a client of the suite's server and a transit mount of its own."""
import base64
import os
import secrets
import sys
import unittest

import hvac
from hvac.constants.transit import ALLOWED_KEY_TYPES


def connect(token=None):
    return hvac.Client(url=os.environ["VAULT_ADDR"], token=token or os.environ["VAULT_TOKEN"])


def b64(data):
    return base64.b64encode(data).decode()


class TransitTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = connect()
        cls.mount = f"hvac-{secrets.token_hex(4)}"
        cls.client.sys.enable_secrets_engine("transit", path=cls.mount)
        cls.addClassCleanup(cls.client.sys.disable_secrets_engine, cls.mount)

    def transit(self, call, *args, **kwargs):
        """Call a method of hvac's transit client on this class's mount; return the data of the answer."""
        answer = getattr(self.client.secrets.transit, call)(*args, mount_point=self.mount, **kwargs)
        return answer["data"] if isinstance(answer, dict) else answer

    def new_key(self, key_type="aes256-gcm96", **options):
        name = f"key-{secrets.token_hex(4)}"
        if key_type in ALLOWED_KEY_TYPES:
            self.transit("create_key", name, key_type=key_type, **options)
        else:                       # hvac refuses by itself what it does not know
            self.client.write_data(f"{self.mount}/keys/{name}", data={"type": key_type, **options})
        return name


def main():
    tests = unittest.defaultTestLoader.discover(os.path.dirname(os.path.abspath(__file__)))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(tests)
    failed, skipped = len(result.failures) + len(result.errors), len(result.skipped)
    print(f"{max(0, result.testsRun - failed - skipped)} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs the tests beside it; gives each class a client of the suite's server and a transit mount of its own."""
import base64
import importlib.metadata
import os
import secrets
import sys
import unittest

import hvac
from hvac.constants.transit import ALLOWED_KEY_TYPES

from report import Report


def connect(token=None):
    return hvac.Client(url=os.environ["VAULT_ADDR"], token=token or os.environ["VAULT_TOKEN"])


def b64(data):
    return base64.b64encode(data).decode()


class MountTest(unittest.TestCase):
    """A mount of its own for each class."""
    engine, options = None, None

    @classmethod
    def setUpClass(cls):
        cls.client = connect()
        cls.mount = f"hvac-{secrets.token_hex(4)}"
        cls.client.sys.enable_secrets_engine(cls.engine, path=cls.mount, options=cls.options)
        cls.addClassCleanup(cls.client.sys.disable_secrets_engine, cls.mount)


class TransitTest(MountTest):
    engine = "transit"

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
    print(f"client hvac {importlib.metadata.version('hvac')}", flush=True)
    report = Report()
    unittest.defaultTestLoader.discover(os.path.dirname(os.path.abspath(__file__))).run(report)
    return 0 if report.wasSuccessful() and report.testsRun else 1


if __name__ == "__main__":
    sys.exit(main())

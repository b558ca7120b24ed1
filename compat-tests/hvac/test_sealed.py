"""A server that has its keys to itself no more, through hvac."""
import os
import unittest

import hvac


class Sealed(unittest.TestCase):
    client = hvac.Client(url=os.environ["COMPAT_SEALED_ADDR"], token=os.environ["VAULT_TOKEN"])

    def test_503_is_told(self):
        with self.assertRaisesRegex(hvac.exceptions.VaultDown, "Vault is sealed"):
            self.client.secrets.kv.v2.read_secret_metadata("a")

    def test_it_says_of_itself_that_it_is_sealed(self):
        self.assertTrue(self.client.sys.is_sealed())
        self.assertEqual(self.client.sys.read_health_status().status_code, 503)

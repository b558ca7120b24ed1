"""A server that is known by an authority of its own, through hvac."""
import os
import unittest

import hvac
import requests


class Tls(unittest.TestCase):
    def client(self, **options):
        return hvac.Client(url=os.environ["COMPAT_TLS_ADDR"], token=os.environ["VAULT_TOKEN"], **options)

    def test_with_the_authority_it_is_trusted(self):
        self.assertTrue(self.client(verify=os.environ["COMPAT_TLS_CACERT"]).is_authenticated())

    def test_without_it_it_is_not(self):
        with self.assertRaises(requests.exceptions.SSLError):
            self.client().is_authenticated()

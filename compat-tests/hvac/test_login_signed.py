"""Logins with tokens that others sign, and the methods' configuration, as Python programs see them through hvac."""
import base64
import contextlib
import http.server
import json
import os
import secrets
import subprocess
import tempfile
import threading
import time
import unittest

import hvac

from live import connect


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, **options).stdout


class Signer:
    """An issuer's key; OpenSSL has it."""

    def __init__(self, folder):
        self.key = os.path.join(folder, "key.pem")
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key)
        self.public = openssl("pkey", "-in", self.key, "-pubout").decode()

    def certificate(self, name):
        return openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", "2").decode()

    def token(self, **claims):
        def text(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        claims = {"iat": int(time.time()), "exp": int(time.time()) + 600, **claims}
        signed = ".".join(text(json.dumps(part).encode()) for part in ({"alg": "RS256"}, claims))
        return f"{signed}.{text(openssl('dgst', '-sha256', '-sign', self.key, input=signed.encode()))}"


@contextlib.contextmanager
def serving(answer):
    """A server that answers every request by a function of its body; the URL of it, and what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body))
            text = json.dumps(answer(body)).encode()
            self.send_response(201)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


class SignedLogin:
    """What the methods below have in common: a mount for each test, and an issuer for all of them."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.signer = Signer(folder.name)

    def setUp(self):
        self.client = connect()
        self.mount = f"{self.kind}-{secrets.token_hex(4)}"
        self.client.sys.enable_auth_method(self.kind, path=self.mount)
        self.addCleanup(connect().sys.disable_auth_method, self.mount)


class Jwt(SignedLogin, unittest.TestCase):
    kind = "jwt"

    def configured(self, **role):
        self.jwt = self.client.auth.jwt
        self.jwt.configure(jwt_validation_pubkeys=[self.signer.public], bound_issuer="me", path=self.mount)
        role = {"user_claim": "sub", "bound_audiences": ["coffer"], "token_policies": ["p"], "token_ttl": 600, **role}
        self.jwt.create_role("r", allowed_redirect_uris=[], path=self.mount, **role)

    def token(self, **claims):
        return self.signer.token(**{"iss": "me", "sub": "alice", "aud": "coffer", **claims})

    def test_configuration(self):
        self.configured()
        config = self.jwt.read_config(path=self.mount)["data"]
        self.assertEqual((config["jwt_validation_pubkeys"], config["bound_issuer"]), ([self.signer.public.strip()], "me"))

    def test_roles(self):
        self.configured(bound_claims={"team": ["a", "b"]}, claim_mappings={"mail": "email"}, clock_skew_leeway=10)
        role = self.jwt.read_role("r", path=self.mount)["data"]
        self.assertEqual((role["role_type"], role["bound_audiences"]), ("jwt", ["coffer"]))
        self.assertEqual((role["bound_claims"], role["clock_skew_leeway"]), ({"team": ["a", "b"]}, 10))
        self.assertEqual((role["token_ttl"], role["token_policies"]), (600, ["p"]))
        self.assertEqual(self.jwt.list_roles(path=self.mount)["data"]["keys"], ["r"])
        self.jwt.delete_role("r", path=self.mount)
        with self.assertRaises(hvac.exceptions.InvalidPath):
            self.jwt.read_role("r", path=self.mount)

    def test_login(self):
        self.configured(claim_mappings={"mail": "email"})
        auth = self.jwt.jwt_login("r", self.token(mail="a@b.c"), path=self.mount)["auth"]
        self.assertEqual(auth["metadata"], {"email": "a@b.c", "role": "r"})
        self.assertEqual((auth["lease_duration"], auth["token_policies"]), (600, ["default", "p"]))
        self.assertEqual(self.client.token, auth["client_token"])
        self.assertEqual(self.client.auth.token.lookup_self()["data"]["display_name"], f"{self.mount}-alice")

    def test_refusals(self):
        self.configured()
        for claims, text in [
            ({"aud": "other"}, "audience claim does not match"),
            ({"iss": "you"}, "invalid issuer"),
            ({"exp": 1}, "token is expired"),
            ({"sub": None}, "not found in token"),
        ]:
            with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, text):
                self.jwt.jwt_login("r", self.token(**claims), path=self.mount)
        forged = self.token()[:-8] + "AAAAAAAA"
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "error verifying token signature"):
            self.jwt.jwt_login("r", forged, path=self.mount)

    def test_a_role_needs_a_bound(self):
        self.configured()
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "at least one bound constraint"):
            self.jwt.create_role("x", user_claim="sub", allowed_redirect_uris=[], path=self.mount)


class Kubernetes(SignedLogin, unittest.TestCase):
    kind = "kubernetes"

    def test_configuration(self):
        kubernetes = self.client.auth.kubernetes
        certificate = self.signer.certificate("cluster")
        kubernetes.configure("https://127.0.0.1:6443", kubernetes_ca_cert=certificate, pem_keys=[certificate],
                             mount_point=self.mount)
        config = kubernetes.read_config(mount_point=self.mount)
        self.assertEqual((config["kubernetes_host"], config["kubernetes_ca_cert"]),
                         ("https://127.0.0.1:6443", certificate))
        self.assertTrue(config["disable_iss_validation"])

    def test_roles(self):
        kubernetes = self.client.auth.kubernetes
        kubernetes.create_role("r", ["a", "b"], "*", ttl="1h", policies=["p"], mount_point=self.mount)
        role = kubernetes.read_role("r", mount_point=self.mount)
        self.assertEqual((role["bound_service_account_names"], role["bound_service_account_namespaces"]),
                         (["a", "b"], ["*"]))
        self.assertEqual((role["token_ttl"], role["token_policies"]), (3600, ["p"]))
        self.assertEqual(kubernetes.list_roles(mount_point=self.mount)["keys"], ["r"])
        kubernetes.delete_role("r", mount_point=self.mount)
        with self.assertRaises(hvac.exceptions.InvalidPath):
            kubernetes.read_role("r", mount_point=self.mount)

    def test_login(self):
        kubernetes = self.client.auth.kubernetes
        account = {"namespace": "prod", "serviceaccount": {"name": "app", "uid": "u"}}
        token = self.signer.token(**{"kubernetes.io": account})

        def review(question):
            user = {"username": "system:serviceaccount:prod:app", "uid": "u"}
            return {"status": {"authenticated": question["spec"]["token"] == token, "user": user}}

        kubernetes.create_role("r", "app", "prod", policies=["p"], mount_point=self.mount)
        with serving(review) as (url, asked):
            kubernetes.configure(url, mount_point=self.mount)
            auth = kubernetes.login("r", token, mount_point=self.mount)["auth"]
            self.assertEqual(auth["metadata"]["service_account_name"], "app")
            self.assertEqual(auth["token_policies"], ["default", "p"])
            path, bearer, _ = asked[0]
            self.assertEqual((path, bearer), ("/apis/authentication.k8s.io/v1/tokenreviews", f"Bearer {token}"))
            other = self.signer.token(**{"kubernetes.io": account, "jti": "another"})
            with self.assertRaises(hvac.exceptions.Forbidden):
                kubernetes.login("r", other, mount_point=self.mount)


class Cert(SignedLogin, unittest.TestCase):
    kind = "cert"

    def test_roles(self):
        cert = self.client.auth.cert
        certificate = self.signer.certificate("authority")
        cert.create_ca_certificate_role("r", certificate=certificate, allowed_common_names="a,b", token_ttl=60,
                                        token_policies=["p"], mount_point=self.mount)
        role = cert.read_ca_certificate_role("r", mount_point=self.mount)["data"]
        self.assertEqual((role["certificate"], role["allowed_common_names"]), (certificate, ["a", "b"]))
        self.assertEqual((role["token_ttl"], role["token_policies"], role["display_name"]), (60, ["p"], "r"))
        self.assertEqual(cert.list_certificate_roles(mount_point=self.mount)["data"]["keys"], ["r"])
        cert.configure_tls_certificate(mount_point=self.mount, disable_binding=True)
        cert.delete_certificate_role("r", mount_point=self.mount)
        with self.assertRaises(hvac.exceptions.InvalidPath):
            cert.read_ca_certificate_role("r", mount_point=self.mount)

    def test_login_needs_tls(self):
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "tls connection required"):
            self.client.write_data(f"auth/{self.mount}/login", data={})

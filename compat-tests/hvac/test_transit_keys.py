"""Keys that sign, and keys that come from elsewhere, through hvac."""
import base64
import secrets

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from live import TransitTest, b64

HELLO, OTHER = b64(b"hello"), b64(b"other")


class Signatures(TransitTest):
    def test_every_type_signs_what_it_verifies(self):
        for kind in ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096"]:
            with self.subTest(kind):
                name = self.new_key(key_type=kind)
                signature = self.transit("sign_data", name, hash_input=HELLO)["signature"]
                check = lambda text: self.transit("verify_signed_data", name, hash_input=text, signature=signature)["valid"]
                self.assertEqual((check(HELLO), check(OTHER)), (True, False))

    def test_rsa_pads_as_asked(self):
        name = self.new_key(key_type="rsa-2048")
        for algorithm in ["pss", "pkcs1v15"]:
            options = {"signature_algorithm": algorithm, "hash_algorithm": "sha2-512"}
            signature = self.transit("sign_data", name, hash_input=HELLO, **options)["signature"]
            self.assertTrue(self.transit("verify_signed_data", name, hash_input=HELLO, signature=signature, **options)["valid"])

    def test_another_program_verifies_with_the_public_key(self):
        name = self.new_key(key_type="ecdsa-p256")
        signature = self.transit("sign_data", name, hash_input=HELLO)["signature"].split(":")[2]
        public = self.transit("read_key", name)["keys"]["1"]["public_key"]
        key = serialization.load_pem_public_key(public.encode())
        key.verify(base64.b64decode(signature), b"hello", ec.ECDSA(hashes.SHA256()))

    def test_hmacs(self):
        name = self.new_key()
        mac = self.transit("generate_hmac", name, hash_input=HELLO)["hmac"]
        self.assertTrue(self.transit("verify_signed_data", name, hash_input=HELLO, hmac=mac)["valid"])

    def test_rsa_encrypts(self):
        name = self.new_key(key_type="rsa-2048")
        ciphertext = self.transit("encrypt_data", name, plaintext=HELLO)["ciphertext"]
        self.assertEqual(self.transit("decrypt_data", name, ciphertext=ciphertext)["plaintext"], HELLO)


class Travels(TransitTest):
    def wrap(self, material):
        """A key as an import wants it: under a fresh AES key (RFC 5649), and that under the server's RSA key."""
        public = serialization.load_pem_public_key(
            self.client.read(f"{self.mount}/wrapping_key")["data"]["public_key"].encode())
        ephemeral = secrets.token_bytes(32)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        return b64(public.encrypt(ephemeral, oaep) + aes_key_wrap_with_padding(ephemeral, material))

    def test_a_key_made_elsewhere_is_imported(self):
        key, name = secrets.token_bytes(32), f"key-{secrets.token_hex(4)}"
        body = {"ciphertext": self.wrap(key), "type": "aes256-gcm96", "exportable": True}
        self.client.write_data(f"{self.mount}/keys/{name}/import", data=body)
        self.assertEqual(self.transit("export_key", name, key_type="encryption-key")["keys"], {"1": b64(key)})

    def test_a_signing_key_made_elsewhere_is_imported(self):
        key, name = ec.generate_private_key(ec.SECP256R1()), f"key-{secrets.token_hex(4)}"
        der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption())
        body = {"ciphertext": self.wrap(der), "type": "ecdsa-p256"}
        self.client.write_data(f"{self.mount}/keys/{name}/import", data=body)
        signature = self.transit("sign_data", name, hash_input=HELLO)["signature"].split(":")[2]
        key.public_key().verify(base64.b64decode(signature), b"hello", ec.ECDSA(hashes.SHA256()))

    def test_a_backup_is_restored(self):
        name = self.new_key(exportable=True, allow_plaintext_backup=True)
        ciphertext = self.transit("encrypt_data", name, plaintext=HELLO)["ciphertext"]
        backup = self.transit("backup_key", name)["backup"]
        self.transit("restore_key", backup=backup, name=f"{name}-again")
        self.assertEqual(self.transit("decrypt_data", f"{name}-again", ciphertext=ciphertext)["plaintext"], HELLO)

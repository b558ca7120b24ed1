"""What Python programs do with transit through hvac, for the symmetric key types."""
import base64
import hashlib

import hvac

from live import TransitTest, b64, connect

TYPES = ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"]
HELLO = b64(b"hello world")


class Keys(TransitTest):
    def test_every_symmetric_type_is_created_and_read_back(self):
        for kind in TYPES:
            with self.subTest(kind):
                key = self.transit("read_key", self.new_key(key_type=kind))
                self.assertEqual(key["type"], kind)
                self.assertEqual(key["latest_version"], 1)
                self.assertEqual(list(key["keys"]), ["1"])
                self.assertTrue(key["supports_encryption"] and key["supports_derivation"])
                self.assertFalse(key["supports_signing"] or key["exportable"] or key["deletion_allowed"])

    def test_list_names_what_was_created(self):
        names = {self.new_key(), self.new_key()}
        self.assertLessEqual(names, set(self.transit("list_keys")["keys"]))

    def test_configuration_is_kept(self):
        name = self.new_key()
        self.transit("rotate_key", name)
        self.transit("rotate_key", name)
        self.transit("update_key_configuration", name, min_decryption_version=2, min_encryption_version=3,
                     deletion_allowed=True, exportable=True, auto_rotate_period="24h")
        key = self.transit("read_key", name)
        self.assertEqual((key["min_decryption_version"], key["min_encryption_version"]), (2, 3))
        self.assertEqual(key["auto_rotate_period"], 86400)
        self.assertTrue(key["deletion_allowed"] and key["exportable"])
        self.assertEqual(list(key["keys"]), ["2", "3"])

    def test_rotation_keeps_old_ciphertexts_readable_until_the_floor_rises(self):
        name = self.new_key()
        old = self.transit("encrypt_data", name, plaintext=HELLO)["ciphertext"]
        self.transit("rotate_key", name)
        new = self.transit("encrypt_data", name, plaintext=HELLO)["ciphertext"]
        self.assertTrue(old.startswith("vault:v1:") and new.startswith("vault:v2:"))
        self.assertEqual(self.transit("decrypt_data", name, ciphertext=old)["plaintext"], HELLO)
        self.transit("update_key_configuration", name, min_decryption_version=2)
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "disallowed by policy"):
            self.transit("decrypt_data", name, ciphertext=old)
        self.assertEqual(self.transit("decrypt_data", name, ciphertext=new)["plaintext"], HELLO)

    def test_trimmed_versions_are_gone(self):
        name = self.new_key()
        self.transit("rotate_key", name)
        self.transit("rotate_key", name)
        self.transit("update_key_configuration", name, min_decryption_version=2, min_encryption_version=3)
        self.transit("trim_key", name, min_version=2)
        self.assertEqual(self.transit("read_key", name)["min_available_version"], 2)

    def test_deletion_needs_permission(self):
        name = self.new_key()
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "deletion is not allowed for this key"):
            self.transit("delete_key", name)
        self.transit("update_key_configuration", name, deletion_allowed=True)
        self.transit("delete_key", name)
        with self.assertRaises(hvac.exceptions.InvalidPath):
            self.transit("read_key", name)


class Encryption(TransitTest):
    def test_every_symmetric_type_encrypts_and_decrypts(self):
        for kind in TYPES:
            with self.subTest(kind):
                name = self.new_key(key_type=kind)
                ciphertext = self.transit("encrypt_data", name, plaintext=HELLO)["ciphertext"]
                self.assertNotEqual(ciphertext, self.transit("encrypt_data", name, plaintext=HELLO)["ciphertext"])
                self.assertEqual(self.transit("decrypt_data", name, ciphertext=ciphertext)["plaintext"], HELLO)

    def test_encrypting_makes_the_key(self):
        self.transit("encrypt_data", "upserted", plaintext=HELLO)
        self.assertEqual(self.transit("read_key", "upserted")["type"], "aes256-gcm96")

    def test_a_batch_keeps_its_order(self):
        name = self.new_key()
        texts = [b64(f"text {n}".encode()) for n in range(50)]
        results = self.transit("encrypt_data", name, batch_input=[{"plaintext": t} for t in texts])["batch_results"]
        batch = [{"ciphertext": item["ciphertext"]} for item in results]
        results = self.transit("decrypt_data", name, ciphertext=None, batch_input=batch)["batch_results"]
        self.assertEqual([item["plaintext"] for item in results], texts)

    def test_a_derived_key_needs_the_same_context(self):
        name = self.new_key(derived=True)
        ciphertext = self.transit("encrypt_data", name, plaintext=HELLO, context=b64(b"alice"))["ciphertext"]
        opened = self.transit("decrypt_data", name, ciphertext=ciphertext, context=b64(b"alice"))
        self.assertEqual(opened["plaintext"], HELLO)
        with self.assertRaises(hvac.exceptions.InvalidRequest):
            self.transit("decrypt_data", name, ciphertext=ciphertext, context=b64(b"bob"))
        with self.assertRaises(hvac.exceptions.InvalidRequest):
            self.transit("encrypt_data", name, plaintext=HELLO)

    def test_a_convergent_key_repeats_itself(self):
        name = self.new_key(derived=True, convergent_encryption=True)

        def encrypt(text, context):
            return self.transit("encrypt_data", name, plaintext=b64(text), context=b64(context))["ciphertext"]

        self.assertEqual(encrypt(b"one", b"a"), encrypt(b"one", b"a"))
        self.assertNotEqual(encrypt(b"one", b"a"), encrypt(b"two", b"a"))
        self.assertNotEqual(encrypt(b"one", b"a"), encrypt(b"one", b"b"))

    def test_associated_data_must_be_the_same(self):
        name = self.new_key()
        sealed = self.transit("encrypt_data", name, plaintext=HELLO, associated_data=b64(b"row 7"))["ciphertext"]
        opened = self.transit("decrypt_data", name, ciphertext=sealed, associated_data=b64(b"row 7"))
        self.assertEqual(opened["plaintext"], HELLO)
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "message authentication failed"):
            self.transit("decrypt_data", name, ciphertext=sealed, associated_data=b64(b"row 8"))

    def test_rewrap_moves_to_the_latest_version(self):
        name = self.new_key()
        old = self.transit("encrypt_data", name, plaintext=HELLO)["ciphertext"]
        self.transit("rotate_key", name)
        new = self.transit("rewrap_data", name, ciphertext=old)["ciphertext"]
        self.assertTrue(new.startswith("vault:v2:"))
        self.assertEqual(self.transit("decrypt_data", name, ciphertext=new)["plaintext"], HELLO)

    def test_data_keys(self):
        name = self.new_key()
        for bits in (128, 256, 512):
            key = self.transit("generate_data_key", name, key_type="plaintext", bits=bits)
            self.assertEqual(len(base64.b64decode(key["plaintext"])) * 8, bits)
            opened = self.transit("decrypt_data", name, ciphertext=key["ciphertext"])
            self.assertEqual(opened["plaintext"], key["plaintext"])
        wrapped = self.transit("generate_data_key", name, key_type="wrapped")
        self.assertNotIn("plaintext", wrapped)

    def test_a_changed_ciphertext_is_refused(self):
        name = self.new_key()
        ciphertext = self.transit("encrypt_data", name, plaintext=HELLO)["ciphertext"]
        raw = bytearray(base64.b64decode(ciphertext.split(":")[2]))
        raw[-1] ^= 1
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "message authentication failed"):
            self.transit("decrypt_data", name, ciphertext="vault:v1:" + b64(raw))


class Tools(TransitTest):
    def test_random_bytes(self):
        first = self.transit("generate_random_bytes", n_bytes=48)["random_bytes"]
        self.assertEqual(len(base64.b64decode(first)), 48)
        second = self.transit("generate_random_bytes", n_bytes=48, output_format="hex")["random_bytes"]
        self.assertEqual(len(bytes.fromhex(second)), 48)
        self.assertNotEqual(base64.b64decode(first), bytes.fromhex(second))

    def test_hashes_are_those_of_the_standards(self):
        for bits in ("224", "256", "384", "512"):
            got = self.transit("hash_data", HELLO, algorithm=f"sha2-{bits}", output_format="hex")["sum"]
            self.assertEqual(got, hashlib.new(f"sha{bits}", b"hello world").hexdigest())


class Errors(TransitTest):
    def test_what_is_not_there_is_404(self):
        with self.assertRaises(hvac.exceptions.InvalidPath) as caught:
            self.transit("read_key", "missing")
        self.assertEqual(caught.exception.errors, [])

    def test_a_bad_plaintext_is_400(self):
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "illegal base64 data"):
            self.transit("encrypt_data", self.new_key(), plaintext="!")

    def test_an_unknown_type_is_400(self):
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "unknown key type rot13"):
            self.client.write_data(f"{self.mount}/keys/k", data={"type": "rot13"})

    def test_an_unknown_token_is_403(self):
        stranger = connect("hvs.unknown")
        with self.assertRaisesRegex(hvac.exceptions.Forbidden, "permission denied"):
            stranger.secrets.transit.list_keys(mount_point=self.mount)
        self.assertFalse(stranger.is_authenticated())

    def test_an_unknown_mount_is_404(self):
        with self.assertRaisesRegex(hvac.exceptions.InvalidPath, "no handler for route"):
            self.client.secrets.transit.list_keys(mount_point="nowhere")

package compat

import (
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"strings"
	"testing"
)

func TestTransitEveryTypeSignsAndVerifies(t *testing.T) {
	for _, kind := range []string{"ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096"} {
		t.Run(kind, func(t *testing.T) {
			in := newTransit(t)
			key := in.newKey(map[string]any{"type": kind})
			signature := in.write("sign/"+key, map[string]any{"input": b64("hello")})["signature"]
			check := func(text string) bool {
				return in.write("verify/"+key, map[string]any{"input": b64(text), "signature": signature})["valid"].(bool)
			}
			equal(t, check("hello"), true)
			equal(t, check("other"), false)
		})
	}
}

func TestTransitBatchIsSignedAndVerified(t *testing.T) {
	in := newTransit(t)
	key := in.newKey(map[string]any{"type": "ecdsa-p256"})
	batch := []map[string]any{{"input": b64("one")}, {"input": b64("two")}}
	for n, result := range in.write("sign/"+key, map[string]any{"batch_input": batch})["batch_results"].([]any) {
		batch[n]["signature"] = result.(map[string]any)["signature"]
	}
	for _, result := range in.write("verify/"+key, map[string]any{"batch_input": batch})["batch_results"].([]any) {
		equal(t, result.(map[string]any)["valid"].(bool), true)
	}
}

// wrap makes what an import wants: the key under a fresh AES key (RFC 5649), and that under the server's RSA key.
func (in transit) wrap(material []byte) string {
	secret, err := in.Logical().Read(in.mount + "/wrapping_key")
	must(in.T, err)
	block, _ := pem.Decode([]byte(secret.Data["public_key"].(string)))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	must(in.T, err)
	ephemeral := make([]byte, 32)
	_, _ = rand.Read(ephemeral)
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), ephemeral, nil)
	must(in.T, err)
	return base64.StdEncoding.EncodeToString(append(wrapped, in.keyWrap(ephemeral, material)...))
}

// keyWrap is AES key wrap with padding (RFC 5649), of more than 8 bytes.
func (in transit) keyWrap(kek, key []byte) []byte {
	cipher, err := aes.NewCipher(kek)
	must(in.T, err)
	n := (len(key) + 7) / 8
	out := make([]byte, 8+8*n)
	binary.BigEndian.PutUint32(out, 0xA65959A6)
	binary.BigEndian.PutUint32(out[4:], uint32(len(key)))
	copy(out[8:], key)
	block := make([]byte, 16)
	for step := range 6 * n {
		part := out[8+8*(step%n):][:8]
		copy(block, out[:8])
		copy(block[8:], part)
		cipher.Encrypt(block, block)
		binary.BigEndian.PutUint64(out, binary.BigEndian.Uint64(block)^uint64(step+1))
		copy(part, block[8:])
	}
	return out
}

func TestTransitKeyIsImported(t *testing.T) {
	in := newTransit(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	in.write("keys/mine/import", map[string]any{"type": "ecdsa-p256", "ciphertext": in.wrap(der)})
	signature := in.write("sign/mine", map[string]any{"input": b64("hello")})["signature"].(string)
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signature, "vault:v1:"))
	must(t, err)
	digest := sha256.Sum256([]byte("hello"))
	equal(t, ecdsa.VerifyASN1(&private.PublicKey, digest[:], raw), true)

	key := make([]byte, 32)
	_, _ = rand.Read(key)
	in.write("keys/symmetric/import", map[string]any{"ciphertext": in.wrap(key), "exportable": true})
	secret, err := in.Logical().Read(in.mount + "/export/encryption-key/symmetric")
	must(t, err)
	equal(t, secret.Data["keys"].(map[string]any)["1"].(string), base64.StdEncoding.EncodeToString(key))
}

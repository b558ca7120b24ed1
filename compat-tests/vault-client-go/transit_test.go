package compat

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault-client-go"
	"github.com/hashicorp/vault-client-go/schema"
)

func TestTransitKeysAreConfiguredAltogether(t *testing.T) {
	client, path := mounted(t, "transit", nil)
	ctx, at := t.Context(), vault.WithMountPath(path)
	equal(t, call(client.Secrets.TransitReadKeysConfiguration(ctx, at)).data(t)["disable_upsert"], false)
	call(client.Secrets.TransitConfigureKeys(ctx, schema.TransitConfigureKeysRequest{DisableUpsert: true}, at)).done(t)
	encrypt := schema.TransitEncryptRequest{Plaintext: "aGVsbG8="}
	call(client.Secrets.TransitEncrypt(ctx, "new", encrypt, at)).refused(t, 400, "encryption key not found")
	call(client.Secrets.TransitConfigureKeys(ctx, schema.TransitConfigureKeysRequest{}, at)).done(t)
	call(client.Write(ctx, path+"/config/keys", map[string]any{"disable_upsert": false})).done(t)
	sealed := call(client.Secrets.TransitEncrypt(ctx, "new", encrypt, at)).data(t)["ciphertext"].(string)
	opened := call(client.Secrets.TransitDecrypt(ctx, "new", schema.TransitDecryptRequest{Ciphertext: sealed}, at)).data(t)
	equal(t, opened["plaintext"], "aGVsbG8=")
}

// A key gets a certificate of somebody's authority, without leaving the server.
func TestTransitKeyIsCertified(t *testing.T) {
	client, path := mounted(t, "transit", nil)
	ctx, at := t.Context(), vault.WithMountPath(path)
	call(client.Secrets.TransitCreateKey(ctx, "k", schema.TransitCreateKeyRequest{Type: "ecdsa-p256"}, at)).done(t)
	text := call(client.Secrets.TransitGenerateCsrForKey(ctx, "k", schema.TransitGenerateCsrForKeyRequest{}, at)).data(t)["csr"].(string)
	block, _ := pem.Decode([]byte(text))
	request, err := x509.ParseCertificateRequest(block.Bytes)
	must(t, err)
	must(t, request.CheckSignature())

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ours"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "k"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, request.PublicKey, key)
	must(t, err)
	chain := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	call(client.Secrets.TransitSetCertificateForKey(ctx, "k", schema.TransitSetCertificateForKeyRequest{CertificateChain: chain}, at)).done(t)
	versions := call(client.Secrets.TransitReadKey(ctx, "k", at)).data(t)["keys"].(map[string]any)
	equal(t, versions["1"].(map[string]any)["certificate_chain"], strings.TrimSpace(chain))

	other, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), key)
	must(t, err)
	wrong := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other}))
	call(client.Secrets.TransitSetCertificateForKey(ctx, "k", schema.TransitSetCertificateForKeyRequest{CertificateChain: wrong}, at)).refused(t, 500, "does not match the selected key version")
}

// A key goes from one to the other wrapped, and opens there what the first has sealed.
func TestTransitKeyIsBroughtAcross(t *testing.T) {
	client, path := mounted(t, "transit", nil)
	ctx, at := t.Context(), vault.WithMountPath(path)
	call(client.Secrets.TransitCreateKey(ctx, "source", schema.TransitCreateKeyRequest{Exportable: true}, at)).done(t)
	sealed := call(client.Secrets.TransitEncrypt(ctx, "source", schema.TransitEncryptRequest{Plaintext: "aGVsbG8="}, at)).data(t)["ciphertext"]
	wrapping := call(client.Secrets.TransitReadWrappingKey(ctx, at)).data(t)["public_key"].(string)
	call(client.Secrets.TransitImportKey(ctx, "destination", schema.TransitImportKeyRequest{Type: "rsa-4096", PublicKey: wrapping}, at)).done(t)
	versions := call(client.Secrets.TransitByokKey(ctx, "destination", "source", at)).data(t)["keys"].(map[string]any)
	first := versions["1"].(string)
	equal(t, call(client.Secrets.TransitByokKeyVersion(ctx, "destination", "source", "1", at)).data(t)["keys"].(map[string]any)["1"] != nil, true)
	call(client.Secrets.TransitImportKey(ctx, "copy", schema.TransitImportKeyRequest{Type: "aes256-gcm96", Ciphertext: first, AllowRotation: true}, at)).done(t)
	opened := call(client.Secrets.TransitDecrypt(ctx, "copy", schema.TransitDecryptRequest{Ciphertext: sealed.(string)}, at)).data(t)
	equal(t, opened["plaintext"], "aGVsbG8=")
	call(client.Secrets.TransitImportKeyVersion(ctx, "copy", schema.TransitImportKeyVersionRequest{Ciphertext: first}, at)).done(t)
	equal(t, call(client.Secrets.TransitReadKey(ctx, "copy", at)).data(t)["latest_version"], 2)
}

// What the generated client has no calls for, newer engines do.
func TestTransitNewerWays(t *testing.T) {
	client, path := mounted(t, "transit", nil)
	ctx := t.Context()
	call(client.Write(ctx, path+"/keys/k", nil)).done(t)
	many := call(client.Write(ctx, path+"/datakeys/plaintext/k", map[string]any{"count": 3})).data(t)
	equal(t, len(many["key_pairs"].([]any)), 3)

	call(client.Write(ctx, path+"/keys/mac", map[string]any{"type": "aes256-cmac"})).done(t)
	input := base64.StdEncoding.EncodeToString([]byte("hello"))
	mac := call(client.Write(ctx, path+"/cmac/mac", map[string]any{"input": input})).data(t)["cmac"]
	verified := call(client.Write(ctx, path+"/verify/mac", map[string]any{"input": input, "cmac": mac})).data(t)
	equal(t, verified["valid"], true)

	for _, name := range []string{"ours", "theirs"} {
		call(client.Write(ctx, path+"/keys/"+name, map[string]any{"type": "ecdsa-p256"})).done(t)
	}
	// Both sides agree on a key that neither has sent.
	agree := func(name, base, peer string) {
		public := call(client.Read(ctx, path+"/keys/"+peer)).data(t)["keys"].(map[string]any)["1"].(map[string]any)["public_key"]
		call(client.Write(ctx, path+"/derive-key/"+name, map[string]any{"base_key_name": base, "peer_public_key": public})).done(t)
	}
	agree("here", "ours", "theirs")
	agree("there", "theirs", "ours")
	sealed := call(client.Write(ctx, path+"/encrypt/here", map[string]any{"plaintext": input})).data(t)["ciphertext"]
	equal(t, call(client.Write(ctx, path+"/decrypt/there", map[string]any{"ciphertext": sealed})).data(t)["plaintext"], input)

	call(client.Delete(ctx, path+"/keys/k/soft-delete")).done(t)
	call(client.Write(ctx, path+"/encrypt/k", map[string]any{"plaintext": input})).refused(t, 400, "")
	call(client.Write(ctx, path+"/keys/k/soft-delete-restore", nil)).done(t)
	call(client.Write(ctx, path+"/encrypt/k", map[string]any{"plaintext": input})).done(t)
}

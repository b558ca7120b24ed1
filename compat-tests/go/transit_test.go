package compat

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

var types = []string{"aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"}

func TestTransitEveryTypeEncryptsAndDecrypts(t *testing.T) {
	for _, kind := range types {
		t.Run(kind, func(t *testing.T) {
			in := newTransit(t)
			key := in.newKey(map[string]any{"type": kind})
			sealed := in.write("encrypt/"+key, map[string]any{"plaintext": b64("hello")})
			equal(t, sealed["key_version"].(json.Number), "1")
			opened := in.write("decrypt/"+key, map[string]any{"ciphertext": sealed["ciphertext"]})
			equal(t, opened["plaintext"].(string), b64("hello"))
		})
	}
}

func TestTransitKeyIsReadListedConfiguredRotated(t *testing.T) {
	in := newTransit(t)
	key := in.newKey(nil)
	in.write("keys/"+key+"/rotate", nil)
	in.write("keys/"+key+"/config", map[string]any{"min_decryption_version": 2, "deletion_allowed": true})

	secret, err := in.Logical().Read(in.mount + "/keys/" + key)
	must(t, err)
	equal(t, secret.Data["type"].(string), "aes256-gcm96")
	equal(t, secret.Data["latest_version"].(json.Number), "2")
	equal(t, secret.Data["min_decryption_version"].(json.Number), "2")
	equal(t, len(secret.Data["keys"].(map[string]any)), 1)

	secret, err = in.Logical().List(in.mount + "/keys")
	must(t, err)
	equal(t, fmt.Sprint(secret.Data["keys"]), "["+key+"]")

	_, err = in.Logical().Delete(in.mount + "/keys/" + key)
	must(t, err)
	secret, err = in.Logical().Read(in.mount + "/keys/" + key)
	must(t, err)
	equal(t, secret == nil, true)
}

func TestTransitBatch(t *testing.T) {
	in := newTransit(t)
	key := in.newKey(nil)
	var batch []map[string]any
	for n := range 20 {
		batch = append(batch, map[string]any{"plaintext": b64(fmt.Sprint("text ", n)), "reference": fmt.Sprint("r", n)})
	}
	results := in.write("encrypt/"+key, map[string]any{"batch_input": batch})["batch_results"].([]any)
	batch = nil
	for n, result := range results {
		equal(t, result.(map[string]any)["reference"].(string), fmt.Sprint("r", n))
		batch = append(batch, map[string]any{"ciphertext": result.(map[string]any)["ciphertext"]})
	}
	results = in.write("decrypt/"+key, map[string]any{"batch_input": batch})["batch_results"].([]any)
	for n, result := range results {
		equal(t, result.(map[string]any)["plaintext"].(string), b64(fmt.Sprint("text ", n)))
	}
}

func TestTransitDerivedKeyNeedsItsContext(t *testing.T) {
	in := newTransit(t)
	key := in.newKey(map[string]any{"derived": true})
	sealed := in.write("encrypt/"+key, map[string]any{"plaintext": b64("hello"), "context": b64("alice")})
	opened := in.write("decrypt/"+key, map[string]any{"ciphertext": sealed["ciphertext"], "context": b64("alice")})
	equal(t, opened["plaintext"].(string), b64("hello"))
	wrong := map[string]any{"ciphertext": sealed["ciphertext"], "context": b64("bob")}
	in.refuse(400, "message authentication failed", "decrypt/"+key, wrong)
}

func TestTransitConvergentKeyRepeatsItself(t *testing.T) {
	in := newTransit(t)
	key := in.newKey(map[string]any{"derived": true, "convergent_encryption": true})
	encrypt := func(text string) string {
		body := map[string]any{"plaintext": b64(text), "context": b64("alice")}
		return in.write("encrypt/"+key, body)["ciphertext"].(string)
	}
	equal(t, encrypt("one"), encrypt("one"))
	equal(t, encrypt("one") == encrypt("two"), false)
}

func TestTransitAssociatedData(t *testing.T) {
	in := newTransit(t)
	key := in.newKey(nil)
	body := map[string]any{"plaintext": b64("hello"), "associated_data": b64("row 7")}
	body = map[string]any{"ciphertext": in.write("encrypt/"+key, body)["ciphertext"], "associated_data": b64("row 7")}
	equal(t, in.write("decrypt/"+key, body)["plaintext"].(string), b64("hello"))
	body["associated_data"] = b64("row 8")
	in.refuse(400, "message authentication failed", "decrypt/"+key, body)
}

func TestTransitRewrap(t *testing.T) {
	in := newTransit(t)
	key := in.newKey(nil)
	old := in.write("encrypt/"+key, map[string]any{"plaintext": b64("hello")})["ciphertext"]
	in.write("keys/"+key+"/rotate", nil)
	body := map[string]any{"ciphertext": in.write("rewrap/"+key, map[string]any{"ciphertext": old})["ciphertext"]}
	equal(t, strings.HasPrefix(body["ciphertext"].(string), "vault:v2:"), true)
	equal(t, in.write("decrypt/"+key, body)["plaintext"].(string), b64("hello"))
}

func TestTransitDataKeys(t *testing.T) {
	in := newTransit(t)
	key := in.newKey(nil)
	made := in.write("datakey/plaintext/"+key, map[string]any{"bits": 512})
	raw, err := base64.StdEncoding.DecodeString(made["plaintext"].(string))
	must(t, err)
	equal(t, len(raw), 64)
	opened := in.write("decrypt/"+key, map[string]any{"ciphertext": made["ciphertext"]})
	equal(t, opened["plaintext"].(string), made["plaintext"].(string))
	_, shown := in.write("datakey/wrapped/"+key, nil)["plaintext"]
	equal(t, shown, false)
}

func TestTransitRandomAndHash(t *testing.T) {
	in := newTransit(t)
	equal(t, len(in.write("random/24", map[string]any{"format": "hex"})["random_bytes"].(string)), 48)
	sum := in.write("hash/sha2-256", map[string]any{"input": b64("abc")})["sum"].(string)
	equal(t, sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
}

func TestErrorsOfTransit(t *testing.T) {
	in := newTransit(t)
	key := in.newKey(nil)
	in.refuse(400, "illegal base64 data", "encrypt/"+key, map[string]any{"plaintext": "!"})
	in.refuse(400, "encryption key not found", "decrypt/missing", map[string]any{"ciphertext": "vault:v1:AAAA"})
	in.refuse(400, "unknown key type rot13", "keys/other", map[string]any{"type": "rot13"})
	in.refuse(404, "unsupported path", "nothing/here", nil)
	secret, err := in.Logical().List(in.mount + "/nothing")
	must(t, err)
	equal(t, secret == nil, true)
}

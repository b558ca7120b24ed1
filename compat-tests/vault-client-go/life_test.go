package compat

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/vault-client-go"
	"github.com/hashicorp/vault-client-go/schema"
)

// server starts one of the test's own, as an operator does, over a store that is not initialised.
func server(t *testing.T) string { return serverWith(t, "") }

func serverWith(t *testing.T, configuration string) string {
	t.Helper()
	address, path := free(t), filepath.Join(t.TempDir(), "coffer.hcl")
	text := fmt.Sprintf("storage \"inmem\" {}\nlistener \"tcp\" {\n  address = %q\n  tls_disable = true\n}\n", address)
	must(t, os.WriteFile(path, []byte(text+configuration), 0o600))
	started(t, address, "server", "-config="+path)
	return "http://" + address
}

func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// started runs Coffer until the end of the test.
func started(t *testing.T, address string, arguments ...string) {
	t.Helper()
	process := exec.Command(os.Getenv("COFFER"), arguments...)
	must(t, process.Start())
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	for range 500 {
		if connection, err := net.Dial("tcp", address); err == nil {
			connection.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the server did not start")
}

// metrics leaves to the suite, which asks only its own server, what this one was asked.
func metrics(t *testing.T, client *vault.Client) {
	t.Helper()
	response, err := client.ReadRaw(t.Context(), "sys/metrics", vault.WithQueryParameters(map[string][]string{"format": {"prometheus"}}))
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	equal(t, response.StatusCode, 200)
	must(t, os.WriteFile(filepath.Join(os.Getenv("COMPAT_WORK"), t.Name()+".prom"), text, 0o600))
}

// texts are the strings of a list of JSON.
func texts(list any) (found []string) {
	for _, item := range list.([]any) {
		found = append(found, item.(string))
	}
	return found
}

// unseal sends keys until the server is open.
func unseal(t *testing.T, client *vault.Client, keys []string) {
	t.Helper()
	sealed := true
	for _, key := range keys {
		sealed = own[schema.UnsealResponse](t, client, "sys/unseal", map[string]any{"key": key}).Sealed
		if !sealed {
			return
		}
	}
	t.Fatal("it is still sealed")
}

// own is an answer that does not have Vault's usual form, which the generated calls take it to have.
func own[T any](t *testing.T, client *vault.Client, path string, body map[string]any) T {
	t.Helper()
	var found T
	call(client.Write(t.Context(), path, body, vault.WithResponseCallbacks(keeping(t, &found)))).done(t)
	return found
}

func told[T any](t *testing.T, client *vault.Client, path string) T {
	t.Helper()
	var found T
	call(client.Read(t.Context(), path, vault.WithResponseCallbacks(keeping(t, &found)))).done(t)
	return found
}

// A server's whole life: initialised, unsealed, its shares changed, a root token made of them, its keys rotated, sealed.
func TestSealedLifeOfAServer(t *testing.T) {
	ctx, address := t.Context(), server(t)
	client := connectTo(t, address, "")
	equal(t, told[map[string]any](t, client, "sys/init")["initialized"], false)
	made := own[map[string]any](t, client, "sys/init", map[string]any{"secret_shares": 3, "secret_threshold": 2})
	keys, token := texts(made["keys_base64"]), made["root_token"].(string)
	equal(t, len(keys), 3)
	must(t, client.SetToken(token))
	call(client.System.MountsListSecretsEngines(ctx)).refused(t, 503, "sealed")
	first := own[schema.UnsealResponse](t, client, "sys/unseal", map[string]any{"key": keys[0]})
	equal(t, first.Progress, 1)
	equal(t, own[schema.UnsealResponse](t, client, "sys/unseal", map[string]any{"reset": true}).Progress, 0)
	unseal(t, client, keys)

	keys = rekeyed(t, client, keys)
	again := rootOf(t, client, keys)
	call(connectTo(t, address, again).Auth.TokenLookUpSelf(ctx)).done(t)

	before := told[map[string]any](t, client, "sys/key-status")["term"]
	call(client.System.EncryptionKeyConfigureRotation(ctx, schema.EncryptionKeyConfigureRotationRequest{Enabled: true, Interval: "48h", MaxOperations: 2_000_000})).done(t)
	equal(t, call(client.Read(ctx, "sys/rotate/config")).data(t)["max_operations"], 2_000_000)
	call(client.System.EncryptionKeyRotate(ctx)).done(t)
	equal(t, told[map[string]any](t, client, "sys/key-status")["term"] != before, true)

	call(client.System.StepDownLeader(ctx)).done(t)
	call(client.System.Seal(ctx)).done(t)
	call(client.Read(ctx, "sys/mounts")).refused(t, 503, "sealed")
	unseal(t, client, keys)
	call(client.Read(ctx, "sys/mounts")).done(t)
	metrics(t, client)
}

// rekeyed gives a server new shares, and proves them before they count.
func rekeyed(t *testing.T, client *vault.Client, keys []string) []string {
	t.Helper()
	ctx := t.Context()
	begin := map[string]any{"secret_shares": 2, "secret_threshold": 2, "require_verification": true}
	own[map[string]any](t, client, "sys/rekey/init", begin)
	call(client.System.RekeyAttemptCancel(ctx)).done(t)
	equal(t, told[map[string]any](t, client, "sys/rekey/init")["started"], false)
	nonce := own[map[string]any](t, client, "sys/rekey/init", begin)["nonce"]
	own[map[string]any](t, client, "sys/rekey/update", map[string]any{"nonce": nonce, "key": keys[0]})
	equal(t, told[map[string]any](t, client, "sys/rekey/init")["progress"], 1)
	done := own[map[string]any](t, client, "sys/rekey/update", map[string]any{"nonce": nonce, "key": keys[1]})
	equal(t, done["complete"], true)
	fresh, nonce := texts(done["keys_base64"]), done["verification_nonce"]

	own[map[string]any](t, client, "sys/rekey/verify", map[string]any{"nonce": nonce, "key": fresh[0]})
	status := told[map[string]any](t, client, "sys/rekey/verify")
	equal(t, status["progress"], 1)
	var restarted map[string]any
	// The generated call takes `started` for a text.
	call(client.Delete(ctx, "sys/rekey/verify", vault.WithResponseCallbacks(keeping(t, &restarted)))).done(t)
	nonce = restarted["nonce"]
	own[map[string]any](t, client, "sys/rekey/verify", map[string]any{"nonce": nonce, "key": fresh[0]})
	equal(t, own[map[string]any](t, client, "sys/rekey/verify", map[string]any{"nonce": nonce, "key": fresh[1]})["complete"], true)
	call(client.Read(ctx, "sys/rekey/backup")).refused(t, 400, "no backed-up keys found")
	call(client.System.RekeyDeleteBackupKey(ctx)).done(t)
	return fresh
}

// rootOf has a root token made by those who have the shares.
func rootOf(t *testing.T, client *vault.Client, keys []string) string {
	t.Helper()
	own[map[string]any](t, client, "sys/generate-root/attempt", nil)
	call(client.System.RootTokenGenerationCancel(t.Context())).done(t)
	equal(t, told[map[string]any](t, client, "sys/generate-root/attempt")["started"], false)
	attempt := own[map[string]any](t, client, "sys/generate-root/attempt", nil)
	var done map[string]any
	for _, key := range keys {
		done = own[map[string]any](t, client, "sys/generate-root/update", map[string]any{"nonce": attempt["nonce"], "key": key})
	}
	equal(t, done["complete"], true)
	otp, encoded := attempt["otp"].(string), done["encoded_root_token"].(string)
	by := call(client.System.Decode(t.Context(), schema.DecodeRequest{EncodedToken: encoded, Otp: otp})).data(t)["token"].(string)
	bytes, err := base64.RawStdEncoding.DecodeString(encoded)
	must(t, err)
	for at := range bytes {
		bytes[at] ^= otp[at]
	}
	equal(t, string(bytes), by)
	return by
}

// A server that unseals itself has recovery keys for its people: they change as shares do, and make a root token.
func TestSealedByItself(t *testing.T) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	ctx, address := t.Context(), serverWith(t, fmt.Sprintf("seal \"static\" {\n  current_key_id = \"1\"\n  current_key = %q\n}\n",
		base64.StdEncoding.EncodeToString(key)))
	client := connectTo(t, address, "")
	made := own[map[string]any](t, client, "sys/init", map[string]any{"recovery_shares": 1, "recovery_threshold": 1})
	keys := texts(made["recovery_keys_base64"])
	must(t, client.SetToken(made["root_token"].(string)))
	status := told[schema.SealStatusResponse](t, client, "sys/seal-status")
	equal(t, status.Sealed, false)
	equal(t, status.RecoverySeal, true)

	again := rootOf(t, client, keys)
	call(connectTo(t, address, again).Auth.TokenLookUpSelf(ctx)).done(t)

	begin := map[string]any{"secret_shares": 2, "secret_threshold": 2, "require_verification": true}
	at := "sys/rekey-recovery-key/"
	own[map[string]any](t, client, at+"init", begin)
	call(client.Delete(ctx, at+"init")).done(t)
	equal(t, told[map[string]any](t, client, at+"init")["started"], false)
	nonce := own[map[string]any](t, client, at+"init", begin)["nonce"]
	done := own[map[string]any](t, client, at+"update", map[string]any{"nonce": nonce, "key": keys[0]})
	equal(t, done["complete"], true)
	fresh, nonce := texts(done["keys_base64"]), done["verification_nonce"]
	own[map[string]any](t, client, at+"verify", map[string]any{"nonce": nonce, "key": fresh[0]})
	equal(t, told[map[string]any](t, client, at+"verify")["progress"], 1)
	var restarted map[string]any
	call(client.Delete(ctx, at+"verify", vault.WithResponseCallbacks(keeping(t, &restarted)))).done(t)
	for _, share := range fresh {
		done = own[map[string]any](t, client, at+"verify", map[string]any{"nonce": restarted["nonce"], "key": share})
	}
	equal(t, done["complete"], true)
	call(client.Read(ctx, "sys/rekey/recovery-key-backup")).refused(t, 400, "no backed-up keys found")
	call(client.System.RekeyDeleteBackupRecoveryKey(ctx)).done(t)

	last := rootOf(t, client, fresh)
	call(connectTo(t, address, last).Auth.TokenLookUpSelf(ctx)).done(t)
	metrics(t, client)
}

// A dev server goes back to where it began.
func TestSystemIsReset(t *testing.T) {
	ctx, address := t.Context(), free(t)
	started(t, address, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root", "-dev-listen-address="+address)
	client := connectTo(t, "http://"+address, "root")
	call(client.Secrets.KvV2Write(ctx, "a", schema.KvV2WriteRequest{Data: map[string]any{"x": "1"}}, vault.WithMountPath("secret"))).done(t)
	call(client.Write(ctx, "sys/dev/reset", nil)).done(t)
	call(client.Secrets.KvV2Read(ctx, "a", vault.WithMountPath("secret"))).refused(t, 404, "")
	call(client.Secrets.KvV2Write(ctx, "a", schema.KvV2WriteRequest{Data: map[string]any{"x": "2"}}, vault.WithMountPath("secret"))).done(t)
	metrics(t, client)
}

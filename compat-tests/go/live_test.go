// Package compat does through Vault's own Go client what Go programs do, against the server of VAULT_ADDR.
package compat

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
)

// connect makes a client with a token; the address comes from the environment, as in any program.
func connect(t *testing.T, token string) *api.Client {
	t.Helper()
	client, err := api.NewClient(api.DefaultConfig())
	must(t, err)
	client.SetToken(token)
	client.SetMaxRetries(0) // an answer of 500 is an answer
	return client
}

func root(t *testing.T) *api.Client { return connect(t, os.Getenv("VAULT_TOKEN")) }

// transit is a mount of the test's own, and a client.
type transit struct {
	*testing.T
	*api.Client
	mount string
}

func newTransit(t *testing.T) transit {
	t.Helper()
	client, mount := root(t), "go-"+unique()
	must(t, client.Sys().Mount(mount, &api.MountInput{Type: "transit"}))
	t.Cleanup(func() { must(t, client.Sys().Unmount(mount)) })
	return transit{t, client, mount}
}

// write does what must succeed and returns the data of the answer.
func (in transit) write(path string, body map[string]any) map[string]any {
	in.Helper()
	secret, err := in.Logical().Write(in.mount+"/"+path, body)
	must(in.T, err)
	if secret == nil {
		return nil
	}
	return secret.Data
}

// refuse does what must fail with this status and this text.
func (in transit) refuse(status int, text, path string, body map[string]any) {
	in.Helper()
	_, err := in.Logical().Write(in.mount+"/"+path, body)
	refused(in.T, err, status, text)
}

func refused(t *testing.T, err error, status int, text string) {
	t.Helper()
	var response *api.ResponseError
	if !errors.As(err, &response) {
		t.Fatalf("want status %d, got %v", status, err)
	}
	if response.StatusCode != status || !strings.Contains(strings.Join(response.Errors, "\n"), text) {
		t.Fatalf("want status %d with %q, got %v", status, text, err)
	}
}

func (in transit) newKey(options map[string]any) string {
	in.Helper()
	name := "key-" + unique()
	in.write("keys/"+name, options)
	return name
}

func equal[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func unique() string {
	bytes := make([]byte, 4)
	_, _ = rand.Read(bytes) // never fails
	return hex.EncodeToString(bytes)
}

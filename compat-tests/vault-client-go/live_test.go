// Package compat does through Vault's generated Go client what Go programs do, against the server of VAULT_ADDR.
package compat

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault-client-go"
)

// connect makes a client with a token; the address comes from the environment, as in any program.
func connect(t *testing.T, token string) *vault.Client {
	t.Helper()
	return connectTo(t, os.Getenv("VAULT_ADDR"), token)
}

func connectTo(t *testing.T, address, token string) *vault.Client {
	t.Helper()
	client, err := vault.New(vault.WithAddress(address), vault.WithRetryConfiguration(vault.RetryConfiguration{}))
	must(t, err)
	if token != "" {
		must(t, client.SetToken(token))
	}
	return client
}

func root(t *testing.T) *vault.Client { return connect(t, os.Getenv("VAULT_TOKEN")) }

// answer is what came of a request.
type answer[T any] struct {
	*vault.Response[T]
	err error
}

func call[T any](response *vault.Response[T], err error) answer[T] { return answer[T]{response, err} }

// data is that of a request that must succeed.
func (it answer[T]) data(t *testing.T) T {
	t.Helper()
	must(t, it.err)
	if it.Response == nil {
		t.Fatal("there is no answer")
	}
	return it.Data
}

func (it answer[T]) done(t *testing.T) {
	t.Helper()
	must(t, it.err)
}

func (it answer[T]) refused(t *testing.T, status int, text string) {
	t.Helper()
	if !vault.IsErrorStatus(it.err, status) || !strings.Contains(it.err.Error(), text) {
		t.Fatalf("want status %d with %q, got %v", status, text, it.err)
	}
}

// equal compares what is printed of two values: numbers of JSON come as several types.
func equal(t *testing.T, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func includes[T comparable](t *testing.T, list []T, wanted T) {
	t.Helper()
	if !slices.Contains(list, wanted) {
		t.Fatalf("%v is not in %v", wanted, list)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unique(noun string) string {
	bytes := make([]byte, 4)
	_, _ = rand.Read(bytes) // never fails
	return noun + "-" + hex.EncodeToString(bytes)
}

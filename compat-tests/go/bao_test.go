//go:build bao

package compat

import (
	"fmt"
	"testing"

	"github.com/openbao/openbao/api/v2"
)

// What only OpenBao's client has: whole trees, and lists with what is known of each secret.

func TestKV1TreeIsScanned(t *testing.T) {
	client, mount := mounted(t, "kv")
	kv := client.KVv1(mount)
	for _, path := range []string{"a", "b/c", "b/d/e"} {
		must(t, kv.Put(t.Context(), path, map[string]any{"x": 1}))
	}
	list, err := kv.List(t.Context(), "")
	must(t, err)
	equal(t, fmt.Sprint(list.Keys), "[a b/]")
	tree, err := kv.Scan(t.Context(), "")
	must(t, err)
	equal(t, fmt.Sprint(tree.Keys), "[a b/c b/d/e]")
	below, err := kv.Scan(t.Context(), "b")
	must(t, err)
	equal(t, fmt.Sprint(below.Keys), "[c d/e]")
}

func TestKV2TreeIsScannedWithDetails(t *testing.T) {
	client, mount := root(t), "go-"+unique()
	must(t, client.Sys().Mount(mount, &api.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}))
	t.Cleanup(func() { must(t, client.Sys().Unmount(mount)) })
	kv := client.KVv2(mount)
	for _, path := range []string{"a", "b/c", "b/c"} {
		_, err := kv.Put(t.Context(), path, map[string]any{"x": 1})
		must(t, err)
	}
	tree, err := kv.Scan(t.Context(), "")
	must(t, err)
	equal(t, fmt.Sprint(tree.Keys), "[a b/c]")
	details, err := kv.ScanWithDetails(t.Context(), "")
	must(t, err)
	equal(t, details.Metadata["b/c"].CurrentVersion, 2)
	listed, err := kv.ListWithDetails(t.Context(), "b")
	must(t, err)
	equal(t, fmt.Sprint(listed.Keys), "[c]")
	equal(t, listed.Metadata["c"].CurrentVersion, 2)
}

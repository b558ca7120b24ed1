package compat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// mounted is a mount of the test's own, and a client.
func mounted(t *testing.T, kind string) (*api.Client, string) {
	t.Helper()
	client, mount := root(t), "go-"+unique()
	must(t, client.Sys().Mount(mount, &api.MountInput{Type: kind}))
	t.Cleanup(func() { must(t, client.Sys().Unmount(mount)) })
	return client, mount
}

func TestKV1SecretIsWrittenReadListedDeleted(t *testing.T) {
	client, mount := mounted(t, "kv")
	kv := client.KVv1(mount)
	must(t, kv.Put(t.Context(), "app/db", map[string]any{"user": "shop", "port": 5432}))
	secret, err := kv.Get(t.Context(), "app/db")
	must(t, err)
	equal(t, fmt.Sprint(secret.Data), "map[port:5432 user:shop]")
	list, err := client.Logical().List(mount + "/app")
	must(t, err)
	equal(t, fmt.Sprint(list.Data["keys"]), "[db]")
	must(t, kv.Delete(t.Context(), "app/db"))
	_, err = kv.Get(t.Context(), "app/db")
	equal(t, errors.Is(err, api.ErrSecretNotFound), true)
}

func TestKV2VersionsAreWrittenAndRead(t *testing.T) {
	client, mount := mounted(t, "kv-v2")
	kv := client.KVv2(mount)
	for n := range 3 {
		made, err := kv.Put(t.Context(), "app", map[string]any{"n": n})
		must(t, err)
		equal(t, made.VersionMetadata.Version, n+1)
	}
	secret, err := kv.Get(t.Context(), "app")
	must(t, err)
	equal(t, fmt.Sprint(secret.Data["n"]), "2")
	secret, err = kv.GetVersion(t.Context(), "app", 1)
	must(t, err)
	equal(t, fmt.Sprint(secret.Data["n"]), "0")
	versions, err := kv.GetVersionsAsList(t.Context(), "app")
	must(t, err)
	equal(t, len(versions), 3)
	_, err = kv.Get(t.Context(), "none")
	equal(t, errors.Is(err, api.ErrSecretNotFound), true)
}

func TestKV2SaysWhereListsAre(t *testing.T) {
	client, mount := mounted(t, "kv-v2")
	list, err := client.Logical().List(mount + "/data/app")
	must(t, err)
	equal(t, len(list.Warnings), 1)
	equal(t, strings.Contains(list.Warnings[0], "vault kv list"), true)
}

func TestKV2CheckAndSet(t *testing.T) {
	client, mount := mounted(t, "kv-v2")
	kv := client.KVv2(mount)
	_, err := kv.Put(t.Context(), "app", map[string]any{"a": 1}, api.WithCheckAndSet(0))
	must(t, err)
	_, err = kv.Put(t.Context(), "app", map[string]any{"a": 2}, api.WithCheckAndSet(0))
	refused(t, err, 400, "check-and-set parameter did not match the current version")
	_, err = kv.Put(t.Context(), "app", map[string]any{"a": 2}, api.WithCheckAndSet(1))
	must(t, err)
}

func TestKV2PatchBothWays(t *testing.T) {
	client, mount := mounted(t, "kv-v2")
	kv := client.KVv2(mount)
	for _, way := range []string{api.KVMergeMethodPatch, api.KVMergeMethodReadWrite} {
		_, err := kv.Put(t.Context(), way, map[string]any{"keep": "1", "change": "1"})
		must(t, err)
		_, err = kv.Patch(t.Context(), way, map[string]any{"change": "2"}, api.WithMergeMethod(way))
		must(t, err)
		secret, err := kv.Get(t.Context(), way)
		must(t, err)
		equal(t, fmt.Sprint(secret.Data), "map[change:2 keep:1]")
	}
	_, err := kv.Patch(t.Context(), "none", map[string]any{"a": 1})
	equal(t, errors.Is(err, api.ErrSecretNotFound), true)
}

func TestKV2DeleteUndeleteDestroyRollback(t *testing.T) {
	client, mount := mounted(t, "kv-v2")
	kv := client.KVv2(mount)
	for n := range 2 {
		_, err := kv.Put(t.Context(), "app", map[string]any{"n": n})
		must(t, err)
	}
	must(t, kv.Delete(t.Context(), "app"))
	secret, err := kv.Get(t.Context(), "app")
	must(t, err)
	equal(t, secret.Data == nil && !secret.VersionMetadata.DeletionTime.IsZero(), true)
	must(t, kv.Undelete(t.Context(), "app", []int{2}))
	must(t, kv.DeleteVersions(t.Context(), "app", []int{2}))
	rolled, err := kv.Rollback(t.Context(), "app", 1)
	must(t, err)
	equal(t, rolled.VersionMetadata.Version, 3)
	must(t, kv.Destroy(t.Context(), "app", []int{2}))
	metadata, err := kv.GetMetadata(t.Context(), "app")
	must(t, err)
	equal(t, metadata.Versions["2"].Destroyed, true)
}

func TestKV2Metadata(t *testing.T) {
	client, mount := mounted(t, "kv-v2")
	kv := client.KVv2(mount)
	must(t, kv.PutMetadata(t.Context(), "folder/one", api.KVMetadataPutInput{
		CASRequired: true, MaxVersions: 3, DeleteVersionAfter: 2 * time.Hour,
		CustomMetadata: map[string]any{"owner": "team"},
	}))
	max := 4
	must(t, kv.PatchMetadata(t.Context(), "folder/one", api.KVMetadataPatchInput{MaxVersions: &max}))
	metadata, err := kv.GetMetadata(t.Context(), "folder/one")
	must(t, err)
	equal(t, fmt.Sprint(metadata.CASRequired, metadata.MaxVersions, metadata.DeleteVersionAfter), "true 4 2h0m0s")
	equal(t, fmt.Sprint(metadata.CustomMetadata), "map[owner:team]")
	must(t, kv.DeleteMetadata(t.Context(), "folder/one"))
	list, err := client.Logical().List(mount + "/metadata/folder")
	must(t, err)
	equal(t, list == nil, true)
}

func TestKV2IsFoundByThePreflight(t *testing.T) {
	client, mount := mounted(t, "kv-v2")
	secret, err := client.Logical().ReadWithContext(context.Background(), "sys/internal/ui/mounts/"+mount+"/app")
	must(t, err)
	equal(t, secret.Data["path"].(string), mount+"/")
	equal(t, fmt.Sprint(secret.Data["options"]), "map[version:2]")
}

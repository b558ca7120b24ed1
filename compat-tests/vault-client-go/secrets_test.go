package compat

import (
	"os"
	"testing"
	"time"

	"github.com/hashicorp/vault-client-go"
	"github.com/hashicorp/vault-client-go/schema"
)

func TestKV1SecretIsWrittenReadListedDeleted(t *testing.T) {
	client, path := mounted(t, "kv", nil)
	ctx, at := t.Context(), vault.WithMountPath(path)
	call(client.Secrets.KvV1Write(ctx, "app", map[string]any{"user": "shop", "port": 5432}, at)).done(t)
	equal(t, call(client.Secrets.KvV1Read(ctx, "app", at)).data(t), "map[port:5432 user:shop]")
	equal(t, call(client.Secrets.KvV1List(ctx, "", at)).data(t).Keys, "[app]")
	call(client.Secrets.KvV1Delete(ctx, "app", at)).done(t)
	call(client.Secrets.KvV1Read(ctx, "app", at)).refused(t, 404, "")
}

func TestKV2VersionsAreWrittenReadDeletedDestroyed(t *testing.T) {
	client, path := mounted(t, "kv", map[string]any{"version": "2"})
	ctx, at := t.Context(), vault.WithMountPath(path)
	write := func(value string, cas int) answer[schema.KvV2WriteResponse] {
		return call(client.Secrets.KvV2Write(ctx, "app", schema.KvV2WriteRequest{
			Data: map[string]any{"x": value}, Options: map[string]any{"cas": cas}}, at))
	}
	equal(t, write("one", 0).data(t).Version, 1)
	equal(t, write("two", 1).data(t).Version, 2)
	write("three", 1).refused(t, 400, "did not match the current version")
	equal(t, call(client.Secrets.KvV2Read(ctx, "app", at)).data(t).Data["x"], "two")
	first := vault.WithQueryParameters(map[string][]string{"version": {"1"}})
	equal(t, call(client.Secrets.KvV2Read(ctx, "app", at, first)).data(t).Data["x"], "one")
	call(client.Secrets.KvV2DeleteVersions(ctx, "app", schema.KvV2DeleteVersionsRequest{Versions: []int32{2}}, at)).done(t)
	call(client.Secrets.KvV2Read(ctx, "app", at)).refused(t, 404, "")
	call(client.Secrets.KvV2UndeleteVersions(ctx, "app", schema.KvV2UndeleteVersionsRequest{Versions: []int32{2}}, at)).done(t)
	equal(t, call(client.Secrets.KvV2Read(ctx, "app", at)).data(t).Data["x"], "two")
	call(client.Secrets.KvV2DestroyVersions(ctx, "app", schema.KvV2DestroyVersionsRequest{Versions: []int32{1}}, at)).done(t)
	call(client.Secrets.KvV2Read(ctx, "app", at, first)).refused(t, 404, "")
}

func TestKV2MetadataAndConfiguration(t *testing.T) {
	client, path := mounted(t, "kv", map[string]any{"version": "2"})
	ctx, at := t.Context(), vault.WithMountPath(path)
	call(client.Secrets.KvV2WriteMetadata(ctx, "app", schema.KvV2WriteMetadataRequest{
		MaxVersions: 3, CustomMetadata: map[string]any{"team": "a"}}, at)).done(t)
	found := call(client.Secrets.KvV2ReadMetadata(ctx, "app", at)).data(t)
	equal(t, found.MaxVersions, 3)
	equal(t, found.CustomMetadata, "map[team:a]")
	equal(t, call(client.Secrets.KvV2List(ctx, "", at)).data(t).Keys, "[app]")
	call(client.Secrets.KvV2Configure(ctx, schema.KvV2ConfigureRequest{CasRequired: true, MaxVersions: 5}, at)).done(t)
	equal(t, call(client.Secrets.KvV2ReadConfiguration(ctx, at)).data(t).CasRequired, true)
	call(client.Secrets.KvV2DeleteMetadataAndAllVersions(ctx, "app", at)).done(t)
	call(client.Secrets.KvV2ReadMetadata(ctx, "app", at)).refused(t, 404, "")
}

func TestWrappingOpensOnce(t *testing.T) {
	client, ctx := root(t), t.Context()
	call(client.Secrets.KvV2Write(ctx, "wrapped", schema.KvV2WriteRequest{Data: map[string]any{"x": "1"}}, vault.WithMountPath("secret"))).done(t)
	wrapped := call(client.Secrets.KvV2Read(ctx, "wrapped", vault.WithMountPath("secret"), vault.WithResponseWrapping(time.Minute)))
	wrapped.done(t)
	equal(t, wrapped.WrapInfo.CreationPath, "secret/data/wrapped")
	// The generated call wants the TTL to be a text, which Vault's answer is not.
	told := call(client.Write(ctx, "sys/wrapping/lookup", map[string]any{"token": wrapped.WrapInfo.Token})).data(t)
	equal(t, told["creation_path"], "secret/data/wrapped")
	again := call(client.System.Rewrap(ctx, schema.RewrapRequest{Token: wrapped.WrapInfo.Token}))
	again.done(t)
	opened := call(vault.Unwrap[schema.KvV2ReadResponse](ctx, client, again.WrapInfo.Token)).data(t)
	equal(t, opened.Data["x"], "1")
	call(vault.Unwrap[schema.KvV2ReadResponse](ctx, client, again.WrapInfo.Token)).refused(t, 400, "not valid or does not exist")
}

func TestTLSIsTrustedByItsAuthority(t *testing.T) {
	address := os.Getenv("COMPAT_TLS_ADDR")
	tls := vault.TLSConfiguration{}
	tls.ServerCertificate.FromFile = os.Getenv("COMPAT_TLS_CACERT")
	client, err := vault.New(vault.WithAddress(address), vault.WithTLS(tls))
	must(t, err)
	must(t, client.SetToken(os.Getenv("VAULT_TOKEN")))
	call(client.Auth.TokenLookUpSelf(t.Context())).done(t)
	stranger := connectTo(t, address, os.Getenv("VAULT_TOKEN"))
	_, err = stranger.Auth.TokenLookUpSelf(t.Context())
	equal(t, err != nil, true)
}

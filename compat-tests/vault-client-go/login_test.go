package compat

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault-client-go"
	"github.com/hashicorp/vault-client-go/schema"
)

// method enables a login method of the test's own.
func method(t *testing.T, kind string) (*vault.Client, vault.RequestOption, string) {
	t.Helper()
	client, path := root(t), unique(kind)
	call(client.System.AuthEnableMethod(t.Context(), path, schema.AuthEnableMethodRequest{Type: kind})).done(t)
	t.Cleanup(func() { _, _ = client.System.AuthDisableMethod(context.Background(), path) })
	return client, vault.WithMountPath(path), path
}

// Each field of a role has a path of its own, where it is written, read and set back.
func TestLoginFieldsOfAnApprole(t *testing.T) {
	client, at, path := method(t, "approle")
	ctx := t.Context()
	call(client.Auth.AppRoleWriteRole(ctx, "r", schema.AppRoleWriteRoleRequest{}, at)).done(t)
	for _, field := range []struct {
		path, name         string
		value, want, unset any
	}{
		{"bind-secret-id", "bind_secret_id", false, false, true},
		{"bound-cidr-list", "bound_cidr_list", "10.0.0.0/8", "[10.0.0.0/8]", "[]"},
		{"period", "token_period", "1h", 3600, 0},
		{"policies", "token_policies", "b,a", "[a b]", "[]"},
		{"secret-id-bound-cidrs", "secret_id_bound_cidrs", "10.0.0.0/8", "[10.0.0.0/8]", "[]"},
		{"secret-id-num-uses", "secret_id_num_uses", 3, 3, 0},
		{"secret-id-ttl", "secret_id_ttl", "10m", 600, 0},
		{"token-bound-cidrs", "token_bound_cidrs", "127.0.0.1", "[127.0.0.1]", "[]"},
		{"token-max-ttl", "token_max_ttl", "2h", 7200, 0},
		{"token-num-uses", "token_num_uses", 4, 4, 0},
		{"token-ttl", "token_ttl", "30m", 1800, 0},
	} {
		t.Run(field.path, func(t *testing.T) {
			// The generated calls for these want numbers to be texts, which Vault's answers are not.
			at := "auth/" + path + "/role/r/" + field.path
			if field.path == "bind-secret-id" { // a role needs some bound, always
				call(client.Write(ctx, "auth/"+path+"/role/r", map[string]any{"token_bound_cidrs": "127.0.0.1"})).done(t)
				defer func() { call(client.Delete(ctx, "auth/"+path+"/role/r/token-bound-cidrs")).done(t) }()
			}
			call(client.Write(ctx, at, map[string]any{field.name: field.value})).done(t)
			equal(t, call(client.Read(ctx, at)).data(t)[field.name], field.want)
			if field.path != "bound-cidr-list" { // the old name of secret-id-bound-cidrs
				equal(t, call(client.Read(ctx, "auth/"+path+"/role/r")).data(t)[field.name], field.want)
			}
			call(client.Delete(ctx, at)).done(t)
			got := call(client.Read(ctx, at)).data(t)[field.name]
			if got == nil {
				got = "[]"
			}
			equal(t, got, field.unset)
		})
	}
}

func TestLoginSecretIdsOfAnApprole(t *testing.T) {
	client, at, path := method(t, "approle")
	ctx := t.Context()
	call(client.Auth.AppRoleWriteRole(ctx, "r", schema.AppRoleWriteRoleRequest{}, at)).done(t)
	local := call(client.Auth.AppRoleReadLocalSecretIds(ctx, "r", at)).data(t)
	equal(t, local.LocalSecretIds, false)
	made := func() (string, string) {
		data := call(client.Write(ctx, "auth/"+path+"/role/r/secret-id", nil)).data(t)
		return data["secret_id"].(string), data["secret_id_accessor"].(string)
	}
	first, _ := made()
	_, second := made()
	equal(t, len(call(client.Auth.AppRoleListSecretIds(ctx, "r", at)).data(t).Keys), 2)
	call(client.Auth.AppRoleDestroySecretIdByAccessor(ctx, "r", schema.AppRoleDestroySecretIdByAccessorRequest{SecretIdAccessor: second}, at)).done(t)
	equal(t, len(call(client.Auth.AppRoleListSecretIds(ctx, "r", at)).data(t).Keys), 1)
	third, accessor := made()
	destroy := func(path string, query map[string][]string) {
		call(client.Delete(ctx, path, vault.WithQueryParameters(query))).done(t)
		equal(t, len(call(client.Auth.AppRoleListSecretIds(ctx, "r", at)).data(t).Keys), 1)
	}
	destroy("auth/"+path+"/role/r/secret-id-accessor/destroy", map[string][]string{"secret_id_accessor": {accessor}})
	third, _ = made()
	destroy("auth/"+path+"/role/r/secret-id/destroy", map[string][]string{"secret_id": {third}})
	call(client.Auth.AppRoleTidySecretId(ctx, at)).done(t)

	role := call(client.Auth.AppRoleReadRoleId(ctx, "r", at)).data(t).RoleId
	login := schema.AppRoleLoginRequest{RoleId: role, SecretId: first}
	entered := call(client.Auth.AppRoleLogin(ctx, login, at))
	entered.done(t)
	equal(t, entered.Auth.Policies, "[default]")
	call(client.Auth.AppRoleDestroySecretId(ctx, "r", schema.AppRoleDestroySecretIdRequest{SecretId: first}, at)).done(t)
	call(client.Auth.AppRoleLogin(ctx, login, at)).refused(t, 400, "invalid role or secret ID")
}

func TestLoginPoliciesOfAUser(t *testing.T) {
	client, at, _ := method(t, "userpass")
	ctx := t.Context()
	call(client.Auth.UserpassWriteUser(ctx, "ada", schema.UserpassWriteUserRequest{Password: "pw"}, at)).done(t)
	call(client.Auth.UserpassUpdatePolicies(ctx, "ada", schema.UserpassUpdatePoliciesRequest{TokenPolicies: []string{"a", "b"}}, at)).done(t)
	equal(t, call(client.Auth.UserpassReadUser(ctx, "ada", at)).data(t)["token_policies"], "[a b]")
	entered := call(client.Auth.UserpassLogin(ctx, "ada", schema.UserpassLoginRequest{Password: "pw"}, at))
	entered.done(t)
	equal(t, entered.Auth.Policies, "[a b default]")
	call(client.Auth.UserpassResetPassword(ctx, "ada", schema.UserpassResetPasswordRequest{Password: "new"}, at)).done(t)
	call(client.Auth.UserpassLogin(ctx, "ada", schema.UserpassLoginRequest{Password: "pw"}, at)).refused(t, 400, "invalid username or password")
	includes(t, call(client.Auth.UserpassListUsers(ctx, at)).data(t).Keys, "ada")
	call(client.Auth.UserpassDeleteUser(ctx, "ada", at)).done(t)
}

// Whoever guesses is locked out, is told to the operator, and is let in again by him.
func TestLoginIsLockedAndUnlocked(t *testing.T) {
	client, at, path := method(t, "userpass")
	ctx := t.Context()
	call(client.System.AuthTuneConfigurationParameters(ctx, path, schema.AuthTuneConfigurationParametersRequest{
		UserLockoutConfig: map[string]any{"lockout_threshold": "2"}})).done(t)
	call(client.Auth.UserpassWriteUser(ctx, "eve", schema.UserpassWriteUserRequest{Password: "pw"}, at)).done(t)
	for range 2 {
		call(client.Auth.UserpassLogin(ctx, "eve", schema.UserpassLoginRequest{Password: "no"}, at)).refused(t, 400, "invalid username or password")
	}
	right := schema.UserpassLoginRequest{Password: "pw"}
	call(client.Auth.UserpassLogin(ctx, "eve", right, at)).refused(t, 403, "permission denied")
	locked := call(client.System.LockedUsersList(ctx)).data(t)
	equal(t, strings.Contains(jsonOf(t, locked), `"eve"`), true)
	accessor := call(client.System.AuthReadConfiguration(ctx, path)).data(t).Accessor
	call(client.System.LockedUsersUnlock(ctx, "eve", accessor)).done(t)
	call(client.Auth.UserpassLogin(ctx, "eve", right, at)).done(t)
}

func TestLoginCertificateRevocationLists(t *testing.T) {
	client, at, _ := method(t, "cert")
	ctx := t.Context()
	call(client.Auth.CertConfigure(ctx, schema.CertConfigureRequest{DisableBinding: true, OcspCacheSize: 50}, at)).done(t)
	config := call(client.Auth.CertReadConfiguration(ctx, at)).data(t)
	equal(t, config["disable_binding"], true)
	call(client.Auth.CertWriteCrl(ctx, "ours", schema.CertWriteCrlRequest{Crl: revocationList(t)}, at)).done(t)
	includes(t, call(client.Auth.CertListCrls(ctx, at)).data(t).Keys, "ours")
	equal(t, strings.Contains(jsonOf(t, call(client.Auth.CertReadCrl(ctx, "ours", at)).data(t)), `"4711"`), true)
	call(client.Auth.CertWriteCrl(ctx, "bad", schema.CertWriteCrlRequest{Crl: "nothing"}, at)).refused(t, 400, "")
	call(client.Auth.CertDeleteCrl(ctx, "ours", at)).done(t)
	call(client.Auth.CertListCrls(ctx, at)).refused(t, 404, "")
}

// revocationList is one of a new authority, with the number 4711 in it.
func revocationList(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ours"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		SubjectKeyId: []byte{1},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	authority, err := x509.ParseCertificate(der)
	must(t, err)
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(4711), RevocationTime: time.Now()}},
	}, authority, key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list}))
}

func TestTokenIsLookedUpAndTidied(t *testing.T) {
	client := root(t)
	ctx := t.Context()
	made := call(client.Auth.TokenCreate(ctx, schema.TokenCreateRequest{Policies: []string{"default"}, Ttl: "1h"}))
	made.done(t)
	child := connect(t, made.Auth.ClientToken)
	found := call(client.Read(ctx, "auth/token/lookup", vault.WithQueryParameters(map[string][]string{"token": {made.Auth.ClientToken}}))).data(t)
	equal(t, found["accessor"], made.Auth.Accessor)
	call(child.Write(ctx, "auth/token/lookup-self", nil)).refused(t, 403, "permission denied") // `default` may only read it
	equal(t, call(client.Write(ctx, "auth/token/lookup-self", nil)).data(t)["id"], os.Getenv("VAULT_TOKEN"))
	told := call(client.System.QueryTokenAccessorCapabilities(ctx, schema.QueryTokenAccessorCapabilitiesRequest{
		Accessor: made.Auth.Accessor, Paths: []string{"cubbyhole/a", "sys/seal"}})).data(t)
	equal(t, told["sys/seal"], "[deny]")
	equal(t, told["cubbyhole/a"], "[create delete list read update]")
	tidied := call(client.Auth.TokenTidy(ctx))
	tidied.done(t)
	equal(t, strings.Contains(strings.Join(tidied.Warnings, " "), "Tidy operation successfully started"), true)
	call(child.Auth.TokenLookUpSelf(ctx)).done(t)
}

// What is in a cubbyhole is its token's alone.
func TestTokenHasACubbyhole(t *testing.T) {
	ctx := t.Context()
	client := root(t)
	made := call(client.Auth.TokenCreate(ctx, schema.TokenCreateRequest{Policies: []string{"default"}}))
	made.done(t)
	child := connect(t, made.Auth.ClientToken)
	call(child.Secrets.CubbyholeWrite(ctx, "a/b", map[string]any{"x": "1"})).done(t)
	equal(t, call(child.Secrets.CubbyholeList(ctx, "a")).data(t).Keys, "[b]")
	equal(t, call(child.Secrets.CubbyholeList(ctx, "")).data(t).Keys, "[a/]")
	equal(t, call(child.Secrets.CubbyholeRead(ctx, "a/b")).data(t)["x"], "1")
	call(client.Secrets.CubbyholeRead(ctx, "a/b")).refused(t, 404, "")
	call(child.Secrets.CubbyholeDelete(ctx, "a/b")).done(t)
	call(child.Secrets.CubbyholeRead(ctx, "a/b")).refused(t, 404, "")
}

// Errors are told apart by their status, as the client documents it.
func TestErrors(t *testing.T) {
	ctx := t.Context()
	call(connect(t, "hvs.unknown").Auth.TokenLookUpSelf(ctx)).refused(t, 403, "permission denied")
	call(root(t).Read(ctx, "nowhere/at/all")).refused(t, 404, "no handler for route")
	call(root(t).System.MountsEnableSecretsEngine(ctx, "x", schema.MountsEnableSecretsEngineRequest{Type: "none"})).refused(t, 400, "plugin")
	call(root(t).Write(ctx, "identity/mfa/method/duo", map[string]any{"a": 1})).refused(t, 400, "not available on this server")
	_, at, path := method(t, "jwt")
	call(root(t).Auth.JwtOidcRequestAuthorizationUrl(ctx, schema.JwtOidcRequestAuthorizationUrlRequest{Role: "r", RedirectUri: "http://a"}, at)).refused(t, 400, "does not send browsers")
	call(root(t).Read(ctx, "auth/"+path+"/oidc/callback")).refused(t, 400, "does not send browsers")
	call(root(t).Auth.JwtOidcCallbackFormPost(ctx, schema.JwtOidcCallbackFormPostRequest{Code: "c", State: "s"}, at)).refused(t, 400, "does not send browsers")
	call(connectTo(t, os.Getenv("COMPAT_SEALED_ADDR"), "hvs.any").Read(ctx, "secret/data/a")).refused(t, 503, "sealed")
}

package compat

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault-client-go"
	"github.com/hashicorp/vault-client-go/schema"
)

func jsonOf(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	must(t, err)
	return string(text)
}

// entity makes one that ends with the test.
func entity(t *testing.T, client *vault.Client) (name, id string) {
	t.Helper()
	name = unique("entity")
	made := call(client.Identity.EntityCreate(t.Context(), schema.EntityCreateRequest{Name: name})).data(t)
	return name, made["id"].(string)
}

func TestLoginIdentityEntitiesByNameAndInBatches(t *testing.T) {
	client, ctx := root(t), t.Context()
	name, first := entity(t, client)
	_, second := entity(t, client)
	call(client.Identity.EntityUpdateByName(ctx, name, schema.EntityUpdateByNameRequest{Policies: []string{"p"}, Metadata: map[string]any{"team": "a"}})).done(t)
	found := call(client.Identity.EntityReadById(ctx, first)).data(t)
	equal(t, found["policies"], "[p]")
	equal(t, found["metadata"], "map[team:a]")
	call(client.Identity.EntityBatchDelete(ctx, schema.EntityBatchDeleteRequest{EntityIds: []string{first, second}})).done(t)
	call(client.Identity.EntityReadById(ctx, first)).refused(t, 404, "")
	call(client.Identity.EntityReadById(ctx, second)).refused(t, 404, "")
}

func TestLoginIdentityAliases(t *testing.T) {
	client, _, path := method(t, "userpass")
	ctx := t.Context()
	accessor := call(client.System.AuthReadConfiguration(ctx, path)).data(t).Accessor
	_, first := entity(t, client)
	_, second := entity(t, client)
	made := call(client.Identity.EntityCreateAlias(ctx, schema.EntityCreateAliasRequest{
		Name: "ada", CanonicalId: first, MountAccessor: accessor})).data(t)
	alias := made["id"].(string)
	includes(t, call(client.Identity.EntityListAliasesById(ctx)).data(t).Keys, alias)
	call(client.Identity.EntityUpdateAliasById(ctx, alias, schema.EntityUpdateAliasByIdRequest{
		Name: "ada", CanonicalId: second, MountAccessor: accessor, CustomMetadata: map[string]any{"a": "1"}})).done(t)
	found := call(client.Identity.EntityReadAliasById(ctx, alias)).data(t)
	equal(t, found["canonical_id"], second)
	equal(t, found["custom_metadata"], "map[a:1]")
	call(client.Identity.EntityDeleteAliasById(ctx, alias)).done(t)
	call(client.Identity.EntityReadAliasById(ctx, alias)).refused(t, 404, "")
	for _, id := range []string{first, second} {
		call(client.Identity.EntityDeleteById(ctx, id)).done(t)
	}
}

func TestLoginIdentityGroups(t *testing.T) {
	client, _, path := method(t, "userpass")
	ctx := t.Context()
	accessor := call(client.System.AuthReadConfiguration(ctx, path)).data(t).Accessor
	_, member := entity(t, client)
	name := unique("group")
	call(client.Identity.GroupUpdateByName(ctx, name, schema.GroupUpdateByNameRequest{MemberEntityIds: []string{member}})).done(t)
	found := call(client.Identity.GroupReadByName(ctx, name)).data(t)
	id := found["id"].(string)
	includes(t, call(client.Identity.GroupListById(ctx)).data(t).Keys, id)
	includes(t, call(client.Identity.GroupListByName(ctx)).data(t).Keys, name)
	equal(t, call(client.Identity.GroupReadById(ctx, id)).data(t)["member_entity_ids"], "["+member+"]")
	call(client.Identity.GroupDeleteByName(ctx, name)).done(t)
	call(client.Identity.GroupReadById(ctx, id)).refused(t, 404, "")

	outside := call(client.Identity.GroupCreate(ctx, schema.GroupCreateRequest{Name: name, Type: "external"})).data(t)["id"].(string)
	alias := call(client.Identity.GroupCreateAlias(ctx, schema.GroupCreateAliasRequest{
		Name: "devs", CanonicalId: outside, MountAccessor: accessor})).data(t)["id"].(string)
	call(client.Identity.GroupUpdateAliasById(ctx, alias, schema.GroupUpdateAliasByIdRequest{
		Name: "developers", CanonicalId: outside, MountAccessor: accessor})).done(t)
	equal(t, call(client.Identity.GroupReadAliasById(ctx, alias)).data(t)["name"], "developers")
	includes(t, call(client.Identity.GroupListAliasesById(ctx)).data(t).Keys, alias)
	call(client.Identity.GroupDeleteAliasById(ctx, alias)).done(t)
	call(client.Identity.GroupReadAliasById(ctx, alias)).refused(t, 404, "")
	call(client.Identity.GroupDeleteById(ctx, outside)).done(t)
	call(client.Identity.EntityDeleteById(ctx, member)).done(t)
}

func TestLoginSecondFactorsAreManaged(t *testing.T) {
	client, at, path := method(t, "userpass")
	ctx := t.Context()
	accessor := call(client.System.AuthReadConfiguration(ctx, path)).data(t).Accessor
	made := call(client.Identity.MfaCreateTotpMethod(ctx, schema.MfaCreateTotpMethodRequest{Issuer: "Coffer"})).data(t)
	factor := made["method_id"].(string)
	includes(t, call(client.Identity.MfaListMethods(ctx)).data(t).Keys, factor)
	includes(t, call(client.Identity.MfaListTotpMethods(ctx)).data(t).Keys, factor)
	call(client.Identity.MfaUpdateTotpMethod(ctx, factor, schema.MfaUpdateTotpMethodRequest{
		Issuer: "Ours", Period: "60s", Digits: 8, Algorithm: "SHA256"})).done(t)
	equal(t, call(client.Identity.MfaReadTotpMethod(ctx, factor)).data(t)["issuer"], "Ours")
	found := call(client.Identity.MfaReadMethod(ctx, factor)).data(t)
	equal(t, found["digits"], 8)
	equal(t, found["type"], "totp")

	// Who is logged in makes a second factor for himself, once.
	call(client.Auth.UserpassWriteUser(ctx, "ada", schema.UserpassWriteUserRequest{Password: "pw", TokenPolicies: []string{"default"}}, at)).done(t)
	policy := unique("factor")
	call(client.System.PoliciesWriteAclPolicy(ctx, policy, schema.PoliciesWriteAclPolicyRequest{
		Policy: `path "identity/mfa/method/totp/generate" { capabilities = ["update"] }`})).done(t)
	call(client.Auth.UserpassUpdatePolicies(ctx, "ada", schema.UserpassUpdatePoliciesRequest{TokenPolicies: []string{policy}}, at)).done(t)
	login := schema.UserpassLoginRequest{Password: "pw"}
	entered := call(client.Auth.UserpassLogin(ctx, "ada", login, at))
	entered.done(t)
	ada := connect(t, entered.Auth.ClientToken)
	generate := schema.MfaGenerateTotpSecretRequest{MethodId: factor}
	url := call(ada.Identity.MfaGenerateTotpSecret(ctx, generate)).data(t)["url"].(string)
	equal(t, strings.HasPrefix(url, "otpauth://totp/Ours:") && strings.Contains(url, "digits=8"), true)
	again := call(ada.Identity.MfaGenerateTotpSecret(ctx, generate))
	again.done(t)
	equal(t, len(again.Warnings), 1)

	rule := unique("rule")
	call(client.Identity.MfaWriteLoginEnforcement(ctx, rule, schema.MfaWriteLoginEnforcementRequest{
		MfaMethodIds: []string{factor}, AuthMethodAccessors: []string{accessor}})).done(t)
	includes(t, call(client.Identity.MfaListLoginEnforcements(ctx)).data(t).Keys, rule)
	equal(t, call(client.Identity.MfaReadLoginEnforcement(ctx, rule)).data(t)["auth_method_accessors"], "["+accessor+"]")
	waiting := call(client.Auth.UserpassLogin(ctx, "ada", login, at))
	waiting.done(t)
	equal(t, waiting.Auth.ClientToken, "")
	equal(t, waiting.Auth.MFARequirement.MFARequestID != "", true)
	call(client.Identity.MfaDeleteLoginEnforcement(ctx, rule)).done(t)

	call(client.Identity.MfaAdminDestroyTotpSecret(ctx, schema.MfaAdminDestroyTotpSecretRequest{
		EntityId: entered.Auth.EntityID, MethodId: factor})).done(t)
	equal(t, call(ada.Identity.MfaGenerateTotpSecret(ctx, generate)).data(t)["url"] != url, true)
	call(client.Identity.MfaDeleteTotpMethod(ctx, factor)).done(t)
	call(client.Identity.MfaReadTotpMethod(ctx, factor)).refused(t, 404, "")
}

// A token that says who somebody is, to others who know only the public keys.
func TestLoginIdentityTokens(t *testing.T) {
	client, at, _ := method(t, "userpass")
	ctx := t.Context()
	issuer := call(client.Identity.OidcReadConfiguration(ctx)).data(t)
	call(client.Identity.OidcConfigure(ctx, schema.OidcConfigureRequest{Issuer: "https://coffer.example"})).done(t)
	defer client.Identity.OidcConfigure(ctx, schema.OidcConfigureRequest{Issuer: issuer["issuer"].(string)})
	key, role := unique("key"), unique("role")
	call(client.Identity.OidcWriteKey(ctx, key, schema.OidcWriteKeyRequest{Algorithm: "ES256", AllowedClientIds: []string{"*"}})).done(t)
	includes(t, call(client.Identity.OidcListKeys(ctx)).data(t).Keys, key)
	equal(t, call(client.Identity.OidcReadKey(ctx, key)).data(t)["algorithm"], "ES256")
	call(client.Identity.OidcWriteRole(ctx, role, schema.OidcWriteRoleRequest{Key: key, Ttl: "10m", Template: `{"name": {{identity.entity.name}}}`})).done(t)
	includes(t, call(client.Identity.OidcListRoles(ctx)).data(t).Keys, role)
	audience := call(client.Identity.OidcReadRole(ctx, role)).data(t)["client_id"]

	ada, _ := person(t, client, at, `path "identity/oidc/token/*" { capabilities = ["read"] }`)
	token := call(ada.Identity.OidcGenerateToken(ctx, role)).data(t)["token"].(string)
	claims := claimsOf(t, token)
	equal(t, claims["iss"], "https://coffer.example/v1/identity/oidc")
	equal(t, claims["aud"], audience)
	told := call(client.Write(ctx, "identity/oidc/introspect", map[string]any{"token": token}))
	told.done(t)

	keys := raw(t, client, "identity/oidc/.well-known/keys")
	call(client.Identity.OidcRotateKey(ctx, key, schema.OidcRotateKeyRequest{VerificationTtl: "1h"})).done(t)
	equal(t, len(raw(t, client, "identity/oidc/.well-known/keys")["keys"].([]any)) > len(keys["keys"].([]any)), true)
	equal(t, raw(t, client, "identity/oidc/.well-known/openid-configuration")["issuer"], "https://coffer.example/v1/identity/oidc")
	call(client.Identity.OidcDeleteKey(ctx, key)).refused(t, 400, "unable to delete key")
	call(client.Identity.OidcDeleteRole(ctx, role)).done(t)
	call(client.Identity.OidcDeleteKey(ctx, key)).done(t)
}

// person is somebody logged in who may do this, and the id of the entity.
func person(t *testing.T, client *vault.Client, at vault.RequestOption, rules string) (*vault.Client, string) {
	t.Helper()
	ctx, policy := t.Context(), unique("person")
	call(client.System.PoliciesWriteAclPolicy(ctx, policy, schema.PoliciesWriteAclPolicyRequest{Policy: rules})).done(t)
	call(client.Auth.UserpassWriteUser(ctx, "ada", schema.UserpassWriteUserRequest{Password: "pw", TokenPolicies: []string{policy}}, at)).done(t)
	entered := call(client.Auth.UserpassLogin(ctx, "ada", schema.UserpassLoginRequest{Password: "pw"}, at))
	entered.done(t)
	return connect(t, entered.Auth.ClientToken), entered.Auth.EntityID
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	must(t, err)
	claims := map[string]any{}
	must(t, json.Unmarshal(text, &claims))
	return claims
}

// raw is an answer that is not of Vault's form.
func raw(t *testing.T, client *vault.Client, path string, options ...vault.RequestOption) map[string]any {
	t.Helper()
	response, err := client.ReadRaw(t.Context(), path, options...)
	must(t, err)
	defer response.Body.Close()
	body := map[string]any{}
	must(t, json.NewDecoder(response.Body).Decode(&body))
	return body
}

// The way of an application that lets people in by OIDC: authorize, code, tokens, who it is.
func TestLoginOidcProvider(t *testing.T) {
	client, at, _ := method(t, "userpass")
	ctx := t.Context()
	ada, id := person(t, client, at, `path "identity/oidc/provider/*" { capabilities = ["read", "update"] }`)
	all, key, scope, app, provider := unique("all"), unique("key"), unique("scope"), unique("app"), unique("provider")
	call(client.Identity.OidcWriteAssignment(ctx, all, schema.OidcWriteAssignmentRequest{EntityIds: []string{id}})).done(t)
	includes(t, call(client.Identity.OidcListAssignments(ctx)).data(t).Keys, all)
	equal(t, call(client.Identity.OidcReadAssignment(ctx, all)).data(t)["entity_ids"], "["+id+"]")
	call(client.Identity.OidcWriteKey(ctx, key, schema.OidcWriteKeyRequest{AllowedClientIds: []string{"*"}})).done(t)
	call(client.Identity.OidcWriteScope(ctx, scope, schema.OidcWriteScopeRequest{Template: `{"called": {{identity.entity.name}}}`})).done(t)
	includes(t, call(client.Identity.OidcListScopes(ctx)).data(t).Keys, scope)
	equal(t, strings.Contains(call(client.Identity.OidcReadScope(ctx, scope)).data(t)["template"].(string), "called"), true)
	back := "https://app.example/callback"
	call(client.Identity.OidcWriteClient(ctx, app, schema.OidcWriteClientRequest{
		Key: key, RedirectUris: []string{back}, Assignments: []string{all}, IdTokenTtl: "10m", AccessTokenTtl: "1h"})).done(t)
	includes(t, call(client.Identity.OidcListClients(ctx)).data(t).Keys, app)
	known := call(client.Identity.OidcReadClient(ctx, app)).data(t)
	clientID, secret := known["client_id"].(string), known["client_secret"].(string)
	call(client.Identity.OidcWriteProvider(ctx, provider, schema.OidcWriteProviderRequest{
		AllowedClientIds: []string{clientID}, ScopesSupported: []string{scope}})).done(t)
	includes(t, call(client.Identity.OidcListProviders(ctx, "")).data(t).Keys, provider)
	equal(t, call(client.Identity.OidcReadProvider(ctx, provider)).data(t)["scopes_supported"], "["+scope+"]")
	op := "identity/oidc/provider/" + provider
	equal(t, len(raw(t, client, op+"/.well-known/keys")["keys"].([]any)) > 0, true)
	issuer := raw(t, client, op+"/.well-known/openid-configuration")["issuer"].(string)
	equal(t, strings.HasSuffix(issuer, "/v1/"+op), true)

	verifier := strings.Repeat("v", 43)
	hash := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(hash[:])
	ask := map[string][]string{"client_id": {clientID}, "redirect_uri": {back}, "response_type": {"code"}, "nonce": {"n"},
		"scope": {"openid " + scope}, "state": {"s"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	granted := raw(t, ada, op+"/authorize", vault.WithQueryParameters(ask))
	equal(t, granted["state"], "s")
	trade := schema.OidcProviderTokenRequest{GrantType: "authorization_code", RedirectUri: back, ClientId: clientID,
		ClientSecret: secret, Code: granted["code"].(string), CodeVerifier: verifier}
	tokens := traded(t, client, provider, trade)
	claims := claimsOf(t, tokens["id_token"].(string))
	equal(t, claims["aud"], clientID)
	equal(t, claims["nonce"], "n")
	equal(t, claims["sub"], id)
	bearer := connect(t, tokens["access_token"].(string))
	who := raw(t, bearer, op+"/userinfo")
	equal(t, who["sub"], id)
	equal(t, who["called"] != nil, true)
	_, err := client.Identity.OidcProviderToken(ctx, provider, trade)
	equal(t, vault.IsErrorStatus(err, 400), true)
	// The same by POST.
	body := map[string]any{}
	call(ada.Identity.OidcProviderAuthorizeWithParameters(ctx, provider, schema.OidcProviderAuthorizeWithParametersRequest{
		ClientId: clientID, RedirectUri: back, ResponseType: "code", Scope: "openid", State: "t"},
		vault.WithResponseCallbacks(keeping(t, &body)))).done(t)
	equal(t, body["state"], "t")
	call(bearer.Write(ctx, op+"/userinfo", nil, vault.WithResponseCallbacks(keeping(t, &body)))).done(t)
	equal(t, body["sub"], id)

	call(client.Identity.OidcDeleteProvider(ctx, provider)).done(t)
	call(client.Identity.OidcDeleteClient(ctx, app)).done(t)
	call(client.Identity.OidcDeleteScope(ctx, scope)).done(t)
	call(client.Identity.OidcDeleteAssignment(ctx, all)).done(t)
	call(client.Identity.OidcReadProvider(ctx, provider)).refused(t, 404, "")
}

// traded asks for the tokens of a code; the answer is that of OIDC, which the generated call does not read.
func traded(t *testing.T, client *vault.Client, provider string, trade schema.OidcProviderTokenRequest) map[string]any {
	t.Helper()
	body := map[string]any{}
	keep := vault.WithResponseCallbacks(keeping(t, &body))
	_, err := client.Identity.OidcProviderToken(t.Context(), provider, trade, keep)
	must(t, err)
	return body
}

// keeping reads an answer for the test too.
func keeping[T any](t *testing.T, body *T) vault.ResponseCallback {
	return func(_ *http.Request, response *http.Response) {
		if response.StatusCode != http.StatusOK {
			return
		}
		text, err := io.ReadAll(response.Body)
		must(t, err)
		must(t, json.Unmarshal(text, body))
		response.Body = io.NopCloser(bytes.NewReader(text))
	}
}

package compat

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/vault-client-go"
	"github.com/hashicorp/vault-client-go/schema"
)

// mounted enables an engine of the test's own.
func mounted(t *testing.T, kind string, options map[string]any) (*vault.Client, string) {
	t.Helper()
	client, path := root(t), unique(kind)
	call(client.System.MountsEnableSecretsEngine(t.Context(), path, schema.MountsEnableSecretsEngineRequest{Type: kind, Options: options})).done(t)
	t.Cleanup(func() { _, _ = client.System.MountsDisableSecretsEngine(context.Background(), path) })
	return client, path
}

func TestSystemMountsAreToldOneByOne(t *testing.T) {
	client, path := mounted(t, "kv", map[string]any{"version": "2"})
	ctx := t.Context()
	found := call(client.System.MountsReadConfiguration(ctx, path)).data(t)
	equal(t, found.Type, "kv")
	equal(t, found.Options["version"], "2")
	equal(t, call(client.System.InternalUiReadMountInformation(ctx, path)).data(t).Accessor, found.Accessor)
	call(client.System.MountsReadConfiguration(ctx, "nowhere")).refused(t, 400, "No secret engine mount at")
	_, _, people := method(t, "userpass")
	equal(t, call(client.System.AuthReadConfiguration(ctx, people)).data(t).Type, "userpass")
	call(client.System.AuthTuneConfigurationParameters(ctx, people, schema.AuthTuneConfigurationParametersRequest{ListingVisibility: "unauth"})).done(t)
	seen := call(connect(t, "").System.InternalUiListEnabledVisibleMounts(ctx)).data(t)
	equal(t, seen.Auth[people+"/"] != nil, true)
	equal(t, len(seen.Secret), 0)
}

func TestSystemHeadersOfWebPages(t *testing.T) {
	client, ctx := root(t), t.Context()
	call(client.System.CorsConfigure(ctx, schema.CorsConfigureRequest{
		Enable: true, AllowedOrigins: []string{"https://app.example"}, AllowedHeaders: []string{"X-Ours"}})).done(t)
	config := call(client.System.CorsReadConfiguration(ctx)).data(t)
	equal(t, config.Enabled, true)
	equal(t, config.AllowedOrigins, "[https://app.example]")
	includes(t, config.AllowedHeaders, "X-Ours")
	var seen string
	callback := vault.WithResponseCallbacks(func(_ *http.Request, response *http.Response) {
		seen = response.Header.Get("Access-Control-Allow-Origin")
	})
	origin := vault.WithCustomHeaders(http.Header{"Origin": {"https://app.example"}})
	call(client.System.SealStatus(ctx, origin, callback)).done(t)
	equal(t, seen, "https://app.example")
	call(client.System.SealStatus(ctx, vault.WithCustomHeaders(http.Header{"Origin": {"https://else.example"}}))).refused(t, 403, "origin not allowed")
	call(client.System.CorsDeleteConfiguration(ctx)).done(t)
	equal(t, call(client.System.CorsReadConfiguration(ctx)).data(t).Enabled, false)

	call(client.System.UiHeadersConfigure(ctx, "X-Frame-Options", schema.UiHeadersConfigureRequest{Values: []string{"DENY"}})).done(t)
	includes(t, call(client.System.UiHeadersList(ctx)).data(t).Keys, "X-Frame-Options")
	equal(t, call(client.System.UiHeadersReadConfiguration(ctx, "X-Frame-Options")).data(t).Value, "DENY")
	call(client.System.UiHeadersDeleteConfiguration(ctx, "X-Frame-Options")).done(t)
	call(client.System.UiHeadersConfigure(ctx, "X-Vault-Ours", schema.UiHeadersConfigureRequest{Values: []string{"a"}})).refused(t, 400, "X-Vault")
}

func TestSystemHeadersInTheAuditTrail(t *testing.T) {
	client, ctx := root(t), t.Context()
	call(client.System.AuditingEnableRequestHeader(ctx, "X-Ours", schema.AuditingEnableRequestHeaderRequest{Hmac: true})).done(t)
	equal(t, call(client.System.AuditingReadRequestHeaderInformation(ctx, "X-Ours")).data(t)["X-Ours"], "map[hmac:true]")
	equal(t, call(client.System.AuditingListRequestHeaders(ctx)).data(t).Headers["x-ours"], "map[hmac:true]")
	call(client.System.AuditingDisableRequestHeader(ctx, "X-Ours")).done(t)
	call(client.System.AuditingReadRequestHeaderInformation(ctx, "X-Ours")).refused(t, 400, "Could not find")
}

func TestSystemTools(t *testing.T) {
	client, ctx := root(t), t.Context()
	random := call(client.System.GenerateRandomWithSourceAndBytes(ctx, "platform", "16", schema.GenerateRandomWithSourceAndBytesRequest{Format: "hex"})).data(t)
	bytes, err := hex.DecodeString(random.RandomBytes)
	must(t, err)
	equal(t, len(bytes), 16)
	plain := call(client.System.GenerateRandom(ctx, schema.GenerateRandomRequest{Bytes: 9})).data(t)
	equal(t, len(plain.RandomBytes), 12)
	sum := call(client.System.GenerateHashWithAlgorithm(ctx, "sha2-256", schema.GenerateHashWithAlgorithmRequest{
		Input: base64.StdEncoding.EncodeToString([]byte("abc"))})).data(t).Sum
	equal(t, sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
	call(client.System.GenerateHash(ctx, schema.GenerateHashRequest{Input: "YWJj", Algorithm: "md5"})).refused(t, 400, "unsupported algorithm")
}

func TestSystemRateLimits(t *testing.T) {
	client, path := mounted(t, "kv", nil)
	ctx, name := t.Context(), unique("limit")
	before := call(client.System.RateLimitQuotasReadConfiguration(ctx)).data(t)
	call(client.System.RateLimitQuotasConfigure(ctx, schema.RateLimitQuotasConfigureRequest{
		EnableRateLimitResponseHeaders: true, RateLimitExemptPaths: []string{"sys/health"}})).done(t)
	defer func() {
		call(client.System.RateLimitQuotasConfigure(ctx, schema.RateLimitQuotasConfigureRequest{
			RateLimitExemptPaths: before.RateLimitExemptPaths})).done(t)
	}()
	equal(t, call(client.System.RateLimitQuotasReadConfiguration(ctx)).data(t).RateLimitExemptPaths, "[sys/health]")
	call(client.System.RateLimitQuotasWrite(ctx, name, schema.RateLimitQuotasWriteRequest{Path: path, Rate: 2, Interval: "1m"})).done(t)
	includes(t, call(client.System.RateLimitQuotasList(ctx)).data(t).Keys, name)
	limit := call(client.System.RateLimitQuotasRead(ctx, name)).data(t)
	equal(t, limit.Rate, 2)
	equal(t, limit.Interval, 60)
	equal(t, limit.Path, path+"/")
	for range 2 {
		call(client.Read(ctx, path+"/none")).refused(t, 404, "")
	}
	call(client.Read(ctx, path+"/none")).refused(t, 429, "quota")
	call(client.System.RateLimitQuotasDelete(ctx, name)).done(t)
	call(client.Read(ctx, path+"/none")).refused(t, 404, "")
}

func TestSystemLeases(t *testing.T) {
	client, path := mounted(t, "kv", nil)
	ctx := t.Context()
	call(client.System.MountsTuneConfigurationParameters(ctx, path, schema.MountsTuneConfigurationParametersRequest{
		MaxLeaseTtl: "10h", Options: map[string]any{"leased_passthrough": "true"}})).done(t)
	call(client.Secrets.KvV1Write(ctx, "a", map[string]any{"x": "1", "ttl": "1h"}, vault.WithMountPath(path))).done(t)
	lease := func() string {
		read := call(client.Secrets.KvV1Read(ctx, "a", vault.WithMountPath(path)))
		read.done(t)
		return read.LeaseID
	}
	first, second, third := lease(), lease(), lease()
	if first == "" {
		t.Skip("the mount has no leases")
	}
	found := call(client.System.LeasesReadLease(ctx, schema.LeasesReadLeaseRequest{LeaseId: first})).data(t)
	equal(t, found.Id, first)
	equal(t, len(call(client.System.LeasesLookUp(ctx, path+"/a")).data(t).Keys), 3)
	includes(t, call(client.List(ctx, "sys/leases/lookup")).data(t)["keys"].([]any), any(path+"/"))
	renewed := call(client.System.LeasesRenewLease(ctx, schema.LeasesRenewLeaseRequest{LeaseId: first, Increment: "2h"}))
	renewed.done(t)
	equal(t, renewed.LeaseID, first)
	call(client.System.LeasesRenewLeaseWithId(ctx, first, schema.LeasesRenewLeaseWithIdRequest{})).done(t)
	call(client.Write(ctx, "sys/renew", map[string]any{"lease_id": first})).done(t)
	call(client.Write(ctx, "sys/renew/"+first, nil)).done(t)
	counted := call(client.Read(ctx, "sys/leases/count", vault.WithQueryParameters(map[string][]string{"type": {"irrevocable"}}))).data(t)
	equal(t, counted["lease_count"], 0)
	listed := call(client.Read(ctx, "sys/leases", vault.WithQueryParameters(map[string][]string{"type": {"irrevocable"}}))).data(t)
	equal(t, listed["lease_count"], 0)
	call(client.System.LeasesRevokeLease(ctx, schema.LeasesRevokeLeaseRequest{LeaseId: first, Sync: true})).done(t)
	call(client.System.LeasesReadLease(ctx, schema.LeasesReadLeaseRequest{LeaseId: first})).refused(t, 400, "invalid lease")
	call(client.System.LeasesRevokeLeaseWithId(ctx, second, schema.LeasesRevokeLeaseWithIdRequest{Sync: true})).done(t)
	call(client.Write(ctx, "sys/revoke", map[string]any{"lease_id": third})).done(t)
	call(client.Write(ctx, "sys/revoke/"+lease(), nil)).done(t)
	call(client.System.LeasesTidy(ctx)).done(t)
}

func TestSystemLogLevels(t *testing.T) {
	client, ctx := root(t), t.Context()
	before := call(client.System.LoggersReadVerbosityLevel(ctx)).data(t)
	call(client.System.LoggersUpdateVerbosityLevel(ctx, schema.LoggersUpdateVerbosityLevelRequest{Level: "warn"})).done(t)
	for name := range before {
		equal(t, call(client.System.LoggersReadVerbosityLevelFor(ctx, name)).data(t)[name], "warn")
		call(client.System.LoggersUpdateVerbosityLevelFor(ctx, name, schema.LoggersUpdateVerbosityLevelForRequest{Level: "error"})).done(t)
		equal(t, call(client.System.LoggersReadVerbosityLevelFor(ctx, name)).data(t)[name], "error")
		call(client.System.LoggersRevertVerbosityLevelFor(ctx, name)).done(t)
		break
	}
	call(client.System.LoggersUpdateVerbosityLevel(ctx, schema.LoggersUpdateVerbosityLevelRequest{Level: "loud"})).refused(t, 400, "level")
	call(client.System.LoggersRevertVerbosityLevel(ctx)).done(t)
	equal(t, call(client.System.LoggersReadVerbosityLevel(ctx)).data(t), before)
}

func TestSystemSaysWhatItIs(t *testing.T) {
	client, ctx := root(t), t.Context()
	nodes := call(client.System.HaStatus(ctx)).data(t).Nodes
	equal(t, len(nodes), 1)
	equal(t, nodes[0]["active_node"], true)
	host := call(client.System.CollectHostInformation(ctx)).data(t)
	equal(t, host.Timestamp.IsZero(), false)
	flying := call(client.System.CollectInFlightRequestInformation(ctx)).data(t)
	equal(t, len(flying), 1)
	versions := call(client.System.VersionHistory(ctx)).data(t)
	equal(t, len(versions.Keys) > 0 && versions.KeyInfo[versions.Keys[0]] != nil, true)
	term := call(client.System.EncryptionKeyStatus(ctx)).data(t)
	equal(t, term["term"] != nil && term["install_time"] != nil, true)
	equal(t, call(client.System.ReadSanitizedConfigurationState(ctx)).data(t)["storage"] != nil, true)
	equal(t, call(client.System.ReadReplicationStatus(ctx)).data(t)["mode"], "disabled")
	call(client.System.ListExperimentalFeatures(ctx)).done(t)
	call(client.System.InternalUiListEnabledFeatureFlags(ctx)).done(t)
	equal(t, call(client.System.InternalUiReadResultantAcl(ctx)).data(t).Root, true)
	spec := raw(t, client, "sys/internal/specs/openapi")
	equal(t, strings.HasPrefix(spec["openapi"].(string), "3."), true)
	equal(t, len(spec["paths"].(map[string]any)) > 200, true)
	metrics := raw(t, client, "sys/metrics")
	equal(t, len(metrics["Gauges"].([]any)) > 0, true)
	backends := call(client.Read(ctx, "sys/seal-backend-status")).data(t)
	equal(t, backends["healthy"], true)
	call(client.Read(ctx, "sys/license/status")).refused(t, 404, "")
}

func TestSystemCounters(t *testing.T) {
	client, ctx := root(t), t.Context()
	entities := call(client.System.InternalCountEntities(ctx)).data(t).Counters
	equal(t, entities["entities"] != nil, true)
	tokens := func() int64 {
		count := call(client.System.InternalCountTokens(ctx)).data(t).Counters["service_tokens"].(map[string]any)["total"]
		number, err := count.(json.Number).Int64()
		must(t, err)
		return number
	}
	before := tokens()
	call(client.Auth.TokenCreate(ctx, schema.TokenCreateRequest{Ttl: "1h"})).done(t)
	equal(t, tokens(), before+1)
	call(client.System.InternalCountRequests(ctx)).refused(t, 404, "removed")
	call(client.System.InternalClientActivityReadConfiguration(ctx)).data(t)
	call(client.System.InternalClientActivityReportCountsThisMonth(ctx)).done(t)
	call(client.System.InternalClientActivityReportCounts(ctx)).done(t)
}

func TestSystemPlugins(t *testing.T) {
	client, ctx := root(t), t.Context()
	all := call(client.Read(ctx, "sys/plugins/catalog")).data(t)
	includes(t, all["secret"].([]any), any("transit"))
	includes(t, call(client.System.PluginsCatalogListPluginsWithType(ctx, "auth")).data(t).Keys, "userpass")
	one := call(client.System.PluginsCatalogReadPluginConfigurationWithType(ctx, "kv", "secret")).data(t)
	equal(t, one.Builtin, true)
	call(client.System.PluginsCatalogRegisterPluginWithType(ctx, "mine", "secret", schema.PluginsCatalogRegisterPluginWithTypeRequest{
		Command: "mine", Sha256: strings.Repeat("0", 64)})).refused(t, 400, "")
	call(client.System.PluginsCatalogRemovePluginWithType(ctx, "mine", "secret")).done(t)
	call(client.System.PluginsReloadBackends(ctx, schema.PluginsReloadBackendsRequest{Plugin: "kv"})).done(t)
	call(client.System.PluginsRuntimesCatalogListPluginsRuntimes(ctx)).done(t)
	call(client.Read(ctx, "sys/plugins/pins")).done(t)
}

func TestPoliciesForPasswords(t *testing.T) {
	client, ctx, name := root(t), t.Context(), unique("digits")
	text := `length = 12
rule "charset" { charset = "0123456789" }`
	call(client.System.PoliciesWritePasswordPolicy(ctx, name, schema.PoliciesWritePasswordPolicyRequest{Policy: text})).done(t)
	includes(t, call(client.System.PoliciesListPasswordPolicies(ctx)).data(t).Keys, name)
	equal(t, call(client.System.PoliciesReadPasswordPolicy(ctx, name)).data(t).Policy, text)
	first := call(client.System.PoliciesGeneratePasswordFromPasswordPolicy(ctx, name)).data(t).Password
	equal(t, regexp.MustCompile(`^[0-9]{12}$`).MatchString(first), true)
	equal(t, call(client.System.PoliciesGeneratePasswordFromPasswordPolicy(ctx, name)).data(t).Password != first, true)
	call(client.System.PoliciesWritePasswordPolicy(ctx, name, schema.PoliciesWritePasswordPolicyRequest{Policy: "length = 2\n" + `rule "charset" { charset = "abc" }`})).refused(t, 400, "between 4 and 100")
	call(client.System.PoliciesDeletePasswordPolicy(ctx, name)).done(t)
	call(client.System.PoliciesReadPasswordPolicy(ctx, name)).refused(t, 404, "")
}

func TestPoliciesAreListedInTheOldWay(t *testing.T) {
	client, ctx := root(t), t.Context()
	includes(t, call(client.List(ctx, "sys/policy")).data(t)["keys"].([]any), any("default"))
	call(client.Read(ctx, "sys/config/group-policy-application")).refused(t, 404, "enterprise-only feature")
}

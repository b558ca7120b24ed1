package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

func TestWrappingIsOpenedOnce(t *testing.T) {
	client, mount := mounted(t, "kv")
	_, err := client.Logical().Write(mount+"/a", map[string]any{"secret": "s"})
	must(t, err)
	client.SetWrappingLookupFunc(func(operation, path string) string { return "60s" })
	wrapped, err := client.Logical().Read(mount + "/a")
	must(t, err)
	equal(t, wrapped.WrapInfo.TTL, 60)
	equal(t, wrapped.WrapInfo.CreationPath, mount+"/a")
	client.SetWrappingLookupFunc(nil)
	opened, err := client.Logical().Unwrap(wrapped.WrapInfo.Token)
	must(t, err)
	equal(t, opened.Data["secret"].(string), "s")
	_, err = client.Logical().Unwrap(wrapped.WrapInfo.Token)
	refused(t, err, 400, "wrapping token is not valid or does not exist")
}

func TestWrappingByTheTokenItself(t *testing.T) {
	client := root(t)
	client.SetWrappingLookupFunc(func(operation, path string) string { return "2m" })
	wrapped, err := client.Logical().Write("sys/wrapping/wrap", map[string]any{"a": "1"})
	must(t, err)
	opened, err := connect(t, wrapped.WrapInfo.Token).Logical().Unwrap("")
	must(t, err)
	equal(t, opened.Data["a"].(string), "1")
}

func TestPoliciesAreWrittenReadListedDeleted(t *testing.T) {
	sys, name := root(t).Sys(), "policy-"+unique()
	rules := `path "secret/data/*" { capabilities = ["read"] }`
	must(t, sys.PutPolicy(name, rules))
	found, err := sys.GetPolicy(name)
	must(t, err)
	equal(t, found, rules)
	names, err := sys.ListPolicies()
	must(t, err)
	equal(t, strings.Contains(strings.Join(names, " "), name), true)
	must(t, sys.DeletePolicy(name))
	found, err = sys.GetPolicy(name)
	must(t, err)
	equal(t, found, "")
	refused(t, sys.PutPolicy(name, "path {"), 400, "failed to parse policy")
}

func TestPoliciesAllowWhatTheySay(t *testing.T) {
	client, mount := mounted(t, "kv")
	name := "policy-" + unique()
	must(t, client.Sys().PutPolicy(name, `path "`+mount+`/*" { capabilities = ["create"] }`))
	made, err := client.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{name}, NoDefaultPolicy: true})
	must(t, err)
	child := connect(t, made.Auth.ClientToken)
	_, err = child.Logical().Write(mount+"/a", map[string]any{"a": 1})
	must(t, err)
	_, err = child.Logical().Write(mount+"/a", map[string]any{"a": 2})
	refused(t, err, 403, "permission denied")
	capabilities, err := client.Sys().Capabilities(made.Auth.ClientToken, mount+"/a")
	must(t, err)
	equal(t, fmt.Sprint(capabilities), "[create]")
}

func TestLoginMethodIsEnabledTunedListed(t *testing.T) {
	sys, path := root(t).Sys(), "go-"+unique()
	must(t, sys.EnableAuthWithOptions(path, &api.EnableAuthOptions{Type: "userpass", Description: "of a test"}))
	must(t, sys.TuneMount("auth/"+path, api.MountConfigInput{MaxLeaseTTL: "1h"}))
	methods, err := sys.ListAuth()
	must(t, err)
	equal(t, methods[path+"/"].Description, "of a test")
	config, err := sys.MountConfig("auth/" + path)
	must(t, err)
	equal(t, config.MaxLeaseTTL, 3600)
	must(t, sys.DisableAuth(path))
}

func TestTokenIsRenewedByTheWatcher(t *testing.T) {
	client := root(t)
	made, err := client.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"default"}, TTL: "2s"})
	must(t, err)
	watcher, err := connect(t, made.Auth.ClientToken).NewLifetimeWatcher(
		&api.LifetimeWatcherInput{Secret: made, Increment: 60, RenewBehavior: api.RenewBehaviorIgnoreErrors})
	must(t, err)
	go watcher.Start()
	defer watcher.Stop()
	select {
	case renewal := <-watcher.RenewCh():
		equal(t, renewal.Secret.Auth.LeaseDuration, 60)
	case err := <-watcher.DoneCh():
		t.Fatalf("the watcher ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("nothing was renewed")
	}
}

func TestTokenEndsWithItsTime(t *testing.T) {
	made, err := root(t).Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"default"}, TTL: "1s"})
	must(t, err)
	child := connect(t, made.Auth.ClientToken)
	for err == nil {
		time.Sleep(100 * time.Millisecond)
		_, err = child.Auth().Token().LookupSelf()
	}
	refused(t, err, 403, "permission denied")
}

func TestTokenByAccessorAndRole(t *testing.T) {
	client, role := root(t), "role-"+unique()
	tokens := client.Auth().Token()
	_, err := client.Logical().Write("auth/token/roles/"+role, map[string]any{"allowed_policies": "default", "period": "1h"})
	must(t, err)
	made, err := tokens.CreateWithRole(&api.TokenCreateRequest{}, role)
	must(t, err)
	equal(t, made.Auth.LeaseDuration, 3600)
	found, err := tokens.LookupAccessor(made.Auth.Accessor)
	must(t, err)
	equal(t, found.Data["role"].(string), role)
	_, err = tokens.RenewAccessor(made.Auth.Accessor, 60)
	must(t, err)
	must(t, tokens.RevokeAccessor(made.Auth.Accessor))
	_, err = tokens.Lookup(made.Auth.ClientToken)
	refused(t, err, 403, "bad token")
	orphan, err := tokens.CreateOrphan(&api.TokenCreateRequest{Policies: []string{"default"}, Metadata: map[string]string{"a": "1"}})
	must(t, err)
	must(t, tokens.RevokeTree(orphan.Auth.ClientToken))
}

func TestSystemCapabilitiesAuditRemountKeyStatus(t *testing.T) {
	client, mount := mounted(t, "kv")
	_, err := client.Logical().Write(mount+"/a", map[string]any{"a": 1})
	must(t, err)
	moved := "go-" + unique()
	must(t, client.Sys().Remount(mount, moved))
	secret, err := client.Logical().Read(moved + "/a")
	must(t, err)
	equal(t, secret.Data["a"].(json.Number), "1")
	must(t, client.Sys().Remount(moved, mount))

	device := "audit-" + unique()
	must(t, client.Sys().EnableAuditWithOptions(device, &api.EnableAuditOptions{
		Type: "file", Options: map[string]string{"file_path": os.DevNull}}))
	devices, err := client.Sys().ListAudit()
	must(t, err)
	equal(t, devices[device+"/"].Type, "file")
	hash, err := client.Sys().AuditHash(device, "hello")
	must(t, err)
	equal(t, strings.HasPrefix(hash, "hmac-sha256:"), true)
	must(t, client.Sys().DisableAudit(device))
}

func TestSystemLogIsReadAlong(t *testing.T) {
	client, mount := mounted(t, "kv")
	reading, end := context.WithCancel(context.Background())
	defer end()
	_, err := client.Sys().Monitor(reading, "loud", "")
	refused(t, err, 400, "unknown log level")
	lines, err := client.Sys().Monitor(reading, "info", "json")
	must(t, err)

	moved := "go-" + unique()
	must(t, client.Sys().Remount(mount, moved))
	for line := range lines {
		if strings.Contains(line, moved) {
			must(t, client.Sys().Remount(moved, mount))
			return
		}
	}
	t.Fatal("the log ended before it told of the move")
}

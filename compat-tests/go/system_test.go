package compat

import (
	"encoding/json"
	"testing"

	"github.com/hashicorp/vault/api"
)

func TestSystemHealthSealStatusLeader(t *testing.T) {
	client := root(t)
	health, err := client.Sys().Health()
	must(t, err)
	equal(t, health.Initialized && !health.Sealed && !health.Standby, true)
	status, err := client.Sys().SealStatus()
	must(t, err)
	equal(t, status.Initialized && !status.Sealed && status.Type == "shamir", true)
	_, err = client.Sys().Leader()
	must(t, err)
}

func TestSystemMountIsListedTunedAndDisabled(t *testing.T) {
	client, path := root(t), "go-"+unique()
	must(t, client.Sys().Mount(path, &api.MountInput{Type: "transit", Description: "of a test"}))
	mounts, err := client.Sys().ListMounts()
	must(t, err)
	equal(t, mounts[path+"/"].Description, "of a test")
	must(t, client.Sys().TuneMount(path, api.MountConfigInput{DefaultLeaseTTL: "1h"}))
	config, err := client.Sys().MountConfig(path)
	must(t, err)
	equal(t, config.DefaultLeaseTTL, 3600)
	refused(t, client.Sys().Mount(path, &api.MountInput{Type: "transit"}), 400, "path is already in use")
	must(t, client.Sys().Unmount(path))
	mounts, err = client.Sys().ListMounts()
	must(t, err)
	equal(t, mounts[path+"/"] == nil, true)
}

func TestTokenLives(t *testing.T) {
	created, err := root(t).Auth().Token().Create(&api.TokenCreateRequest{TTL: "1h", DisplayName: "child"})
	must(t, err)
	equal(t, created.Auth.LeaseDuration, 3600)
	child := connect(t, created.Auth.ClientToken)

	found, err := child.Auth().Token().LookupSelf()
	must(t, err)
	equal(t, found.Data["display_name"].(string), "token-child")
	equal(t, found.Data["creation_ttl"].(json.Number), "3600")

	renewed, err := child.Auth().Token().RenewSelf(1800)
	must(t, err)
	equal(t, renewed.Auth.LeaseDuration, 1800)

	must(t, child.Auth().Token().RevokeSelf(""))
	_, err = child.Auth().Token().LookupSelf()
	refused(t, err, 403, "permission denied")
}

func TestErrorsStrangersAreRefused(t *testing.T) {
	in := newTransit(t)
	_, err := connect(t, "hvs.unknown").Logical().List(in.mount + "/keys")
	refused(t, err, 403, "permission denied")
	_, err = connect(t, "").Logical().Write(in.mount+"/encrypt/k", map[string]any{"plaintext": b64("hello")})
	refused(t, err, 403, "permission denied")
}

func TestErrorsUnknownMount(t *testing.T) {
	_, err := root(t).Logical().Write("nowhere/keys/k", nil)
	refused(t, err, 404, "no handler for route")
}

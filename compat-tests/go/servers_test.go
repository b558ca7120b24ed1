package compat

import (
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
)

// elsewhere makes a client of another server, which trusts this authority.
func elsewhere(t *testing.T, address, authority string) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	config.Address, config.MaxRetries = os.Getenv(address), 0
	must(t, config.ConfigureTLS(&api.TLSConfig{CACert: authority}))
	client, err := api.NewClient(config)
	must(t, err)
	client.SetToken(os.Getenv("VAULT_TOKEN"))
	return client
}

func TestTLSIsTrustedByItsAuthority(t *testing.T) {
	_, err := elsewhere(t, "COMPAT_TLS_ADDR", os.Getenv("COMPAT_TLS_CACERT")).Auth().Token().LookupSelf()
	must(t, err)
	_, err = elsewhere(t, "COMPAT_TLS_ADDR", "").Auth().Token().LookupSelf()
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Fatalf("want a refusal of the certificate, got %v", err)
	}
}

func TestSealedIsTold(t *testing.T) {
	client := elsewhere(t, "COMPAT_SEALED_ADDR", "")
	_, err := client.Logical().Read("secret/data/a")
	refused(t, err, 503, "Vault is sealed")
	health, err := client.Sys().Health()
	must(t, err)
	equal(t, health.Sealed, true)
	status, err := client.Sys().SealStatus()
	must(t, err)
	equal(t, status.Sealed, true)
}

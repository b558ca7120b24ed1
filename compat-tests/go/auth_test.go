package compat

import (
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"
	"github.com/hashicorp/vault/api/auth/userpass"
)

func TestLoginAppRole(t *testing.T) {
	client, mount := enable(t, "approle")
	role := "auth/" + mount + "/role/app"
	_, err := client.Logical().Write(role, map[string]any{"token_policies": "default", "token_ttl": "5m"})
	must(t, err)
	id, err := client.Logical().Read(role + "/role-id")
	must(t, err)
	roleID := id.Data["role_id"].(string)
	client.SetWrappingLookupFunc(func(operation, path string) string { return "60s" })
	wrapped, err := client.Logical().Write(role+"/secret-id", nil)
	must(t, err)

	stranger := connect(t, "")
	login, err := approle.NewAppRoleAuth(roleID, &approle.SecretID{FromString: wrapped.WrapInfo.Token},
		approle.WithMountPath(mount), approle.WithWrappingToken())
	must(t, err)
	secret, err := stranger.Auth().Login(t.Context(), login)
	must(t, err)
	equal(t, secret.Auth.LeaseDuration, 300)
	found, err := stranger.Auth().Token().LookupSelf()
	must(t, err)
	equal(t, found.Data["path"].(string), "auth/"+mount+"/login")

	wrong, err := approle.NewAppRoleAuth(roleID, &approle.SecretID{FromString: "no"}, approle.WithMountPath(mount))
	must(t, err)
	_, err = connect(t, "").Auth().Login(t.Context(), wrong)
	refused(t, err, 400, "invalid role or secret ID")
}

func TestLoginUserpass(t *testing.T) {
	client, mount := enable(t, "userpass")
	_, err := client.Logical().Write("auth/"+mount+"/users/ada", map[string]any{"password": "pw"})
	must(t, err)
	login := func(password string) (*api.Secret, error) {
		login, err := userpass.NewUserpassAuth("ada", &userpass.Password{FromString: password}, userpass.WithMountPath(mount))
		must(t, err)
		return connect(t, "").Auth().Login(t.Context(), login)
	}
	secret, err := login("pw")
	must(t, err)
	equal(t, secret.Auth.Metadata["username"], "ada")
	_, err = login("no")
	refused(t, err, 400, "invalid username or password")
}

package compat

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/kubernetes"
)

// issuer signs tokens, as a provider of identities or a cluster does.
type issuer struct {
	*testing.T
	key *rsa.PrivateKey
}

func newIssuer(t *testing.T) issuer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return issuer{t, key}
}

func (by issuer) public() string {
	der, err := x509.MarshalPKIXPublicKey(by.key.Public())
	must(by.T, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func (by issuer) token(claims map[string]any) string {
	claims["iat"], claims["exp"] = time.Now().Unix(), time.Now().Add(time.Hour).Unix()
	text := func(part any) string {
		data, err := json.Marshal(part)
		must(by.T, err)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	signed := text(map[string]string{"alg": "RS256"}) + "." + text(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, by.key, crypto.SHA256, digest[:])
	must(by.T, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// enable mounts a login method of the test's own.
func enable(t *testing.T, kind string) (client *api.Client, mount string) {
	client, mount = root(t), kind+"-"+unique()
	must(t, client.Sys().EnableAuthWithOptions(mount, &api.EnableAuthOptions{Type: kind}))
	t.Cleanup(func() { must(t, root(t).Sys().DisableAuth(mount)) })
	return client, mount
}

func set(t *testing.T, client *api.Client, path string, body map[string]any) {
	_, err := client.Logical().Write(path, body)
	must(t, err)
}

func TestLoginJwt(t *testing.T) {
	by := newIssuer(t)
	client, mount := enable(t, "jwt")
	set(t, client, "auth/"+mount+"/config", map[string]any{"jwt_validation_pubkeys": []string{by.public()}})
	set(t, client, "auth/"+mount+"/role/r", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": "coffer", "token_policies": "p", "token_ttl": "1h",
	})
	login := map[string]any{"role": "r", "jwt": by.token(map[string]any{"sub": "alice", "aud": "coffer"})}
	secret, err := client.Logical().Write("auth/"+mount+"/login", login)
	must(t, err)
	equal(t, secret.Auth.LeaseDuration, 3600)
	equal(t, secret.Auth.Metadata["role"], "r")
	login["jwt"] = newIssuer(t).token(map[string]any{"sub": "alice", "aud": "coffer"})
	_, err = client.Logical().Write("auth/"+mount+"/login", login)
	refused(t, err, 400, "error verifying token signature")
}

func TestLoginKubernetes(t *testing.T) {
	account := map[string]any{"namespace": "prod", "serviceaccount": map[string]string{"name": "app", "uid": "u"}}
	token := newIssuer(t).token(map[string]any{"kubernetes.io": account})
	cluster := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		var review struct{ Spec struct{ Token string } }
		must(t, json.NewDecoder(in.Body).Decode(&review))
		known := review.Spec.Token == token && in.Header.Get("Authorization") == "Bearer "+token
		user := map[string]string{"username": "system:serviceaccount:prod:app", "uid": "u"}
		out.WriteHeader(http.StatusCreated)
		must(t, json.NewEncoder(out).Encode(map[string]any{"status": map[string]any{"authenticated": known, "user": user}}))
	}))
	defer cluster.Close()
	client, mount := enable(t, "kubernetes")
	set(t, client, "auth/"+mount+"/config", map[string]any{"kubernetes_host": cluster.URL})
	set(t, client, "auth/"+mount+"/role/r", map[string]any{
		"bound_service_account_names": "app", "bound_service_account_namespaces": "prod", "token_policies": "p",
	})
	login := func(token string) (*api.Secret, error) {
		method, err := kubernetes.NewKubernetesAuth("r",
			kubernetes.WithServiceAccountToken(token), kubernetes.WithMountPath(mount))
		must(t, err)
		return connect(t, "").Auth().Login(t.Context(), method)
	}
	secret, err := login(token)
	must(t, err)
	equal(t, secret.Auth.Metadata["service_account_name"], "app")
	_, err = login(newIssuer(t).token(map[string]any{"kubernetes.io": account}))
	refused(t, err, 403, "permission denied")
}

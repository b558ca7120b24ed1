import com.bettercloud.vault.SslConfig;
import com.bettercloud.vault.Vault;
import com.bettercloud.vault.VaultConfig;
import com.bettercloud.vault.VaultException;
import com.bettercloud.vault.api.Auth.TokenRequest;
import com.bettercloud.vault.api.mounts.MountPayload;
import com.bettercloud.vault.api.mounts.MountType;
import com.bettercloud.vault.api.mounts.TimeToLive;
import java.io.File;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** What programs without a framework do, through a driver that expects exact statuses. */
final class Driver {
    private static Vault root;

    public static void main(String[] arguments) throws Exception {
        root = connect(System.getenv("VAULT_TOKEN"), 1);
        logins();
        tokens();
        withoutVersions();
        withVersions();
        transit();
        wrapping();
        policies();
        system();
        errors();
        servers();
        Checks.end();
    }

    /** A client for engines of this version: the driver makes the paths of version 2 by itself. */
    private static Vault connect(String token, int engine) throws VaultException {
        return new Vault(new VaultConfig().address(System.getenv("VAULT_ADDR")).token(token).build(), engine);
    }

    private static void raises(int status, String text, Callable<?> call) {
        Checks.raises(error -> error instanceof VaultException refused && refused.getHttpStatusCode() == status
                && refused.getMessage().contains(text), call);
    }

    private static Map<String, String> read(String path) throws VaultException {
        return root.logical().read(path).getData();
    }

    private static void logins() throws VaultException {
        String people = Checks.unique("userpass");
        root.logical().write("sys/auth/" + people, Map.of("type", "userpass"));
        root.logical().write("auth/" + people + "/users/ada", Map.of("password", "pw", "token_policies", "default"));
        Checks.check("login", "a user logs in", () -> {
            var auth = connect(null, 1).auth().loginByUserPass("ada", "pw", people);
            Checks.equal(auth.getUsername(), "ada");
            Checks.equal(connect(auth.getAuthClientToken(), 1).auth().lookupSelf().getDisplayName(), people + "-ada");
        });
        Checks.check("login", "a wrong password is refused", () -> raises(400, "invalid username or password",
                () -> connect(null, 1).auth().loginByUserPass("ada", "no", people)));

        String mount = Checks.unique("approle");
        root.logical().write("sys/auth/" + mount, Map.of("type", "approle"));
        String role = "auth/" + mount + "/role/app";
        root.logical().write(role, Map.of("token_policies", "default"));
        String roleId = read(role + "/role-id").get("role_id");
        String secretId = root.logical().write(role + "/secret-id", Map.of()).getData().get("secret_id");
        Checks.check("login", "a program logs in with its role ID and secret ID", () -> Checks.equal(
                connect(null, 1).auth().loginByAppRole(mount, roleId, secretId).getAuthPolicies(), List.of("default")));
        Checks.check("token", "all tokens of a login are revoked", () -> {
            String token = connect(null, 1).auth().loginByAppRole(mount, roleId, secretId).getAuthClientToken();
            Checks.equal(root.leases().revokePrefix("auth/" + mount + "/login").getRestResponse().getStatus(), 204);
            Checks.equal(root.leases().revokeForce("auth/" + mount + "/login").getRestResponse().getStatus(), 204);
            raises(403, "permission denied", () -> connect(token, 1).auth().lookupSelf());
        });
        Checks.check("login", "a wrong secret ID is refused", () -> raises(400, "invalid role or secret ID",
                () -> connect(null, 1).auth().loginByAppRole(mount, roleId, "no")));
    }

    private static void tokens() {
        Checks.check("token", "a token is made, renewed and revoked", () -> {
            var request = new TokenRequest().polices(List.of("default")).ttl("1h").displayName("child");
            var made = root.auth().createToken(request);
            Checks.equal(made.getAuthLeaseDuration(), 3600L);
            var child = connect(made.getAuthClientToken(), 1);
            Checks.equal(child.auth().lookupSelf().getDisplayName(), "token-child");
            Checks.equal(child.auth().renewSelf(1800).getAuthLeaseDuration(), 1800L);
            child.auth().revokeSelf();
            raises(403, "permission denied", () -> child.auth().lookupSelf());
        });
        Checks.check("token", "a token ends with its time", () -> {
            var request = new TokenRequest().polices(List.of("default")).ttl("1s");
            var child = connect(root.auth().createToken(request).getAuthClientToken(), 1);
            raises(403, "permission denied", () -> {
                for (;;) {
                    child.auth().lookupSelf();
                    Thread.sleep(100);
                }
            });
        });
    }

    private static void withoutVersions() throws VaultException {
        String mount = Checks.unique("kv");
        root.mounts().enable(mount, MountType.KEY_VALUE, new MountPayload());
        Checks.check("kv1", "a secret is written, read, listed and deleted", () -> {
            Checks.equal(root.logical().write(mount + "/app/db", Map.of("user", "shop")).getRestResponse().getStatus(), 204);
            Checks.equal(read(mount + "/app/db"), Map.of("user", "shop"));
            Checks.equal(root.logical().list(mount + "/app").getListData(), List.of("db"));
            root.logical().delete(mount + "/app/db");
            Checks.equal(root.logical().read(mount + "/app/db").getRestResponse().getStatus(), 404);
        });
        Checks.check("kv1", "a mount is given versions", () -> {
            root.logical().upgrade(mount);
            Checks.equal(new String(root.mounts().list().getRestResponse().getBody()).contains(mount + "/"), true);
        });
    }

    private static void withVersions() throws VaultException {
        String mount = Checks.unique("kv");
        root.logical().write("sys/mounts/" + mount, Map.of("type", "kv-v2"));
        var kv = connect(System.getenv("VAULT_TOKEN"), 2).logical();
        Checks.check("kv2", "versions are written, read and listed", () -> {
            kv.write(mount + "/app/db", Map.of("a", "1"));
            kv.write(mount + "/app/db", Map.of("a", "2"));
            Checks.equal(kv.read(mount + "/app/db").getData(), Map.of("a", "2"));
            Checks.equal(kv.read(mount + "/app/db", true, 1).getData(), Map.of("a", "1"));
            Checks.equal(kv.list(mount + "/app").getListData(), List.of("db"));
        });
        Checks.check("kv2", "versions are deleted, undeleted and destroyed", () -> {
            kv.write(mount + "/gone", Map.of("a", "1"));
            kv.delete(mount + "/gone", new int[] {1});
            Checks.equal(kv.read(mount + "/gone").getRestResponse().getStatus(), 404);
            kv.unDelete(mount + "/gone", new int[] {1});
            Checks.equal(kv.read(mount + "/gone").getData(), Map.of("a", "1"));
            kv.destroy(mount + "/gone", new int[] {1});
            Checks.equal(kv.read(mount + "/gone").getRestResponse().getStatus(), 404);
        });
        Checks.check("kv2", "a secret is deleted with all that was", () -> {
            kv.delete(mount + "/app/db");
            Checks.equal(kv.list(mount + "/app").getListData(), List.of());
        });
    }

    private static void transit() throws VaultException {
        String mount = Checks.unique("transit");
        root.logical().write("sys/mounts/" + mount, Map.of("type", "transit"));
        for (String type : List.of("aes256-gcm96", "chacha20-poly1305", "rsa-2048")) {
            Checks.check("transit", type + " encrypts", () -> {
                root.logical().write(mount + "/keys/" + type, Map.of("type", type));
                var sealed = root.logical().write(mount + "/encrypt/" + type, Map.of("plaintext", Checks.b64("hello")));
                var opened = root.logical().write(mount + "/decrypt/" + type,
                        Map.of("ciphertext", sealed.getData().get("ciphertext")));
                Checks.equal(opened.getData().get("plaintext"), Checks.b64("hello"));
            });
        }
        Checks.check("transit", "ed25519 signs what it verifies", () -> {
            root.logical().write(mount + "/keys/signer", Map.of("type", "ed25519"));
            var signed = root.logical().write(mount + "/sign/signer", Map.of("input", Checks.b64("hello"))).getData();
            var checked = root.logical().write(mount + "/verify/signer",
                    Map.of("input", Checks.b64("hello"), "signature", signed.get("signature"))).getData();
            Checks.equal(checked.get("valid"), "true");
        });
    }

    private static void wrapping() {
        Checks.check("wrapping", "a token is told once", () -> {
            String wrapped = wrappedToken();
            Checks.equal(connect(wrapped, 1).auth().lookupWrap().getRestResponse().getStatus(), 200);
            Checks.equal(connect(wrapped, 1).auth().unwrap().getRestResponse().getStatus(), 200);
            raises(400, "wrapping token is not valid or does not exist", () -> connect(wrapped, 1).auth().unwrap());
        });
    }

    /** The older driver wraps nothing by itself, and unwraps tokens only: this is as a deployment tool gives it one. */
    private static String wrappedToken() throws Exception {
        var request = HttpRequest.newBuilder(URI.create(System.getenv("VAULT_ADDR") + "/v1/auth/token/create"))
                .header("X-Vault-Token", System.getenv("VAULT_TOKEN")).header("X-Vault-Wrap-TTL", "60")
                .POST(BodyPublishers.ofString("{\"policies\": [\"default\"]}")).build();
        String answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).body();
        return answer.replaceAll("(?s).*\"wrap_info\":\\{\"token\":\"([^\"]*)\".*", "$1");
    }

    private static void policies() {
        Checks.check("policies", "a policy allows what it says and no more", () -> {
            String name = Checks.unique("policy");
            String kv = Checks.unique("kv");
            root.mounts().enable(kv, MountType.KEY_VALUE, new MountPayload());
            root.logical().write("sys/policies/acl/" + name,
                    Map.of("policy", "path \"" + kv + "/*\" { capabilities = [\"create\"] }"));
            var request = new TokenRequest().polices(List.of(name)).noDefaultPolicy(true);
            var client = connect(root.auth().createToken(request).getAuthClientToken(), 1);
            Checks.equal(client.logical().write(kv + "/a", Map.of("a", "1")).getRestResponse().getStatus(), 204);
            Checks.equal(client.logical().read(kv + "/a").getRestResponse().getStatus(), 403);
        });
    }

    private static void system() {
        Checks.check("system", "health and seal", () -> {
            var health = root.debug().health();
            Checks.equal(health.getInitialized() && !health.getSealed() && !health.getStandby(), true);
            Checks.equal(root.seal().sealStatus().getSealed(), false);
        });
        Checks.check("system", "engines are mounted, tuned, listed and unmounted", () -> {
            String path = Checks.unique("java");
            root.mounts().enable(path, MountType.KEY_VALUE, new MountPayload().description("of a test")
                    .defaultLeaseTtl(TimeToLive.of(1, TimeUnit.HOURS)));
            Checks.equal(root.mounts().list().getMounts().get(path + "/").getDescription(), "of a test");
            root.mounts().tune(path, new MountPayload().maxLeaseTtl(TimeToLive.of(2, TimeUnit.HOURS)));
            Checks.equal(root.mounts().read(path).getMount().getConfig().getMaxLeaseTtl(), 7200);
            root.mounts().disable(path);
            Checks.equal(root.mounts().list().getMounts().containsKey(path + "/"), false);
        });
    }

    private static void errors() {
        Checks.check("errors", "403 of a token that is not known", () -> Checks.equal(
                connect("hvs.none", 1).logical().read("cubbyhole/a").getRestResponse().getStatus(), 403));
        Checks.check("errors", "404 of a secret", () -> Checks.equal(
                root.logical().read("cubbyhole/none").getRestResponse().getStatus(), 404));
        Checks.check("errors", "400", () -> raises(400, "path is already in use", () ->
                root.mounts().enable("secret", MountType.KEY_VALUE, new MountPayload())));
    }

    /** A client of another server, which trusts the authorities in a file. */
    private static Vault elsewhere(String address, String authorities) throws VaultException {
        SslConfig trust = new SslConfig();
        if (authorities != null) {
            trust.pemFile(new File(authorities));
        }
        return new Vault(new VaultConfig().address(System.getenv(address)).token(System.getenv("VAULT_TOKEN"))
                .sslConfig(trust.build()).build(), 1);
    }

    private static void servers() {
        Checks.check("tls", "with the authority it is trusted", () -> Checks.equal(
                elsewhere("COMPAT_TLS_ADDR", System.getenv("COMPAT_TLS_CACERT")).auth().lookupSelf().getTTL(), 0L));
        Checks.check("tls", "without it, it is not", () -> Checks.raises(
                error -> error instanceof VaultException && error.getMessage().contains("certification path"),
                () -> elsewhere("COMPAT_TLS_ADDR", null).auth().lookupSelf()));
        Checks.check("sealed", "503 is told", () -> {
            raises(503, "Vault is sealed", () -> elsewhere("COMPAT_SEALED_ADDR", null).auth().lookupSelf());
            Checks.equal(elsewhere("COMPAT_SEALED_ADDR", null).seal().sealStatus().getSealed(), true);
        });
    }

    private Driver() {}
}

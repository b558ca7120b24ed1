import io.quarkus.vault.client.VaultClient;
import io.quarkus.vault.client.VaultClientException;
import io.quarkus.vault.client.api.auth.approle.VaultAuthAppRoleUpdateRoleParams;
import io.quarkus.vault.client.api.auth.token.VaultAuthTokenCreateTokenParams;
import io.quarkus.vault.client.api.auth.token.VaultAuthTokenTokenInfoData;
import io.quarkus.vault.client.api.auth.userpass.VaultAuthUserPassUpdateUserParams;
import io.quarkus.vault.client.api.common.VaultFormat;
import io.quarkus.vault.client.api.common.VaultHashAlgorithm;
import io.quarkus.vault.client.api.common.VaultRandomSource;
import io.quarkus.vault.client.api.secrets.transit.*;
import io.quarkus.vault.client.api.sys.mounts.VaultSysMountsTuneParams;
import io.quarkus.vault.client.auth.VaultAppRoleAuthOptions;
import io.quarkus.vault.client.auth.VaultUserPassAuthOptions;
import io.quarkus.vault.client.http.jdk.JDKVaultHttpClient;
import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManagerFactory;

/** What Quarkus programs do. Their client takes an answer with a body where it expects one, and none where it does not. */
final class Quarkus {
    private static final JDKVaultHttpClient HTTP = new JDKVaultHttpClient(HttpClient.newHttpClient());
    private static final byte[] HELLO = "hello".getBytes(StandardCharsets.UTF_8);
    private static VaultClient root;

    public static void main(String[] arguments) {
        root = builder().clientToken(System.getenv("VAULT_TOKEN")).build();
        logins();
        tokens();
        withoutVersions();
        withVersions();
        transit();
        wrapping();
        system();
        errors();
        overTls();
        Checks.end();
    }

    private static VaultClient.Builder builder() {
        return VaultClient.builder().executor(HTTP).baseUrl(System.getenv("VAULT_ADDR"));
    }

    private static <T> T got(CompletionStage<T> call) {
        return call.toCompletableFuture().join();
    }

    private static void raises(int status, String text, CompletionStage<?> call) {
        Checks.raises(error -> error instanceof CompletionException && error.getCause() instanceof VaultClientException refused
                && refused.getStatus() == status && (text.isEmpty() || refused.hasErrorContaining(text)), () -> got(call));
    }

    private static String mounted(String type, Map<String, Object> options) {
        String path = Checks.unique(type);
        got(root.sys().mounts().enable(path, type, "of a test", null, options));
        return path;
    }

    private static String enabled(String type) {
        String path = Checks.unique(type);
        got(root.sys().auth().enable(path, type, "of a test", null));
        return path;
    }

    private static void logins() {
        String people = enabled("userpass");
        var users = root.auth().userPass(people);
        Checks.check("login", "a user logs in, and with the next request", () -> {
            got(users.updateUser("ada", new VaultAuthUserPassUpdateUserParams().setPassword("pw").setTokenPolicies(List.of("a"))));
            Checks.equal(got(users.login("ada", "pw")).getPolicies(), List.of("a", "default"));
            var options = VaultUserPassAuthOptions.builder().mountPath(people).username("ada").password("pw").build();
            Checks.equal(got(builder().userPass(options).build().auth().token().lookupSelf()).getDisplayName(), people + "-ada");
        });
        Checks.check("login", "a user's password and policies are changed, and the user ends", () -> {
            got(users.updateUserPassword("ada", "new"));
            raises(400, "invalid username or password", users.login("ada", "pw"));
            got(users.updateUserPolicies("ada", List.of("b")));
            Checks.equal(got(users.login("ada", "new")).getPolicies(), List.of("b", "default"));
            Checks.equal(got(users.listUsers()), List.of("ada"));
            got(users.deleteUser("ada"));
            raises(404, "", users.readUser("ada"));
        });
        Checks.check("login", "a program logs in with a secret ID that comes wrapped", () -> {
            String mount = enabled("approle");
            var roles = root.auth().appRole(mount);
            got(roles.updateRole("app", new VaultAuthAppRoleUpdateRoleParams().setTokenPolicies(List.of("a"))));
            var options = VaultAppRoleAuthOptions.builder().mountPath(mount).roleId(got(roles.readRoleId("app")))
                    .unwrappingSecretId(wrapped("auth/" + mount + "/role/app/secret-id")).build();
            Checks.equal(got(builder().appRole(options).build().auth().token().lookupSelf()).getPolicies(), List.of("a", "default"));
            String secret = got(roles.generateSecretId("app", null)).getSecretId();
            got(roles.destroySecretId("app", secret));
            raises(400, "invalid role or secret ID", roles.login(got(roles.readRoleId("app")), secret));
        });
    }

    /** The token of a wrapped answer, which is somebody else's part: the client opens such, and asks for none. */
    private static String wrapped(String path) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(System.getenv("VAULT_ADDR") + "/v1/" + path))
                .header("X-Vault-Token", System.getenv("VAULT_TOKEN")).header("X-Vault-Wrap-TTL", "60")
                .POST(HttpRequest.BodyPublishers.noBody()).build();
        String answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
        return answer.replaceAll("(?s).*\"token\":\"([^\"]*)\".*", "$1");
    }

    private static void tokens() {
        var tokens = root.auth().token();
        var wanted = new VaultAuthTokenCreateTokenParams().setTtl(Duration.ofHours(1)).setPolicies(List.of("default"));
        Checks.check("token", "a token is made, looked up, renewed and revoked", () -> {
            var made = got(tokens.create(wanted));
            Checks.equal(got(tokens.lookup(made.getClientToken())).getCreationTtl(), Duration.ofHours(1));
            Checks.equal(got(tokens.renew(made.getClientToken(), Duration.ofMinutes(30))).getLeaseDuration(), Duration.ofMinutes(30));
            got(tokens.revoke(made.getClientToken()));
            raises(403, "bad token", tokens.lookup(made.getClientToken()));
        });
        Checks.check("token", "a token is managed by its accessor", () -> {
            String accessor = got(tokens.create(wanted)).getAccessor();
            Checks.equal(got(tokens.listAccessors()).contains(accessor), true);
            Checks.equal(got(tokens.lookupAccessor(accessor)).getPolicies(), List.of("default"));
            got(tokens.revokeAccessor(accessor));
            raises(400, "invalid accessor", tokens.lookupAccessor(accessor));
        });
    }

    private static void withoutVersions() {
        var kv = root.secrets().kv1(mounted("kv", Map.of("version", "1")));
        Checks.check("kv1", "a secret is written, read, listed and deleted", () -> {
            got(kv.update("app", Map.of("user", "shop", "port", 5432)));
            Checks.equal(got(kv.read("app")), Map.of("user", "shop", "port", 5432));
            Checks.equal(got(kv.list()), List.of("app"));
            got(kv.delete("app"));
            raises(404, "", kv.read("app"));
        });
    }

    private static void withVersions() {
        var kv = root.secrets().kv2(mounted("kv", Map.of("version", "2")));
        Checks.check("kv2", "versions are written and read", () -> {
            got(kv.updateSecret("app", null, Map.of("n", 1)));
            got(kv.updateSecret("app", null, Map.of("n", 2)));
            Checks.equal(got(kv.readSecret("app")).getData(), Map.of("n", 2));
            Checks.equal(got(kv.readSecret("app", 1)).getData(), Map.of("n", 1));
            Checks.equal(got(kv.listSecrets("")), List.of("app"));
        });
        Checks.check("kv2", "a part is changed", () -> {
            got(kv.updateSecret("part", null, Map.of("a", 1, "b", 1)));
            got(kv.patchSecret("part", null, Map.of("b", 2)));
            Checks.equal(got(kv.readSecret("part")).getData(), Map.of("a", 1, "b", 2));
            Checks.equal(got(kv.readSubkeys("part")).getSubkeys().keySet(), java.util.Set.of("a", "b"));
        });
        Checks.check("kv2", "versions are deleted, brought back and destroyed", () -> {
            got(kv.updateSecret("gone", null, Map.of("a", 1)));
            got(kv.deleteSecret("gone"));
            raises(404, "", kv.readSecret("gone"));
            got(kv.undeleteSecretVersions("gone", List.of(1)));
            Checks.equal(got(kv.readSecret("gone")).getData(), Map.of("a", 1));
            got(kv.deleteSecretVersions("gone", List.of(1)));
            got(kv.destroySecretVersions("gone", List.of(1)));
            Checks.equal(got(kv.readSecretMetadata("gone")).getVersions().get("1").isDestroyed(), true);
            got(kv.deleteSecretMetadata("gone"));
            raises(404, "", kv.readSecretMetadata("gone"));
        });
        Checks.check("kv2", "metadata and the mount are configured", () -> {
            got(kv.updateSecretMetadata("meta", 3, false, "1h", Map.of("team", "a")));
            var found = got(kv.readSecretMetadata("meta"));
            Checks.equal(found.getMaxVersions(), 3);
            Checks.equal(found.getCustomMetadata(), Map.of("team", "a"));
            got(kv.updateConfig(7, true, null));
            Checks.equal(got(kv.readConfig()).isCasRequired(), true);
            raises(400, "check-and-set parameter required", kv.updateSecret("cas", null, Map.of("a", 1)));
        });
    }

    private static void transit() {
        var transit = root.secrets().transit(mounted("transit", null));
        for (var type : List.of(VaultSecretsTransitKeyType.AES128_GCM96, VaultSecretsTransitKeyType.AES256_GCM96,
                VaultSecretsTransitKeyType.CHACHA20_POLY1305, VaultSecretsTransitKeyType.RSA_2048)) {
            Checks.check("transit", type.getValue() + " encrypts, decrypts and rewraps", () -> {
                String key = Checks.unique("k");
                got(transit.createKey(key, new VaultSecretsTransitCreateKeyParams().setType(type)));
                String sealed = got(transit.encrypt(key, new VaultSecretsTransitEncryptParams().setPlaintext(HELLO))).getCiphertext();
                got(transit.rotateKey(key, null));
                Checks.equal(got(transit.readKey(key)).getLatestVersion(), 2);
                String moved = got(transit.rewrap(key, new VaultSecretsTransitRewrapParams().setCiphertext(sealed))).getCiphertext();
                for (String each : List.of(sealed, moved)) {
                    byte[] opened = got(transit.decrypt(key, new VaultSecretsTransitDecryptParams().setCiphertext(each)));
                    Checks.equal(new String(opened, StandardCharsets.UTF_8), "hello");
                }
            });
        }
        for (var type : List.of(VaultSecretsTransitKeyType.ED25519, VaultSecretsTransitKeyType.ECDSA_P256,
                VaultSecretsTransitKeyType.ECDSA_P384, VaultSecretsTransitKeyType.ECDSA_P521, VaultSecretsTransitKeyType.RSA_3072)) {
            Checks.check("transit", type.getValue() + " signs and verifies", () -> {
                String key = Checks.unique("k");
                got(transit.createKey(key, new VaultSecretsTransitCreateKeyParams().setType(type)));
                String signature = got(transit.sign(key, new VaultSecretsTransitSignParams().setInput(HELLO))).getSignature();
                var verify = new VaultSecretsTransitVerifyParams().setSignature(signature);
                Checks.equal(got(transit.verify(key, verify.setInput(HELLO))), true);
                Checks.equal(got(transit.verify(key, verify.setInput(new byte[1]))), false);
            });
        }
        Checks.check("transit", "a batch is encrypted", () -> {
            var batch = new VaultSecretsTransitEncryptBatchParams();
            for (int n = 0; n < 3; n++) {
                batch.addBatchItem(new VaultSecretsTransitEncryptBatchItem().setPlaintext(HELLO).setReference("r" + n));
            }
            var done = got(transit.encryptBatch("batch", batch));
            Checks.equal(done.stream().map(VaultSecretsTransitEncryptResultBatchItem::getReference).toList(), List.of("r0", "r1", "r2"));
        });
        Checks.check("transit", "a data key comes in the clear and encrypted", () -> {
            got(transit.createKey("data", new VaultSecretsTransitCreateKeyParams().setExportable(true)));
            var made = got(transit.generateDataKey(VaultSecretsTransitDataKeyType.PLAINTEXT, "data", new VaultSecretsTransitGenerateDataKeyParams()));
            byte[] opened = got(transit.decrypt("data", new VaultSecretsTransitDecryptParams().setCiphertext(made.getCiphertext())));
            Checks.equal(java.util.Base64.getEncoder().encodeToString(opened), made.getPlaintext());
            Checks.equal(got(transit.exportKey(VaultSecretsTransitExportKeyType.ENCRYPTION_KEY, "data", "1")).getKeys().size(), 1);
        });
        Checks.check("transit", "random bytes and hashes", () -> {
            Checks.equal(got(transit.random(12, VaultRandomSource.PLATFORM, VaultFormat.BASE64)).length, 12);
            Checks.equal(got(transit.hash(VaultHashAlgorithm.SHA2_256, HELLO, VaultFormat.HEX)).length() > 0, true);
        });
        Checks.check("transit", "a key is deleted once that is allowed", () -> {
            raises(400, "deletion is not allowed", transit.deleteKey("data"));
            got(transit.updateKey("data", new VaultSecretsTransitUpdateKeyParams().setDeletionAllowed(true)));
            got(transit.deleteKey("data"));
            raises(404, "", transit.readKey("data"));
        });
    }

    private static void wrapping() {
        var wrapping = root.sys().wrapping();
        Checks.check("wrapping", "a value is wrapped, looked up, wrapped anew and opened once", () -> {
            var wrapped = got(wrapping.wrap(Map.of("a", "1"), Duration.ofMinutes(2)));
            Checks.equal(got(wrapping.lookup(wrapped.getToken())).getCreationTtl(), Duration.ofMinutes(2));
            String again = got(wrapping.rewrap(wrapped.getToken())).getToken();
            // The client puts what it wraps into a member of this name.
            Checks.equal(got(wrapping.unwrap(again)).getData(), Map.of("data", Map.of("a", "1")));
            raises(400, "not valid or does not exist", wrapping.unwrap(again));
        });
    }

    private static void system() {
        var sys = root.sys();
        Checks.check("system", "it is initialised and unsealed", () -> {
            Checks.equal(got(sys.health().statusCode()), 200);
            Checks.equal(got(sys.health().info()).isSealed(), false);
            Checks.equal(got(sys.seal().status()).isSealed(), false);
            Checks.equal(got(sys.seal().backendStatus()).isHealthy(), true);
            Checks.equal(got(sys.init().status()).isInitialized(), true);
        });
        Checks.check("system", "a mount is listed, tuned, moved and disabled", () -> {
            String path = mounted("kv", Map.of("version", "1"));
            Checks.equal(got(sys.mounts().list()).get(path + "/").getDescription(), "of a test");
            got(sys.mounts().tune(path, new VaultSysMountsTuneParams().setMaxLeaseTtl(Duration.ofHours(2))));
            Checks.equal(got(sys.mounts().readTune(path)).getMaxLeaseTtl(), Duration.ofHours(2));
            String id = got(sys.remount().remount(path, path + "-new")).getMigrationId();
            Checks.equal(got(sys.remount().status(id)).getMigrationInfo().getTargetMount().contains(path + "-new"), true);
            Checks.equal(got(sys.mounts().read(path + "-new")).getType(), "kv");
            got(sys.mounts().disable(path + "-new"));
            raises(400, "No secret engine mount at", sys.mounts().read(path + "-new"));
        });
        Checks.check("system", "login methods, leases, plugins and random bytes", () -> {
            String path = enabled("userpass");
            Checks.equal(got(sys.auth().list()).get(path + "/").getType(), "userpass");
            got(sys.auth().disable(path));
            Checks.equal(got(sys.leases().list("auth/token/create")).isEmpty(), false);
            Checks.equal(got(sys.plugins().listSecret()).contains("transit"), true);
            Checks.equal(got(sys.tools().random(9, VaultRandomSource.PLATFORM, VaultFormat.BASE64)).length, 9);
        });
        Checks.check("policies", "a policy is written, read, listed and deleted", () -> {
            String name = Checks.unique("policy");
            String rules = "path \"secret/*\" { capabilities = [\"read\"] }";
            got(sys.policy().update(name, rules));
            Checks.equal(got(sys.policy().read(name)).getRules(), rules);
            Checks.equal(got(sys.policy().list()).contains(name), true);
            got(sys.policy().delete(name));
            raises(404, "", sys.policy().read(name));
        });
    }

    private static void errors() {
        Checks.check("errors", "403", () -> raises(403, "permission denied",
                builder().clientToken("hvs.none").build().secrets().kv2("secret").readSecret("a")));
        Checks.check("errors", "404", () -> raises(404, "", root.secrets().kv2("secret").readSecret("none")));
        Checks.check("errors", "400", () -> raises(400, "path is already in use",
                root.sys().mounts().enable("secret", "kv", null, null, null)));
        Checks.check("sealed", "503", () -> {
            var sealed = VaultClient.builder().executor(HTTP).baseUrl(System.getenv("COMPAT_SEALED_ADDR")).clientToken("hvs.any").build();
            Checks.equal(got(sealed.sys().seal().status()).isSealed(), true);
            raises(503, "sealed", sealed.secrets().kv2("secret").readSecret("a"));
        });
    }

    private static void overTls() {
        Checks.check("tls", "with the authority it is trusted", () -> {
            var authorities = KeyStore.getInstance(KeyStore.getDefaultType());
            authorities.load(null, null);
            try (var file = new FileInputStream(System.getenv("COMPAT_TLS_CACERT"))) {
                authorities.setCertificateEntry("ours", CertificateFactory.getInstance("X.509").generateCertificate(file));
            }
            var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            trust.init(authorities);
            var context = SSLContext.getInstance("TLS");
            context.init(null, trust.getTrustManagers(), null);
            Checks.equal(got(overTls(HttpClient.newBuilder().sslContext(context).build())).getId(), System.getenv("VAULT_TOKEN"));
        });
        Checks.check("tls", "without it, it is not", () -> Checks.raises(
                error -> error.getCause() instanceof SSLException, () -> got(overTls(HttpClient.newHttpClient()))));
    }

    private static CompletionStage<VaultAuthTokenTokenInfoData> overTls(HttpClient http) {
        return VaultClient.builder().executor(new JDKVaultHttpClient(http)).baseUrl(System.getenv("COMPAT_TLS_ADDR"))
                .clientToken(System.getenv("VAULT_TOKEN")).build().auth().token().lookupSelf();
    }

    private Quarkus() {}
}

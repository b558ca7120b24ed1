import static java.util.Map.entry;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.net.URI;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.X509EncodedKeySpec;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import javax.crypto.Cipher;
import javax.crypto.KeyGenerator;
import javax.crypto.SecretKey;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import org.springframework.core.io.FileSystemResource;
import org.springframework.scheduling.concurrent.SimpleAsyncTaskScheduler;
import org.springframework.vault.VaultException;
import org.springframework.vault.authentication.AppRoleAuthentication;
import org.springframework.vault.authentication.AppRoleAuthenticationOptions;
import org.springframework.vault.authentication.AppRoleAuthenticationOptions.RoleId;
import org.springframework.vault.authentication.AppRoleAuthenticationOptions.SecretId;
import org.springframework.vault.authentication.ClientAuthentication;
import org.springframework.vault.authentication.LifecycleAwareSessionManager;
import org.springframework.vault.authentication.LifecycleAwareSessionManagerSupport.FixedTimeoutRefreshTrigger;
import org.springframework.vault.authentication.SimpleSessionManager;
import org.springframework.vault.authentication.TokenAuthentication;
import org.springframework.vault.authentication.UsernamePasswordAuthentication;
import org.springframework.vault.authentication.UsernamePasswordAuthenticationOptions;
import org.springframework.vault.authentication.event.AfterLoginTokenRenewedEvent;
import org.springframework.vault.client.ClientHttpRequestFactoryFactory;
import org.springframework.vault.client.VaultClients;
import org.springframework.vault.client.VaultEndpoint;
import org.springframework.vault.core.VaultKeyValueOperationsSupport.KeyValueBackend;
import org.springframework.vault.core.VaultTemplate;
import org.springframework.vault.support.ClientOptions;
import org.springframework.vault.support.Ciphertext;
import org.springframework.vault.support.Plaintext;
import org.springframework.vault.support.Policy;
import org.springframework.vault.support.Policy.BuiltinCapabilities;
import org.springframework.vault.support.Policy.Rule;
import org.springframework.vault.support.Signature;
import org.springframework.vault.support.SslConfiguration;
import org.springframework.vault.support.TransitKeyType;
import org.springframework.vault.support.VaultMetadataRequest;
import org.springframework.vault.support.VaultMount;
import org.springframework.vault.support.VaultToken;
import org.springframework.vault.support.VaultTokenRequest;
import org.springframework.vault.support.VaultTransitContext;
import org.springframework.vault.support.VaultTransitKeyConfiguration;
import org.springframework.vault.support.VaultTransitKeyCreationRequest;
import org.springframework.vault.support.Versioned;
import org.springframework.vault.support.Versioned.Version;
import org.springframework.web.client.ResourceAccessException;
import org.springframework.web.client.RestTemplate;

/** What Spring programs do, through the templates that Spring gives them. */
final class Spring {
    private static final VaultEndpoint ENDPOINT = VaultEndpoint.from(URI.create(System.getenv("VAULT_ADDR")));
    private static final VaultTemplate ROOT = connect(System.getenv("VAULT_TOKEN"));

    public static void main(String[] arguments) {
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

    private static VaultTemplate connect(String token) {
        return new VaultTemplate(ENDPOINT, new TokenAuthentication(token));
    }

    private static RestTemplate http() {
        return VaultClients.createRestTemplate(
                ENDPOINT, ClientHttpRequestFactoryFactory.create(new ClientOptions(), SslConfiguration.unconfigured()));
    }

    /** What a login brings: the token, looked up by itself. */
    private static Map<String, Object> whoIs(ClientAuthentication login) {
        return new VaultTemplate(ENDPOINT, login).read("auth/token/lookup-self").getRequiredData();
    }

    private static void raises(String text, Callable<?> call) {
        Checks.raises(error -> error instanceof VaultException && error.getMessage().contains(text), call);
    }

    private static void logins() {
        String people = Checks.unique("userpass");
        ROOT.opsForSys().authMount(people, VaultMount.create("userpass"));
        ROOT.write("auth/" + people + "/users/ada", Map.of("password", "pw", "token_policies", "default"));
        Checks.check("login", "a user logs in", () -> Checks.equal(
                whoIs(userpass(people, "pw")).get("display_name"), people + "-ada"));
        Checks.check("login", "a wrong password is refused", () ->
                raises("invalid username or password", () -> whoIs(userpass(people, "no"))));

        String mount = Checks.unique("approle");
        ROOT.opsForSys().authMount(mount, VaultMount.create("approle"));
        String role = "auth/" + mount + "/role/app";
        ROOT.write(role, Map.of("token_policies", "default", "bind_secret_id", "true"));
        String roleId = (String) ROOT.read(role + "/role-id").getRequiredData().get("role_id");
        String secretId = (String) ROOT.write(role + "/secret-id").getRequiredData().get("secret_id");
        Checks.check("login", "a program logs in with its role ID and secret ID", () -> Checks.equal(
                whoIs(approle(mount, RoleId.provided(roleId), SecretId.provided(secretId))).get("meta"),
                Map.of("role_name", "app")));
        Checks.check("login", "a program finds both IDs by itself", () -> Checks.equal(
                whoIs(approle(mount, RoleId.pull(VaultToken.of(System.getenv("VAULT_TOKEN"))),
                        SecretId.pull(VaultToken.of(System.getenv("VAULT_TOKEN"))))).get("path"),
                "auth/" + mount + "/login"));
        Checks.check("login", "a wrong secret ID is refused", () -> raises("invalid role or secret ID",
                () -> whoIs(approle(mount, RoleId.provided(roleId), SecretId.provided("no")))));
    }

    private static ClientAuthentication userpass(String mount, String password) {
        var options = UsernamePasswordAuthenticationOptions.builder().username("ada").password(password).path(mount);
        return new UsernamePasswordAuthentication(options.build(), http());
    }

    private static ClientAuthentication approle(String mount, RoleId roleId, SecretId secretId) {
        var options = AppRoleAuthenticationOptions.builder().path(mount).appRole("app").roleId(roleId);
        return new AppRoleAuthentication(options.secretId(secretId).build(), http());
    }

    private static void tokens() {
        var tokens = ROOT.opsForToken();
        Checks.check("token", "a token is made, renewed and revoked", () -> {
            var request = VaultTokenRequest.builder().policies(List.of("default")).ttl(Duration.ofHours(1)).renewable();
            var made = tokens.create(request.displayName("child").meta(Map.of("team", "a")).build()).getToken();
            var found = connect(made.getToken()).read("auth/token/lookup-self").getRequiredData();
            Checks.equal(found.get("display_name"), "token-child");
            Checks.equal(tokens.renew(made).getAuth().get("renewable"), true);
            tokens.revoke(made);
            raises("permission denied", () -> connect(made.getToken()).read("auth/token/lookup-self"));
        });
        Checks.check("token", "an orphan has no parent", () -> {
            var made = tokens.createOrphan(VaultTokenRequest.builder().withPolicy("default").build()).getToken();
            Checks.equal(connect(made.getToken()).read("auth/token/lookup-self").getRequiredData().get("orphan"), true);
        });
        Checks.check("token", "the session renews its token by itself", () -> {
            var ttl = VaultTokenRequest.builder().withPolicy("default").ttl(Duration.ofSeconds(4)).renewable().build();
            var made = tokens.create(ttl).getToken();
            var renewed = new java.util.concurrent.CountDownLatch(1);
            var scheduler = new SimpleAsyncTaskScheduler();
            var session = new LifecycleAwareSessionManager(() -> made, scheduler, http(),
                    new FixedTimeoutRefreshTrigger(1, java.util.concurrent.TimeUnit.SECONDS));
            session.setTokenSelfLookupEnabled(true);
            session.addAuthenticationListener(event -> {
                if (event instanceof AfterLoginTokenRenewedEvent) {
                    renewed.countDown();
                }
            });
            session.getSessionToken();
            Checks.equal(renewed.await(10, java.util.concurrent.TimeUnit.SECONDS), true);
            session.destroy();
            scheduler.close();
        });
    }

    private static void withoutVersions() {
        String mount = Checks.unique("kv");
        ROOT.opsForSys().mount(mount, VaultMount.create("kv"));
        var kv = ROOT.opsForKeyValue(mount, KeyValueBackend.KV_1);
        Checks.check("kv1", "a secret is written, read, listed and deleted", () -> {
            kv.put("app/db", Map.of("user", "shop", "port", 5432));
            Checks.equal(kv.get("app/db").getRequiredData(), Map.of("user", "shop", "port", 5432));
            Checks.equal(kv.list("app"), List.of("db"));
            kv.delete("app/db");
            Checks.equal(kv.get("app/db"), null);
        });
    }

    private static void withVersions() {
        String mount = Checks.unique("kv");
        ROOT.opsForSys().mount(mount, VaultMount.builder().type("kv").options(Map.of("version", "2")).build());
        var kv = ROOT.opsForVersionedKeyValue(mount);
        var plain = ROOT.opsForKeyValue(mount, KeyValueBackend.KV_2);
        Checks.check("kv2", "versions are written and read", () -> {
            kv.put("app", Map.of("a", 1));
            Checks.equal(kv.put("app", Map.of("a", 2)).getVersion(), Version.from(2));
            Checks.equal(kv.get("app").getRequiredData(), Map.of("a", 2));
            Checks.equal(kv.get("app", Version.from(1)).getRequiredData(), Map.of("a", 1));
            Checks.equal(kv.get("none"), null);
        });
        Checks.check("kv2", "check-and-set keeps others' writes", () -> {
            kv.put("cas", Versioned.create(Map.of("a", 1), Version.unversioned()));
            raises("check-and-set parameter did not match the current version",
                    () -> kv.put("cas", Versioned.create(Map.of("a", 2), Version.unversioned())));
        });
        Checks.check("kv2", "versions are deleted, undeleted and destroyed", () -> {
            kv.put("gone", Map.of("a", 1));
            kv.delete("gone");
            Checks.equal(kv.get("gone").getRequiredMetadata().isDeleted(), true);
            kv.undelete("gone", Version.from(1));
            Checks.equal(kv.get("gone").hasData(), true);
            kv.destroy("gone", Version.from(1));
            Checks.equal(kv.get("gone").getRequiredMetadata().isDestroyed(), true);
        });
        Checks.check("kv2", "a patch changes some of it", () -> {
            plain.put("patched", Map.of("keep", 1, "change", 1));
            Checks.equal(plain.patch("patched", Map.of("change", 2)), true);
            Checks.equal(plain.get("patched").getRequiredData(), Map.of("keep", 1, "change", 2));
        });
        Checks.check("kv2", "metadata is written, read and deleted", () -> {
            var metadata = kv.opsForKeyValueMetadata();
            kv.put("folder/one", Map.of("a", 1));
            metadata.put("folder/one", VaultMetadataRequest.builder().casRequired(true).maxVersions(3)
                    .deleteVersionAfter(Duration.ofHours(2)).customMetadata(Map.of("owner", "team")).build());
            var read = metadata.get("folder/one");
            Checks.equal(read.getDeleteVersionAfter(), Duration.ofHours(2));
            Checks.equal(read.getMaxVersions(), 3);
            Checks.equal(kv.get("folder/one").getRequiredMetadata().getCustomMetadata(), Map.of("owner", "team"));
            Checks.equal(read.getVersions().size(), 1);
            Checks.equal(plain.list("folder"), List.of("one"));
            metadata.delete("folder/one");
            Checks.equal(plain.list("folder"), List.of());
        });
    }

    private static void transit() {
        String mount = Checks.unique("transit");
        ROOT.opsForSys().mount(mount, VaultMount.create("transit"));
        var transit = ROOT.opsForTransit(mount);
        for (String type : List.of("aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "rsa-2048", "rsa-4096")) {
            Checks.check("transit", type + " encrypts, and is rotated", () -> {
                transit.createKey(type, VaultTransitKeyCreationRequest.ofKeyType(type));
                String sealed = transit.encrypt(type, "hello");
                transit.rotate(type);
                String moved = transit.rewrap(type, sealed);
                Checks.equal(moved.startsWith("vault:v2:"), true);
                Checks.equal(transit.decrypt(type, moved), "hello");
            });
        }
        for (String type : List.of("ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-3072")) {
            Checks.check("transit", type + " signs what it verifies", () -> {
                transit.createKey(type, VaultTransitKeyCreationRequest.ofKeyType(type));
                Signature signature = transit.sign(type, Plaintext.of("hello"));
                Checks.equal(transit.verify(type, Plaintext.of("hello"), signature), true);
                Checks.equal(transit.verify(type, Plaintext.of("other"), signature), false);
            });
        }
        Checks.check("transit", "keys are listed, configured, exported and deleted", () -> {
            transit.createKey("mine", VaultTransitKeyCreationRequest.builder().exportable(true).build());
            transit.configureKey("mine", VaultTransitKeyConfiguration.builder().deletionAllowed(true).build());
            Checks.equal(transit.getKey("mine").isDeletionAllowed(), true);
            Checks.equal(transit.getKeys().contains("mine"), true);
            Checks.equal(transit.exportKey("mine", TransitKeyType.ENCRYPTION_KEY).getKeys().keySet().toString(), "[1]");
            transit.deleteKey("mine");
            Checks.equal(transit.getKey("mine"), null);
        });
        Checks.check("transit", "a batch has an answer for each of its parts", () -> {
            transit.createKey("batch");
            var sealed = transit.encrypt("batch", List.of(Plaintext.of("one"), Plaintext.of("two")));
            var opened = transit.decrypt("batch", List.of(sealed.get(0).get(), sealed.get(1).get()));
            Checks.equal(opened.get(1).getAsString(), "two");
            raises("invalid ciphertext", () -> transit.decrypt("batch", List.of(Ciphertext.of("vault:v1:AAAA"))));
        });
        Checks.check("transit", "a derived key needs its context", () -> {
            transit.createKey("derived", VaultTransitKeyCreationRequest.builder().derived(true).build());
            var alice = VaultTransitContext.builder().context("alice".getBytes()).build();
            String sealed = transit.encrypt("derived", "hello".getBytes(), alice);
            Checks.equal(new String(transit.decrypt("derived", sealed, alice)), "hello");
            var bob = VaultTransitContext.builder().context("bob".getBytes()).build();
            raises("authentication failed", () -> transit.decrypt("derived", sealed, bob));
        });
        Checks.check("transit", "HMACs", () -> {
            transit.createKey("mac");
            Checks.equal(transit.getHmac("mac", Plaintext.of("hello")).getHmac().startsWith("vault:v1:"), true);
        });
        Checks.check("transit", "a key made elsewhere is imported", () -> {
            KeyGenerator generator = KeyGenerator.getInstance("AES");
            generator.init(256);
            SecretKey key = generator.generateKey();
            String pem = (String) ROOT.read(mount + "/wrapping_key").getRequiredData().get("public_key");
            ROOT.write(mount + "/keys/imported/import", Map.ofEntries(entry("type", "aes256-gcm96"),
                    entry("ciphertext", wrap(pem, generator.generateKey(), key)), entry("exportable", true)));
            Checks.equal(transit.exportKey("imported", TransitKeyType.ENCRYPTION_KEY).getKeys().get("1"),
                    Base64.getEncoder().encodeToString(key.getEncoded()));
        });
    }

    /** A key as an import wants it: under a fresh AES key (RFC 5649), and that under the server's RSA key. */
    private static String wrap(String pem, SecretKey ephemeral, SecretKey key) throws Exception {
        byte[] der = Base64.getMimeDecoder().decode(pem.replaceAll("-----.*-----", ""));
        var server = KeyFactory.getInstance("RSA").generatePublic(new X509EncodedKeySpec(der));
        Cipher oaep = Cipher.getInstance("RSA/ECB/OAEPPadding");
        oaep.init(Cipher.ENCRYPT_MODE, server,
                new OAEPParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, PSource.PSpecified.DEFAULT));
        Cipher kwp = Cipher.getInstance("AESWrapPad");
        kwp.init(Cipher.WRAP_MODE, ephemeral);
        var out = new java.io.ByteArrayOutputStream();
        out.write(oaep.doFinal(ephemeral.getEncoded()));
        out.write(kwp.wrap(key));
        return Base64.getEncoder().encodeToString(out.toByteArray());
    }

    private static void wrapping() {
        var wrapping = ROOT.opsForWrapping();
        Checks.check("wrapping", "what is wrapped is read once", () -> {
            var wrapped = wrapping.wrap(Map.of("secret", "s"), Duration.ofSeconds(60));
            Checks.equal(wrapping.lookup(wrapped.getToken()).getTtl(), Duration.ofSeconds(60));
            Checks.equal(wrapping.read(wrapped.getToken()).getRequiredData(), Map.of("secret", "s"));
            Checks.equal(wrapping.read(wrapped.getToken()), null);
            Checks.equal(wrapping.lookup(wrapped.getToken()), null);
        });
        Checks.check("wrapping", "what is wrapped is wrapped anew", () -> {
            var wrapped = wrapping.wrap(Map.of("secret", "s"), Duration.ofSeconds(60));
            var again = wrapping.rewrap(wrapped.getToken());
            Checks.equal(wrapping.read(again.getToken()).getRequiredData(), Map.of("secret", "s"));
        });
    }

    private static void policies() {
        var sys = ROOT.opsForSys();
        Checks.check("policies", "a policy is written, read, listed and deleted", () -> {
            String name = Checks.unique("policy");
            var rule = Rule.builder().path("secret/data/*").capabilities(BuiltinCapabilities.READ, BuiltinCapabilities.LIST);
            Policy policy = Policy.of(rule.build());
            sys.createOrUpdatePolicy(name, policy);
            Checks.equal(sys.getPolicy(name), policy);
            Checks.equal(sys.getPolicyNames().contains(name), true);
            sys.deletePolicy(name);
            Checks.equal(sys.getPolicy(name), null);
        });
        Checks.check("policies", "a policy allows what it says and no more", () -> {
            String name = Checks.unique("policy");
            String path = "secret/data/" + name;
            sys.createOrUpdatePolicy(name, Policy.of(
                    Rule.builder().path(path).capabilities(BuiltinCapabilities.CREATE).build()));
            var request = VaultTokenRequest.builder().withPolicy(name).noDefaultPolicy().build();
            var client = connect(ROOT.opsForToken().create(request).getToken().getToken());
            client.write(path, Map.of("data", Map.of("a", 1)));
            raises("permission denied", () -> client.read(path));
        });
    }

    private static void system() {
        var sys = ROOT.opsForSys();
        Checks.check("system", "health and seal", () -> {
            Checks.equal(sys.isInitialized(), true);
            Checks.equal(sys.health().isSealed(), false);
            Checks.equal(sys.health().getVersion().matches("\\d+\\.\\d+\\.\\d+"), true);
            Checks.equal(sys.getUnsealStatus().isSealed(), false);
        });
        Checks.check("system", "engines are mounted, listed and unmounted", () -> {
            String path = Checks.unique("spring");
            sys.mount(path, VaultMount.builder().type("kv").description("of a test").build());
            Checks.equal(sys.getMounts().get(path + "/").getDescription(), "of a test");
            sys.unmount(path);
            Checks.equal(sys.getMounts().containsKey(path + "/"), false);
        });
        Checks.check("system", "login methods are enabled and disabled", () -> {
            String path = Checks.unique("spring");
            sys.authMount(path, VaultMount.create("userpass"));
            Checks.equal(sys.getAuthMounts().get(path + "/").getType(), "userpass");
            sys.authUnmount(path);
            Checks.equal(sys.getAuthMounts().containsKey(path + "/"), false);
        });
    }

    private static void errors() {
        Checks.check("errors", "403 of a token that is not known", () ->
                raises("Status 403", () -> connect("hvs.none").read("secret/data/a")));
        Checks.check("errors", "404 is nothing", () -> Checks.equal(ROOT.read("secret/data/none"), null));
        Checks.check("errors", "404 of a mount is told on writing", () ->
                raises("no handler for route", () -> ROOT.write("nowhere/a", Map.of("a", 1))));
        Checks.check("errors", "400", () -> raises("Status 400", () -> {
            ROOT.opsForSys().mount("sys/x", VaultMount.create("kv"));
            return null;
        }));
    }

    /** A client of another server, which trusts the authorities in a file. */
    private static VaultTemplate elsewhere(String address, String authorities) throws Exception {
        VaultEndpoint endpoint = VaultEndpoint.from(URI.create(System.getenv(address)));
        SslConfiguration trust = SslConfiguration.unconfigured();
        if (authorities != null) {
            trust = SslConfiguration.forTrustStore(new FileSystemResource(trustStore(authorities)), PASSWORD);
        }
        return new VaultTemplate(endpoint, ClientHttpRequestFactoryFactory.create(new ClientOptions(), trust),
                new SimpleSessionManager(new TokenAuthentication(System.getenv("VAULT_TOKEN"))));
    }

    /** Certificates in PEM in a store as Java has them. */
    private static String trustStore(String authorities) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        try (var pem = new FileInputStream(authorities)) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        File file = File.createTempFile("trust", ".p12");
        file.deleteOnExit();
        try (var out = new FileOutputStream(file)) {
            store.store(out, PASSWORD);
        }
        return file.getPath();
    }

    private static void servers() {
        Checks.check("tls", "with the authority it is trusted", () -> Checks.equal(
                elsewhere("COMPAT_TLS_ADDR", System.getenv("COMPAT_TLS_CACERT")).read("auth/token/lookup-self")
                        .getRequiredData().get("type"), "service"));
        Checks.check("tls", "without it, it is not", () -> Checks.raises(
                error -> error instanceof ResourceAccessException && error.getMessage().contains("certification path"),
                () -> elsewhere("COMPAT_TLS_ADDR", null).read("auth/token/lookup-self")));
        Checks.check("sealed", "503 is told", () -> {
            raises("Status 503", () -> elsewhere("COMPAT_SEALED_ADDR", null).read("secret/data/a"));
            Checks.equal(elsewhere("COMPAT_SEALED_ADDR", null).opsForSys().health().isSealed(), true);
            Checks.equal(elsewhere("COMPAT_SEALED_ADDR", null).opsForSys().getUnsealStatus().isSealed(), true);
        });
    }

    private static final char[] PASSWORD = "changeit".toCharArray();

    private Spring() {}
}

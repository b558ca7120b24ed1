// Keys that never leave the server, and keys that come to it wrapped.
import assert from "node:assert/strict";
import { constants, createCipheriv, generateKeyPairSync, publicEncrypt, randomBytes, verify } from "node:crypto";
import { test } from "node:test";
import { b64, refused, root, unique } from "./live.mjs";

// The client's own calls know the engine only under this name.
await root.mount({ mount_point: "transit", type: "transit" });
const HELLO = b64("hello");
const newKey = async (options) => {
    const name = unique("key");
    await root.transitCreateKey({ name, ...options });
    return name;
};

test("keys are made, read, listed and deleted", async () => {
    const name = await newKey({ type: "aes256-gcm96", exportable: false });
    assert.equal((await root.transitReadKey({ name })).data.latest_version, 1);
    assert.ok((await root.transitListKeys()).data.keys.includes(name));
    await refused(root.transitDeleteKey({ name }), 400, /deletion is not allowed for this key/);
    await root.write(`transit/keys/${name}/config`, { deletion_allowed: true });
    await root.transitDeleteKey({ name });
    await refused(root.transitReadKey({ name }), 404, /Status 404/);
});

for (const type of ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "rsa-2048", "rsa-3072", "rsa-4096"]) {
    test(`${type} encrypts, and is rotated`, async () => {
        const name = await newKey({ type });
        const { ciphertext } = (await root.encryptData({ name, plaintext: HELLO })).data;
        await root.write(`transit/keys/${name}/rotate`);
        const rewrapped = (await root.rewrapData({ name, ciphertext })).data.ciphertext;
        assert.match(rewrapped, /^vault:v2:/);
        assert.equal((await root.decryptData({ name, ciphertext: rewrapped })).data.plaintext, HELLO);
    });
}

for (const type of ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"]) {
    test(`${type} signs what it verifies`, async () => {
        const name = await newKey({ type });
        const { signature } = (await root.write(`transit/sign/${name}`, { input: HELLO })).data;
        const check = async (input) => (await root.write(`transit/verify/${name}`, { input, signature })).data.valid;
        assert.deepEqual([await check(HELLO), await check(b64("other"))], [true, false]);
    });
}

test("another program verifies with the public key", async () => {
    const name = await newKey({ type: "ecdsa-p256" });
    const { signature } = (await root.write(`transit/sign/${name}`, { input: HELLO })).data;
    const { public_key } = (await root.transitReadKey({ name })).data.keys[1];
    assert.ok(verify("sha256", Buffer.from("hello"), public_key, Buffer.from(signature.split(":")[2], "base64")));
});

test("a batch has an answer for each of its parts", async () => {
    const name = await newKey();
    const batch_input = ["a", "b", "c"].map((text) => ({ plaintext: b64(text) }));
    const { batch_results } = (await root.write(`transit/encrypt/${name}`, { batch_input })).data;
    const opened = (await root.write(`transit/decrypt/${name}`, { batch_input: batch_results })).data.batch_results;
    assert.deepEqual(opened.map(({ plaintext }) => plaintext), batch_input.map(({ plaintext }) => plaintext));
    const signer = await newKey({ type: "ed25519" });
    const inputs = { batch_input: [{ input: HELLO }, { input: b64("other") }] };
    const signed = (await root.write(`transit/sign/${signer}`, inputs)).data.batch_results;
    const pairs = inputs.batch_input.map((item, at) => ({ ...item, signature: signed[at].signature }));
    const checked = (await root.write(`transit/verify/${signer}`, { batch_input: pairs })).data.batch_results;
    assert.deepEqual(checked.map(({ valid }) => valid), [true, true]);
});

test("a derived key needs its context", async () => {
    const name = await newKey({ derived: true });
    const { ciphertext } = (await root.encryptData({ name, plaintext: HELLO, context: b64("alice") })).data;
    await refused(root.decryptData({ name, ciphertext, context: b64("bob") }), 400, /authentication failed/);
});

test("data keys, HMACs, hashes and random bytes", async () => {
    const name = await newKey();
    const { plaintext, ciphertext } = (await root.write(`transit/datakey/plaintext/${name}`)).data;
    assert.equal((await root.decryptData({ name, ciphertext })).data.plaintext, plaintext);
    const { hmac } = (await root.write(`transit/hmac/${name}`, { input: HELLO })).data;
    assert.equal((await root.write(`transit/verify/${name}`, { input: HELLO, hmac })).data.valid, true);
    assert.match((await root.write("transit/hash", { input: b64("abc") })).data.sum, /^ba7816bf/);
    assert.equal((await root.write("transit/random/24", { format: "hex" })).data.random_bytes.length, 48);
});

/** A key as an import wants it: under a fresh AES key (RFC 5649), and that under the server's RSA key. */
const wrap = async (material) => {
    const { public_key } = (await root.read("transit/wrapping_key")).data;
    const ephemeral = randomBytes(32);
    const oaep = { key: public_key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
    const cipher = createCipheriv("id-aes256-wrap-pad", ephemeral, Buffer.from("A65959A6", "hex"));
    const parts = [publicEncrypt(oaep, ephemeral), cipher.update(material), cipher.final()];
    return Buffer.concat(parts).toString("base64");
};

test("a key made elsewhere is imported", async () => {
    const key = randomBytes(32);
    const name = unique("key");
    const ciphertext = await wrap(key);
    await root.write(`transit/keys/${name}/import`, { ciphertext, type: "aes256-gcm96", exportable: true });
    const { keys } = (await root.read(`transit/export/encryption-key/${name}`)).data;
    assert.equal(keys[1], key.toString("base64"));
});

test("a signing key made elsewhere is imported", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const name = unique("key");
    const ciphertext = await wrap(privateKey.export({ format: "der", type: "pkcs8" }));
    await root.write(`transit/keys/${name}/import`, { ciphertext, type: "ecdsa-p256" });
    const { signature } = (await root.write(`transit/sign/${name}`, { input: HELLO })).data;
    assert.ok(verify("sha256", Buffer.from("hello"), publicKey, Buffer.from(signature.split(":")[2], "base64")));
});

// Encryption as a service.
import assert from "node:assert/strict";
import { test } from "node:test";
import { b64, mounted, ok, refused, root } from "./live.mjs";

const mountPath = await mounted("transit");
const transit = root.transit;
const data = async (call) => (await ok(call)).data;
// The client's schema for a new key, as that for a rotated one, knows only the versions of symmetric ones.
const make = (name, type, more = {}) => ok(transit.createKey({ mountPath, name, type, ...more }, { strictSchema: false }));
const input = b64("hello");

test("a key is made, read, changed, listed and deleted", async () => {
    await make("k", "aes256-gcm96");
    assert.equal((await data(transit.readKey({ mountPath, name: "k" }))).type, "aes256-gcm96");
    assert.deepEqual((await data(transit.listKeys({ mountPath }))).keys, ["k"]);
    await ok(transit.updateKey({ mountPath, name: "k", deletion_allowed: true }));
    await ok(transit.deleteKey({ mountPath, name: "k" }));
    await refused(transit.readKey({ mountPath, name: "k" }), /Not Found/);
});

for (const type of ["aes256-gcm96", "chacha20-poly1305", "rsa-2048"]) {
    test(`${type} encrypts, decrypts and rewraps`, async () => {
        await make(type, type);
        const { ciphertext } = await data(transit.encrypt({ mountPath, name: type, plaintext: input }));
        assert.equal((await data(transit.decrypt({ mountPath, name: type, ciphertext }))).plaintext, input);
        await ok(transit.rotateKey({ mountPath, name: type }, { strictSchema: false }));
        const again = await data(transit.rewrap({ mountPath, name: type, ciphertext }));
        assert.match(again.ciphertext, /^vault:v2:/);
        assert.equal((await data(transit.decrypt({ mountPath, name: type, ciphertext: again.ciphertext }))).plaintext, input);
    });
}

for (const type of ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072"]) {
    test(`${type} signs and verifies`, async () => {
        const name = `sign-${type}`;
        await make(name, type);
        const { signature } = await data(transit.sign({ mountPath, name, input }));
        const verify = (input) => data(transit.verify({ mountPath, name, algorithm: "sha2-256", input, signature }));
        assert.deepEqual([(await verify(input)).valid, (await verify(b64("other"))).valid], [true, false]);
    });
}

test("an HMAC is made and verified", async () => {
    await make("mac", "aes256-gcm96");
    const { hmac } = await data(transit.hmac({ mountPath, name: "mac", input }));
    const told = await data(transit.verifyHmac({ mountPath, name: "mac", algorithm: "sha2-256", input, hmac }));
    assert.equal(told.valid, true);
});

test("a data key comes in the clear and encrypted", async () => {
    await make("data", "aes256-gcm96");
    const made = await data(transit.generateDataKey({ mountPath, name: "data", type: "plaintext", bits: 256 }));
    const opened = await data(transit.decrypt({ mountPath, name: "data", ciphertext: made.ciphertext }));
    assert.equal(opened.plaintext, made.plaintext);
});

test("random bytes and hashes", async () => {
    const { random_bytes } = await data(transit.generateRandom({ mountPath, source: "platform", bytes: 12, format: "hex" }));
    assert.match(random_bytes, /^[0-9a-f]{24}$/);
    const { sum } = await data(transit.hash({ mountPath, algorithm: "sha2-256", input }));
    assert.equal(sum, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
});

test("a key is exported, backed up and restored", async () => {
    await make("out", "aes256-gcm96", { exportable: true, allow_plaintext_backup: true });
    const { keys } = await data(transit.exportKey({ mountPath, name: "out", type: "encryption-key" }));
    assert.equal(Buffer.from(keys["1"], "base64").length, 32);
    const { backup } = await data(transit.backupKey({ mountPath, name: "out" }));
    const { ciphertext } = await data(transit.encrypt({ mountPath, name: "out", plaintext: input }));
    await ok(transit.updateKey({ mountPath, name: "out", deletion_allowed: true }));
    await ok(transit.deleteKey({ mountPath, name: "out" }));
    await ok(transit.restoreKey({ mountPath, name: "out", backup }));
    assert.equal((await data(transit.decrypt({ mountPath, name: "out", ciphertext }))).plaintext, input);
});

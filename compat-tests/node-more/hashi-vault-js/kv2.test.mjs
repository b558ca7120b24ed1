// Secrets with versions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { refused, token, unique, vault, write } from "./live.mjs";

const mount = unique("kv");
await write(`sys/mounts/${mount}`, { type: "kv", options: { version: "2" } });

test("a secret is made, changed and read", async () => {
    assert.equal((await vault.createKVSecret(token, "app", { n: 1 }, mount)).version, 1);
    assert.equal((await vault.updateKVSecret(token, "app", { n: 2 }, 1, mount)).version, 2);
    assert.deepEqual((await vault.readKVSecret(token, "app", undefined, mount)).data, { n: 2 });
    assert.deepEqual((await vault.readKVSecret(token, "app", 1, mount)).data, { n: 1 });
    await refused(vault.updateKVSecret(token, "app", { n: 3 }, 1, mount), 400);
    await refused(vault.createKVSecret(token, "app", { n: 3 }, mount), 400);
});

test("versions are deleted, brought back and destroyed", async () => {
    await vault.createKVSecret(token, "gone", { n: 1 }, mount);
    await vault.deleteLatestVerKVSecret(token, "gone", mount);
    await refused(vault.readKVSecret(token, "gone", undefined, mount), 404);
    await vault.undeleteVersionsKVSecret(token, "gone", [1], mount);
    assert.deepEqual((await vault.readKVSecret(token, "gone", undefined, mount)).data, { n: 1 });
    await vault.deleteVersionsKVSecret(token, "gone", [1], mount);
    await vault.destroyVersionsKVSecret(token, "gone", [1], mount);
    assert.equal((await vault.readKVSecretMeta(token, "gone", mount)).versions["1"].destroyed, true);
    await vault.eliminateKVSecret(token, "gone", mount);
    await refused(vault.readKVSecretMeta(token, "gone", mount), 404);
});

test("names are listed, and metadata is kept", async () => {
    await vault.createKVSecret(token, "folder/a", { n: 1 }, mount);
    assert.deepEqual((await vault.listKVSecrets(token, "folder", mount)).keys, ["a"]);
    await vault.createKVSecretMeta(token, "folder/a", { max_versions: 3 }, mount);
    assert.equal((await vault.readKVSecretMeta(token, "folder/a", mount)).max_versions, 3);
});

test("the mount is configured", async () => {
    await vault.updateKVEngineConfig(token, { max_versions: 5 }, mount);
    assert.equal((await vault.readKVEngineConfig(token, mount)).max_versions, 5);
});

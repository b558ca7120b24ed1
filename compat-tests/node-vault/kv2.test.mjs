// Secrets with versions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mounted, refused, root } from "./live.mjs";

const kv = await mounted("kv", { version: 2 });
const put = (path, data, options) => root.write(`${kv}/data/${path}`, { data, options });

test("versions are written and read", async () => {
    assert.equal((await put("app", { a: 1 })).data.version, 1);
    assert.equal((await put("app", { a: 2 })).data.version, 2);
    const { data } = (await root.read(`${kv}/data/app`)).data;
    assert.deepEqual(data, { a: 2 });
    assert.deepEqual((await root.read(`${kv}/data/app?version=1`)).data.data, { a: 1 });
});

test("check-and-set keeps others' writes", async () => {
    await put("cas", { a: 1 }, { cas: 0 });
    await refused(put("cas", { a: 2 }, { cas: 0 }), 400, /check-and-set parameter did not match the current version/);
    await root.write(`${kv}/metadata/cas`, { cas_required: true });
    await refused(put("cas", { a: 2 }), 400, /check-and-set parameter required for this call/);
    assert.equal((await put("cas", { a: 2 }, { cas: 1 })).data.version, 2);
});

test("a patch changes some of it", async () => {
    await put("patched", { keep: 1, drop: 2, deep: { a: 1 } });
    await root.update(`${kv}/data/patched`, { data: { drop: null, deep: { b: 2 } } });
    assert.deepEqual((await root.read(`${kv}/data/patched`)).data.data, { keep: 1, deep: { a: 1, b: 2 } });
});

test("versions are deleted, undeleted and destroyed", async () => {
    await put("gone", { a: 1 });
    await root.delete(`${kv}/data/gone`);
    await refused(root.read(`${kv}/data/gone`), 404, /Status 404/);
    await root.write(`${kv}/undelete/gone`, { versions: [1] });
    assert.deepEqual((await root.read(`${kv}/data/gone`)).data.data, { a: 1 });
    await root.write(`${kv}/delete/gone`, { versions: [1] });
    await root.destroySecretVersions({ mount_point: kv, path: "gone", versions: [1] });
    assert.equal((await root.read(`${kv}/metadata/gone`)).data.versions[1].destroyed, true);
});

test("metadata is written, read, listed and deleted", async () => {
    await put("folder/one", { a: 1 });
    await root.write(`${kv}/metadata/folder/one`, { max_versions: 3, custom_metadata: { owner: "team" } });
    const { data } = await root.read(`${kv}/metadata/folder/one`);
    assert.deepEqual([data.max_versions, data.custom_metadata, data.current_version], [3, { owner: "team" }, 1]);
    await root.update(`${kv}/metadata/folder/one`, { custom_metadata: { stage: "test" } });
    const { custom_metadata } = (await root.read(`${kv}/metadata/folder/one`)).data;
    assert.deepEqual(custom_metadata, { owner: "team", stage: "test" });
    assert.deepEqual((await root.list(`${kv}/metadata/folder`)).data.keys, ["one"]);
    await root.delete(`${kv}/metadata/folder/one`);
    await refused(root.list(`${kv}/metadata/folder`), 404, /Status 404/);
});

test("names inside are told without values", async () => {
    await put("shape", { a: { b: 1 }, c: 2 });
    assert.deepEqual((await root.read(`${kv}/subkeys/shape`)).data.subkeys, { a: { b: null }, c: null });
});

test("the mount has settings", async () => {
    await root.write(`${kv}/config`, { max_versions: 5, delete_version_after: "3h" });
    const { data } = await root.read(`${kv}/config`);
    assert.deepEqual([data.max_versions, data.delete_version_after], [5, "3h0m0s"]);
});

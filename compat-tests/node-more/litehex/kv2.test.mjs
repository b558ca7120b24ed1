// Secrets with versions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mounted, ok, refused, root } from "./live.mjs";

const mountPath = await mounted("kv-v2");
const kv = root.kv2;
const write = async (path, data, options) => (await ok(kv.write({ mountPath, path, data, options }))).data;
const read = async (path, version) => (await ok(kv.read({ mountPath, path, ...(version && { version }) }))).data.data;

test("versions are written and read", async () => {
    assert.equal((await write("app", { n: "1" })).version, 1);
    assert.equal((await write("app", { n: "2" })).version, 2);
    assert.deepEqual([await read("app"), await read("app", 1)], [{ n: "2" }, { n: "1" }]);
});

test("check-and-set refuses an old version", async () => {
    await write("cas", { a: "1" }, { cas: 0 });
    await refused(kv.write({ mountPath, path: "cas", data: { a: "2" }, options: { cas: 0 } }), /did not match the current version/);
});

test("a part is changed", async () => {
    await write("part", { a: "1", b: "1" });
    await ok(kv.patch({ mountPath, path: "part", data: { b: "2" } }));
    assert.deepEqual(await read("part"), { a: "1", b: "2" });
    const { data } = await ok(kv.subKeys({ mountPath, path: "part" }));
    assert.deepEqual(data.subkeys, { a: null, b: null });
});

test("versions are deleted, brought back and destroyed", async () => {
    await write("gone", { a: "1" });
    await ok(kv.deleteLatest({ mountPath, path: "gone" }));
    assert.equal((await kv.read({ mountPath, path: "gone" })).data, undefined);
    await ok(kv.undelete({ mountPath, path: "gone", versions: [1] }));
    assert.deepEqual(await read("gone"), { a: "1" });
    await ok(kv.delete({ mountPath, path: "gone", versions: [1] }));
    await ok(kv.destroy({ mountPath, path: "gone", versions: [1] }));
    const { data } = await ok(kv.readMetadata({ mountPath, path: "gone" }));
    assert.equal(data.versions["1"].destroyed, true);
});

test("metadata is written, changed, listed and deleted", async () => {
    await ok(kv.writeMetadata({ mountPath, path: "meta", max_versions: 3, custom_metadata: { team: "a" } }));
    await ok(kv.patchMetadata({ mountPath, path: "meta", custom_metadata: { team: "b" } }));
    const { data } = await ok(kv.readMetadata({ mountPath, path: "meta" }));
    assert.deepEqual([data.max_versions, data.custom_metadata], [3, { team: "b" }]);
    assert.ok((await ok(kv.list({ mountPath, path: "" }))).data.keys.includes("meta"));
    await ok(kv.deleteMetadata({ mountPath, path: "meta" }));
    await refused(kv.readMetadata({ mountPath, path: "meta" }), /Not Found/);
});

test("the mount is configured", async () => {
    await ok(kv.config({ mountPath, max_versions: 7 }));
    assert.equal((await ok(kv.readConfig({ mountPath }))).data.max_versions, 7);
});

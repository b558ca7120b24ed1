// Secrets without versions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mounted, ok, refused, root } from "./live.mjs";

const mountPath = await mounted("kv");

test("a secret is written, read, listed and deleted", async () => {
    await ok(root.kv.write({ mountPath, path: "app", data: { user: "shop" } }));
    assert.deepEqual((await ok(root.kv.read({ mountPath, path: "app" }))).data, { user: "shop" });
    assert.deepEqual((await ok(root.list({ path: mountPath }))).data.keys, ["app"]);
    await ok(root.kv.delete({ mountPath, path: "app" }));
    await refused(root.kv.read({ mountPath, path: "app" }), /Not Found/);
});

// The server's state and its mounts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mounted, ok, root } from "./live.mjs";

test("it is initialised and unsealed", async () => {
    const status = await ok(root.sealStatus());
    assert.deepEqual([status.initialized, status.sealed, status.type], [true, false, "shamir"]);
    assert.equal((await ok(root.initialized())).initialized, true);
});

test("a mount is listed, described and disabled", async () => {
    const mountPath = await mounted("kv-v2");
    assert.deepEqual((await ok(root.mounts())).data[`${mountPath}/`].options, { version: "2" });
    assert.equal((await ok(root.engineInfo({ mountPath }))).data.type, "kv");
    await ok(root.unmount({ mountPath }));
    assert.equal((await ok(root.mounts())).data[`${mountPath}/`], undefined);
});

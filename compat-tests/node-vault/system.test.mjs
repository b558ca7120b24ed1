// The server's state and its mounts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { refused, root, unique } from "./live.mjs";

test("health, seal and leader", async () => {
    const health = await root.health();
    assert.deepEqual([health.initialized, health.sealed, health.standby], [true, false, false]);
    assert.match(health.version, /^\d+\.\d+\.\d+$/);
    assert.equal((await root.status()).sealed, false);
    assert.equal((await root.initialized()).initialized, true);
    assert.equal(typeof (await root.leader()).ha_enabled, "boolean");
});

test("who is initialised is not initialised again", async () => {
    await refused(root.init({ secret_shares: 1, secret_threshold: 1 }), 400, /Vault is already initialized/);
});

test("engines are mounted, moved and unmounted", async () => {
    const [path, moved] = [unique("node"), unique("node")];
    await root.mount({ mount_point: path, type: "kv", description: "of a test" });
    await root.write(`${path}/a`, { a: 1 });
    assert.equal((await root.mounts()).data[`${path}/`].description, "of a test");
    await root.remount({ from: path, to: moved });
    assert.deepEqual((await root.read(`${moved}/a`)).data, { a: 1 });
    await root.unmount({ mount_point: moved });
    assert.equal((await root.mounts())[`${moved}/`], undefined);
});

test("login methods are enabled and disabled", async () => {
    const path = unique("node");
    await root.enableAuth({ mount_point: path, type: "userpass" });
    assert.equal((await root.auths()).data[`${path}/`].type, "userpass");
    await root.disableAuth({ mount_point: path });
    assert.equal((await root.auths()).data[`${path}/`], undefined);
});

test("audit devices are enabled, listed and disabled", async () => {
    const name = unique("audit");
    await root.enableAudit({ name, type: "file", options: { file_path: "discard" } });
    assert.equal((await root.audits()).data[`${name}/`].type, "file");
    await root.disableAudit({ name });
    assert.equal((await root.audits()).data[`${name}/`], undefined);
});

test("every path explains itself", async () => {
    assert.match((await root.help("sys/mounts")).help, /mount/i);
});

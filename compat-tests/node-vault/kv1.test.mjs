// Secrets without versions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, mounted, refused, root } from "./live.mjs";

// The name that version 1 had at first, which the client's own examples use.
const kv = await mounted("generic");

test("a secret is written, read, listed and deleted", async () => {
    await root.write(`${kv}/app/db`, { user: "shop", port: 5432, tags: ["a"] });
    const { data, lease_duration } = await root.read(`${kv}/app/db`);
    assert.deepEqual([data, lease_duration], [{ user: "shop", port: 5432, tags: ["a"] }, 2764800]);
    assert.deepEqual((await root.list(`${kv}/app`)).data.keys, ["db"]);
    assert.deepEqual((await connect(undefined, { noCustomHTTPVerbs: true }).list(`${kv}`)).data.keys, ["app/"]);
    await root.delete(`${kv}/app/db`);
    await refused(root.read(`${kv}/app/db`), 404, /Status 404/);
});

test("a name may have any letters", async () => {
    for (const name of ["a b", "ä", "100%", "x+y", "{}"]) {
        await root.write(`${kv}/odd/${encodeURIComponent(name)}`, { name });
        assert.equal((await root.read(`${kv}/odd/${encodeURIComponent(name)}`)).data.name, name);
    }
    assert.deepEqual((await root.list(`${kv}/odd`)).data.keys, ["100%", "a b", "x+y", "{}", "ä"]);
});

test("a secret without data is refused", async () => {
    await refused(root.write(`${kv}/empty`, {}), 400, /missing data fields/);
});

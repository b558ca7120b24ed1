// Who may do what.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, issue, mounted, refused, root, unique } from "./live.mjs";

const kv = await mounted("kv", { version: "1" });

test("a policy is written, read, listed and removed", async () => {
    const name = unique("policy");
    const rules = `path "${kv}/*" { capabilities = ["read"] }`;
    await root.addPolicy({ name, rules });
    assert.equal((await root.getPolicy({ name })).rules, rules);
    assert.ok((await root.policies()).policies.includes(name));
    await root.removePolicy({ name });
    await refused(root.getPolicy({ name }), 404, /Status 404/);
});

test("a policy in the words of old", async () => {
    const name = unique("policy");
    await root.addPolicy({ name, rules: JSON.stringify({ path: { [`${kv}/*`]: { policy: "read" } } }) });
    const client = connect((await issue({ policies: [name] })).auth.client_token);
    await root.write(`${kv}/a`, { a: 1 });
    assert.deepEqual((await client.read(`${kv}/a`)).data, { a: 1 });
    await refused(client.write(`${kv}/a`, { a: 2 }), 403, /permission denied/);
    const { capabilities } = (await client.write("sys/capabilities-self", { path: `${kv}/a` })).data;
    assert.deepEqual(capabilities, ["list", "read"]);
});

test("a policy that cannot be read is refused", async () => {
    await refused(root.addPolicy({ name: unique("policy"), rules: "path {" }), 400, /failed to parse policy/);
});

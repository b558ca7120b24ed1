// Answers that only one can open, once.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, issue, mounted, refused, root } from "./live.mjs";

const kv = await mounted("kv", { version: "1" });
const wrapped = (ttl) => ({ headers: { "X-Vault-Wrap-TTL": ttl } });

test("a secret is wrapped and unwrapped once", async () => {
    await root.write(`${kv}/a`, { secret: "s" });
    const { wrap_info } = await root.read(`${kv}/a`, wrapped("60s"));
    assert.deepEqual([wrap_info.ttl, wrap_info.creation_path], [60, `${kv}/a`]);
    assert.deepEqual((await connect(wrap_info.token).unwrap()).data, { secret: "s" });
    await refused(connect(wrap_info.token).unwrap(), 400, /wrapping token is not valid or does not exist/);
});

test("a token of another is told once", async () => {
    const { wrap_info } = await issue({ ttl: "1h", policies: ["default"] }, wrapped("60s"));
    const { auth } = await connect().unwrap({ token: wrap_info.token });
    assert.equal((await connect(auth.client_token).tokenLookupSelf()).data.accessor, wrap_info.wrapped_accessor);
});

test("what is wrapped is looked up and wrapped anew", async () => {
    const { wrap_info } = await root.write("sys/wrapping/wrap", { a: 1 }, wrapped(120));
    const { data } = await root.write("sys/wrapping/lookup", { token: wrap_info.token });
    assert.deepEqual([data.creation_ttl, data.creation_path], [120, "sys/wrapping/wrap"]);
    const again = (await root.write("sys/wrapping/rewrap", { token: wrap_info.token })).wrap_info;
    assert.deepEqual((await root.unwrap({ token: again.token })).data, { a: 1 });
    await refused(root.unwrap({ token: wrap_info.token }), 400, /does not exist/);
});

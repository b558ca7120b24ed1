// The life of tokens.
import assert from "node:assert/strict";
import { test } from "node:test";
import { refused, token, vault } from "./live.mjs";

const child = () => vault.createToken(token, { ttl: "1h", policies: ["default"], display_name: "child" });

test("a token is made, looked up, renewed and revoked", async () => {
    const { client_token: made, accessor } = await child();
    assert.equal((await vault.lookupToken(token, made)).accessor, accessor);
    assert.equal((await vault.lookupSelfToken(made)).display_name, "token-child");
    assert.equal((await vault.renewToken(token, made, "30m")).lease_duration, 1800);
    assert.equal((await vault.renewSelfToken(made, "20m")).lease_duration, 1200);
    await vault.revokeToken(token, made);
    await refused(vault.lookupSelfToken(made), 403);
});

test("a token is managed by its accessor", async () => {
    const { client_token: made, accessor } = await child();
    assert.ok((await vault.listAccessors(token)).keys.includes(accessor));
    assert.equal((await vault.lookupAccessor(token, accessor)).accessor, accessor);
    assert.equal((await vault.renewAccessor(token, accessor, "40m")).lease_duration, 2400);
    await vault.revokeAccessor(token, accessor);
    await refused(vault.lookupSelfToken(made), 403);
});

test("a token ends itself", async () => {
    const { client_token: made } = await child();
    await vault.revokeSelfToken(made);
    await refused(vault.lookupSelfToken(made), 403);
});

// The server's state.
import assert from "node:assert/strict";
import { test } from "node:test";
import { token, vault } from "./live.mjs";

test("it is initialised and unsealed", async () => {
    const health = await vault.healthCheck();
    assert.deepEqual([health.initialized, health.sealed], [true, false]);
    assert.equal((await vault.sealStatus()).sealed, false);
});

test("capabilities are told", async () => {
    const { client_token: child } = await vault.createToken(token, { policies: ["default"] });
    assert.deepEqual((await vault.sysCapabilities(token, child, ["sys/seal"]))["sys/seal"], ["deny"]);
    assert.deepEqual((await vault.sysCapabilitiesSelf(child, ["cubbyhole/a"]))["cubbyhole/a"].includes("read"), true);
});

test("it counts, measures, and knows its host", async () => {
    assert.ok((await vault.sysInternalCounters(token, "tokens")).counters.service_tokens.total > 0);
    assert.ok((await vault.sysMetrics(token, "prometheus")).includes("vault_core_unsealed"));
    assert.ok((await vault.sysHostInfo(token)).timestamp);
});

// A token's life: made, looked up, renewed, expired, revoked.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, issue, refused, root, unique } from "./live.mjs";

const child = async (options) => {
    const { auth } = await issue({ policies: ["default"], ttl: "1h", ...options });
    return { auth, client: connect(auth.client_token) };
};

test("a token is made and looks itself up", async () => {
    const { auth, client } = await child({ meta: { team: "a" }, display_name: "child" });
    assert.deepEqual([auth.policies, auth.renewable, auth.lease_duration], [["default"], true, 3600]);
    const { data } = await client.tokenLookupSelf();
    assert.deepEqual([data.meta, data.display_name, data.creation_ttl], [{ team: "a" }, "token-child", 3600]);
});

test("tokens are looked up by token and by accessor", async () => {
    const { auth } = await child();
    assert.equal((await root.tokenLookup({ token: auth.client_token })).data.accessor, auth.accessor);
    assert.equal((await root.tokenLookupAccessor({ accessor: auth.accessor })).data.id, "");
    assert.ok((await root.tokenAccessors()).data.keys.includes(auth.accessor));
});

test("tokens are renewed", async () => {
    const { auth, client } = await child();
    assert.equal((await client.tokenRenewSelf({ increment: 1800 })).auth.lease_duration, 1800);
    const renewed = await connect().tokenRenew({ token: auth.client_token, increment: "2h" });
    assert.equal(renewed.auth.lease_duration, 7200);
    await refused(root.tokenRenewSelf(), 400, /lease is not renewable/);
});

test("the client renews by itself", async () => {
    const { client } = await child({ ttl: "2s" });
    const renewed = once(client, "token:renewed");
    await client.startTokenRenewal({ increment: 60, renewFraction: 0.5 });
    const alive = setInterval(() => {}, 1000); // the client's own timer lets the process end
    assert.equal((await renewed)[0].auth.lease_duration, 60);
    clearInterval(alive);
    client.stopTokenRenewal();
});

test("a token ends with its time", async () => {
    const { client } = await child({ ttl: "1s" });
    const refusal = async () => {
        for (;;) {
            await client.tokenLookupSelf();
            await sleep(100);
        }
    };
    await refused(refusal(), 403, /permission denied/);
});

test("tokens are revoked, with their children", async () => {
    const parent = await child({ policies: ["root"] });
    const { auth } = await parent.client.tokenCreate({ ttl: "1h" });
    await root.tokenRevoke({ token: parent.auth.client_token });
    await refused(connect(auth.client_token).tokenLookupSelf(), 403, /permission denied/);
    const other = await child();
    await root.tokenRevokeAccessor({ accessor: other.auth.accessor });
    await refused(other.client.tokenLookupSelf(), 403, /permission denied/);
    const self = await child();
    await self.client.tokenRevokeSelf();
    await refused(self.client.tokenLookupSelf(), 403, /permission denied/);
});

test("an orphan outlives whom its parent was", async () => {
    const parent = await child({ policies: ["root"] });
    const fresh = () => connect(parent.auth.client_token);
    const { auth } = await fresh().tokenCreateOrphan({ ttl: "1h", policies: ["default"] });
    const { auth: kept } = await fresh().tokenCreate({ ttl: "1h", policies: ["default"] });
    await root.tokenRevokeOrphan({ token: parent.auth.client_token });
    assert.equal((await connect(auth.client_token).tokenLookupSelf()).data.orphan, true);
    assert.equal((await connect(kept.client_token).tokenLookupSelf()).data.orphan, true);
});

test("roles make tokens", async () => {
    const role_name = unique("role");
    await root.addTokenRole({ role_name, allowed_policies: "default", period: 600 });
    assert.ok((await root.tokenRoles()).data.keys.includes(role_name));
    assert.equal((await root.getTokenRole({ role_name })).data.period, 600);
    assert.equal((await connect().tokenCreateRole({ role_name })).auth.lease_duration, 600);
    await root.removeTokenRole({ role_name });
    await refused(root.getTokenRole({ role_name }), 404, /Status 404/);
});

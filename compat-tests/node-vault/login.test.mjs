// Logins by name and password, by role ID and secret ID, and with a second factor.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { enabled, refused, root, stranger, unique } from "./live.mjs";

const userpass = await enabled("userpass");
const approle = await enabled("approle");

test("a user logs in, and the client takes the token", async () => {
    await root.write(`auth/${userpass}/users/ada`, { password: "pw", token_policies: "default", token_ttl: "10m" });
    const client = stranger();
    const { auth } = await client.userpassLogin({ mount_point: userpass, username: "ada", password: "pw" });
    assert.deepEqual([auth.policies, auth.metadata, auth.lease_duration], [["default"], { username: "ada" }, 600]);
    assert.equal(client.token, auth.client_token);
    assert.equal((await client.tokenLookupSelf()).data.display_name, `${userpass}-ada`);
});

test("a wrong password is refused", async () => {
    await root.write(`auth/${userpass}/users/bob`, { password: "pw" });
    const login = stranger().userpassLogin({ mount_point: userpass, username: "bob", password: "no" });
    await refused(login, 400, /invalid username or password/);
});

test("a role is made, read, listed and deleted", async () => {
    const of = { mount_point: approle, role_name: "web" };
    await root.addApproleRole({ ...of, policies: "default", bind_secret_id: true, token_ttl: 300 });
    assert.equal((await root.getApproleRole(of)).data.token_ttl, 300);
    assert.deepEqual((await root.approleRoles({ mount_point: approle })).data.keys, ["web"]);
    await root.updateApproleRoleId({ ...of, role_id: unique("web") });
    await root.deleteApproleRole(of);
    await refused(root.getApproleRole(of), 404, /Status 404/);
});

test("a program logs in with its role ID and secret ID", async () => {
    const of = { mount_point: approle, role_name: "app" };
    await root.addApproleRole({ ...of, policies: "default" });
    const { role_id } = (await root.getApproleRoleId(of)).data;
    const made = (await root.getApproleRoleSecret({ ...of, metadata: '{"host":"a"}' })).data;
    const client = stranger();
    const { auth } = await client.approleLogin({ mount_point: approle, role_id, secret_id: made.secret_id });
    assert.deepEqual(auth.metadata, { role_name: "app", host: "a" });
    assert.equal((await client.tokenLookupSelf()).data.type, "service");

    assert.deepEqual((await root.approleSecretAccessors(of)).data.keys, [made.secret_id_accessor]);
    const found = (await root.approleSecretLookup({ ...of, secret_id: made.secret_id })).data;
    assert.equal(found.secret_id_accessor, made.secret_id_accessor);
    const { secret_id_accessor } = made;
    assert.deepEqual((await root.approleSecretAccessorLookup({ ...of, secret_id_accessor })).data, found);
    await root.approleSecretAccessorDestroy({ ...of, secret_id_accessor });
    const again = stranger().approleLogin({ mount_point: approle, role_id, secret_id: made.secret_id });
    await refused(again, 400, /invalid role or secret ID/);
});

test("a secret ID is destroyed", async () => {
    const of = { mount_point: approle, role_name: "once" };
    await root.addApproleRole(of);
    const { secret_id } = (await root.getApproleRoleSecret(of)).data;
    await root.approleSecretDestroy({ ...of, secret_id });
    await refused(root.approleSecretAccessors(of), 404, /Status 404/);
});

test("a login waits for its second factor", async () => {
    const people = await enabled("userpass");
    await root.write(`auth/${people}/users/eve`, { password: "pw", token_policies: "default" });
    const accessor = (await root.auths()).data[`${people}/`].accessor;
    const { method_id } = (await root.write("identity/mfa/method/totp", { issuer: "coffer", period: 30 })).data;
    const first = await stranger().userpassLogin({ mount_point: people, username: "eve", password: "pw" });
    const entity_id = first.auth.entity_id;
    const { url } = (await root.write("identity/mfa/method/totp/admin-generate", { method_id, entity_id })).data;
    const enforcement = `identity/mfa/login-enforcement/${unique("node")}`;
    await root.write(enforcement, { mfa_method_ids: [method_id], auth_method_accessors: [accessor] });

    const { auth } = await stranger().userpassLogin({ mount_point: people, username: "eve", password: "pw" });
    assert.equal(auth.client_token, "");
    const { mfa_request_id } = auth.mfa_requirement;
    const done = await root.write("sys/mfa/validate", { mfa_request_id, mfa_payload: { [method_id]: [code(url)] } });
    assert.deepEqual(done.auth.policies, ["default"]);
    await root.delete(enforcement);
});

/** The code that an app shows which has read this URL (RFC 6238). */
const code = (url) => {
    const base32 = new URL(url).searchParams.get("secret");
    const bits = [...base32].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0"));
    const key = Buffer.from(bits.join("").match(/.{8}/g).map((byte) => parseInt(byte, 2)));
    const step = Buffer.alloc(8);
    step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
    const mac = createHmac("sha1", key).update(step).digest();
    const number = mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff;
    return String(number % 1_000_000).padStart(6, "0");
};

// People and programs log in.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { enabled, read, refused, token, vault, write } from "./live.mjs";

test("a user logs in with a password, which is changed", async () => {
    const mount = await enabled("userpass");
    await vault.createUserpassUser(token, "ada", "pw", ["a"], mount);
    const { client_token: made } = await vault.loginWithUserpass("ada", "pw", mount);
    assert.deepEqual((await vault.lookupSelfToken(made)).policies, ["a", "default"]);
    await vault.updateUserpassPassword(token, "ada", "new", mount);
    await refused(vault.loginWithUserpass("ada", "pw", mount), 400);
    await vault.updateUserpassPolicies(token, "ada", ["b"], mount);
    assert.deepEqual((await vault.loginWithUserpass("ada", "new", mount)).policies, ["b", "default"]);
    assert.deepEqual((await vault.listUserpassUsers(token, mount)).keys, ["ada"]);
    await vault.deleteUserpassUser(token, "ada", mount);
    await refused(vault.readUserpassUser(token, "ada", mount), 404);
});

test("a program logs in with an approle", async () => {
    const mount = await enabled("approle");
    await write(`${mount}/role/app`, { token_policies: "a" });
    const { role_id } = (await read(`${mount}/role/app/role-id`)).data;
    const { secret_id } = await vault.generateAppRoleSecretId(token, "app", JSON.stringify({ team: "a" }), mount);
    assert.deepEqual((await vault.readAppRoleSecretId(token, "app", secret_id, mount)).metadata, { team: "a" });
    assert.deepEqual((await vault.loginWithAppRole(role_id, secret_id, mount)).policies, ["a", "default"]);
    await vault.destroyAppRoleSecretId(token, "app", secret_id, mount);
    await refused(vault.loginWithAppRole(role_id, secret_id, mount), 400);
});

test("a cluster is configured", async () => {
    const mount = await enabled("kubernetes");
    const kubernetes_ca_cert = readFileSync(process.env.COMPAT_TLS_CACERT, "utf8");
    const config = { kubernetes_host: "https://127.0.0.1:1", kubernetes_ca_cert, disable_local_ca_jwt: true };
    await vault.updateK8sConfig(token, config, mount);
    assert.equal((await vault.readK8sConfig(token, mount)).kubernetes_host, "https://127.0.0.1:1");
    const role = { bound_service_account_names: ["app"], bound_service_account_namespaces: ["default"] };
    await vault.createK8sRole(token, "app", role, mount);
    assert.deepEqual((await vault.listK8sRoles(token, mount)).keys, ["app"]);
    assert.deepEqual((await vault.readK8sRole(token, "app", mount)).bound_service_account_names, ["app"]);
    await vault.deleteK8sRole(token, "app", mount);
    await refused(vault.readK8sRole(token, "app", mount), 404);
});

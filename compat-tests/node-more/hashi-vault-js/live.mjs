// Clients of the suite's server, and what tests share. What the client answers is `auth` or `data` of the server's answer.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import Vault from "hashi-vault-js";

export const connect = (address = process.env.VAULT_ADDR, more = {}) =>
    new Vault({ https: false, baseUrl: `${address}/v1`, timeout: 10000, proxy: false, ...more });

export const vault = connect();
export const token = process.env.VAULT_TOKEN;

/** What the client has no call for: the administrator's part. */
const call = async (method, path, body) => {
    const answer = await fetch(`${process.env.VAULT_ADDR}/v1/${path}`, { method, headers: { "X-Vault-Token": token }, body: JSON.stringify(body) });
    assert.ok(answer.ok, `${path}: ${answer.status}`);
    return answer.status === 204 ? undefined : answer.json();
};
export const write = (path, body) => call("POST", path, body);
export const read = (path) => call("GET", path);

export const unique = (noun) => `${noun}-${randomBytes(4).toString("hex")}`;

/** The path of a login method that belongs to one test. */
export const enabled = async (type) => {
    const path = unique(type);
    await write(`sys/auth/${path}`, { type });
    return `auth/${path}`;
};

/** The error that a call must raise: the client marks those of the server and explains their status. */
export const refused = (call, status) =>
    assert.rejects(call, (error) => {
        assert.deepEqual([error.isVaultError, error.response?.status], [true, status], error.stack);
        return true;
    });

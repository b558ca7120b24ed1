// Clients of the suite's server, and what tests share.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import vault from "node-vault";

/** A client with a token; the address comes from the environment. */
export const connect = (token = process.env.VAULT_TOKEN, more = {}) => vault({ token, ...more });

/** A client without any token. */
export const stranger = () => {
    const client = connect();
    client.token = undefined;
    return client;
};

export const root = connect();

export const unique = (prefix) => `${prefix}-${randomBytes(4).toString("hex")}`;

export const b64 = (text) => Buffer.from(text).toString("base64");

/** Makes a token. A client takes every token it makes as its own, so that is one of its own. */
export const issue = (options, requestOptions) => connect().tokenCreate({ ...options, requestOptions });

/** Mounts an engine that belongs to one file of tests. */
export const mounted = async (type, options) => {
    const path = unique("node");
    await root.mount({ mount_point: path, type, options });
    return path;
};

/** Enables a login method that belongs to one file of tests. */
export const enabled = async (type) => {
    const path = unique(type);
    await root.enableAuth({ mount_point: path, type });
    return path;
};

/** The error that a call must raise: node-vault documents its status and the first text as its message. */
export const refused = (call, status, message) =>
    assert.rejects(call, (error) => {
        assert.equal(error.response?.statusCode, status, error.stack);
        assert.match(error.message, message);
        return true;
    });

// Clients of the suite's server. The client checks each answer by a schema of its own, and says what went wrong in `error`.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Client } from "@litehex/node-vault";

export const connect = (token = process.env.VAULT_TOKEN, endpoint = process.env.VAULT_ADDR) => new Client({ endpoint, token });

export const root = connect();

export const b64 = (text) => Buffer.from(text).toString("base64");

/** What a call that must succeed answers. */
export const ok = async (call) => {
    const { data, error } = await call;
    assert.equal(error, undefined, `${error} ${JSON.stringify(error?.cause)}`);
    return data;
};

/** A call that must fail with this text. */
export const refused = async (call, text) => assert.match((await call).error?.message ?? "it is not refused", text);

export const mounted = async (type) => {
    const mountPath = `node-${randomBytes(4).toString("hex")}`;
    await ok(root.mount({ mountPath, type }));
    return mountPath;
};

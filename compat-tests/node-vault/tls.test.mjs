// A server that is known by an authority of its own.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { connect } from "./live.mjs";

const { COMPAT_TLS_ADDR: endpoint, COMPAT_TLS_CACERT: authority } = process.env;

test("with the authority it is trusted", async () => {
    const client = connect(undefined, { endpoint, requestOptions: { ca: readFileSync(authority) } });
    assert.equal((await client.tokenLookupSelf()).data.type, "service");
});

test("without it, it is not", async () => {
    await assert.rejects(connect(undefined, { endpoint }).tokenLookupSelf(), /certificate/);
});

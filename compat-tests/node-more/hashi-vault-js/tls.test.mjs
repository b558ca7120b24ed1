// Over TLS, from a server whose authority only this machine knows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, token } from "./live.mjs";

const { COMPAT_TLS_ADDR: address, COMPAT_TLS_CACERT: cacert } = process.env;

test("with the authority it is trusted", async () => {
    const trusting = connect(address, { https: true, cacert });
    assert.equal((await trusting.lookupSelfToken(token)).id, token);
});

test("without it, it is not", () => assert.rejects(connect(address, { https: true }).lookupSelfToken(token), /certificate/));

// A server that has its keys to itself no more.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, refused } from "./live.mjs";

const sealed = connect(undefined, { endpoint: process.env.COMPAT_SEALED_ADDR });

test("503 is told", () => refused(sealed.read("secret/data/a"), 503, /Vault is sealed/));

test("it says of itself that it is sealed", async () => {
    assert.equal((await sealed.status()).sealed, true);
    assert.equal((await sealed.health()).sealed, true);
});

// What the client raises.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, refused, token, vault } from "./live.mjs";

test("403", () => refused(vault.lookupSelfToken("hvs.none"), 403));
test("404", () => refused(vault.readKVSecret(token, "none", undefined, "secret"), 404));
test("503 while it is sealed", async () => {
    const sealed = connect(process.env.COMPAT_SEALED_ADDR);
    await refused(sealed.readKVSecret(token, "none", undefined, "secret"), 503);
    assert.equal((await sealed.sealStatus()).sealed, true);
});

// What the client raises: the status, and the server's first text.
import { test } from "node:test";
import { connect, mounted, refused, root, stranger } from "./live.mjs";

const kv = await mounted("kv", { version: "1" });

test("400", () => refused(root.write("sys/mounts/sys/x", { type: "kv" }), 400, /cannot mount "sys\/x\/"/));
test("403 of a token that is not known", () => refused(connect("hvs.none").read(`${kv}/a`), 403, /permission denied/));
test("403 of no token", () => refused(stranger().read(`${kv}/a`), 403, /permission denied/));
test("404 of a secret", () => refused(root.read(`${kv}/none`), 404, /^Status 404$/));
test("404 of a mount", () => refused(root.read("nowhere/a"), 404, /no handler for route/));
test("405", () => refused(root.write("sys/leader", {}), 405, /^Status 405$/));

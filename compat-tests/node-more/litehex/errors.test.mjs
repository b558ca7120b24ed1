// What the client says of refusals.
import { test } from "node:test";
import { connect, mounted, refused, root } from "./live.mjs";

test("403", () => refused(connect("hvs.none").mounts(), /permission denied/));
test("400", async () => refused(root.mount({ mountPath: await mounted("kv"), type: "kv" }), /path is already in use/));
test("404", () => refused(root.read({ path: "nowhere/at/all" }), /no handler for route/));
test("503", () => refused(connect("hvs.any", process.env.COMPAT_SEALED_ADDR).mounts(), /sealed/));

// Says of each test how it came out. Its area is the name of its file.
import { basename } from "node:path";

export default async function* report(events) {
    for await (const { type, data } of events) {
        if ((type !== "test:pass" && type !== "test:fail") || data.name.endsWith(".test.mjs")) continue;
        const outcome = type === "test:fail" ? "FAIL" : data.skip === undefined ? "ok" : "SKIP";
        yield `${outcome} ${basename(data.file, ".test.mjs")}: ${data.name}\n`;
        if (outcome === "FAIL") yield `${data.details.error.cause?.stack ?? data.details.error}\n`;
    }
}

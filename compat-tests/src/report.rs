//! What a suite says line by line, and the table of clients that becomes of it; knows no client.
//!
//! A suite prints `ok AREA: WHAT`, `FAIL AREA: WHAT` or `SKIP AREA: WHAT` for each thing it did. `client NAME VERSION`
//! says who did what follows. Every other line is for people.

use std::collections::BTreeMap;

use crate::count::Count;

/// The areas that clients are compared in, in the order of the table's columns.
pub(crate) const AREAS: [&str; 11] =
    ["login", "token", "kv1", "kv2", "transit", "wrapping", "policies", "system", "errors", "tls", "sealed"];

/// What a suite did, and who did it.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) count: Count,
    pub(crate) clients: Vec<Client>,
}

/// A published client, and how much of each area it used.
pub(crate) struct Client {
    name: String,
    version: String,
    areas: BTreeMap<String, Count>,
}

impl Report {
    /// Takes a line of a suite's output.
    pub(crate) fn take(&mut self, line: &str) {
        if let Some((name, version)) = line.strip_prefix("client ").and_then(|rest| rest.split_once(' ')) {
            self.clients.push(Client { name: name.into(), version: version.into(), areas: BTreeMap::new() });
        }
        let Some((count, area)) = done(line) else { return };
        self.count += count;
        if let Some(client) = self.clients.last_mut() {
            if !AREAS.contains(&area) {
                println!("FAIL {}: there is no area {area:?}", client.name);
                self.count.failed += 1;
            }
            *client.areas.entry(area.to_owned()).or_default() += count;
        }
    }
}

/// How something came out, and in which area.
fn done(line: &str) -> Option<(Count, &str)> {
    let (outcome, rest) = line.split_once(' ')?;
    let (area, _) = rest.trim_start().split_once(": ")?;
    let none = Count::default();
    let count = match outcome {
        "ok" => Count { passed: 1, ..none },
        "FAIL" => Count { failed: 1, ..none },
        "SKIP" => Count { skipped: 1, ..none },
        _ => return None,
    };
    Some((count, area))
}

/// The table of clients and areas, in Markdown: how many things each client did, `–` where it did nothing. A client may be
/// in several suites.
pub(crate) fn table(clients: &[&Client]) -> String {
    let mut rows = BTreeMap::<_, BTreeMap<&str, Count>>::new();
    for Client { name, version, areas } in clients {
        let row = rows.entry((name.to_lowercase(), name, version)).or_default();
        for (area, count) in areas {
            *row.entry(area).or_default() += *count;
        }
    }
    let mut text = format!("| client | version | {} |\n|---|---|{}\n", AREAS.join(" | "), "---:|".repeat(AREAS.len()));
    for ((_, name, version), areas) in rows {
        let cells = AREAS.map(|area| areas.get(area).map_or_else(|| "–".to_owned(), cell));
        text += &format!("| {name} | {version} | {} |\n", cells.join(" | "));
    }
    text
}

fn cell(count: &Count) -> String {
    match count {
        Count { passed, failed: 0, skipped: 0 } => passed.to_string(),
        Count { passed, failed, skipped } => format!("{passed}, {failed} failed, {skipped} skipped"),
    }
}

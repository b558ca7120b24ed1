//! The laws that types and lints cannot hold, checked on the text of the project; knows Rust only as words and braces.

use std::collections::BTreeSet;

use source::{Line, Source, block_end, is_word, item_end, places, sources};

#[path = "tidy/source.rs"]
mod source;

/// One law on one kind of file, with a sample that breaks it and one that does not.
struct Check {
    law: &'static str,
    /// Start of the paths that it looks at.
    over: &'static str,
    advice: &'static str,
    find: fn(&Source) -> Vec<Finding>,
    bad: Sample,
    good: Sample,
}

/// A path and its text.
type Sample = (&'static str, &'static str);

/// A line number, counted from 1, and what stands there.
type Finding = (usize, String);

#[rustfmt::skip]
const CHECKS: &[Check] = &[
    Check {
        law: "law 1", over: "src/", find: imports,
        advice: "import only what the matrix in tests/tidy.rs allows, or move the code to the module that may",
        bad: ("src/storage/mod.rs", "use std::fmt;\n\nuse crate::{storage::Error, crypto::Key};"),
        good: ("src/api/error.rs", "use crate::storage::Error as Storage;\nuse crate::api::{Op, request::Request};"),
    },
    Check {
        law: "law 1", over: "src/api/", find: imports,
        advice: "the vocabulary knows only the errors of what lies below it",
        bad: ("src/api/error.rs", "use crate::barrier;\n\nfn f(view: barrier::View) {}"),
        good: ("src/api/error.rs", "use crate::barrier;\n\nimpl From<barrier::Error> for Error {}"),
    },
    Check {
        law: "law 1", over: "src/", find: |source| mentions(source, &["http", "server", "cli", "outbound"], &["hyper", "hyper_util", "http_body_util"]),
        advice: "only http/, server.rs, outbound.rs and the client of cli/ know hyper; pass plain data instead",
        bad: ("src/core/mod.rs", "fn status() -> hyper::StatusCode {"),
        good: ("src/http/mod.rs", "use hyper::StatusCode;"),
    },
    Check {
        law: "law 1", over: "src/", find: |source| mentions(source, &["storage"], &["sled::", "use sled", "redb::", "use redb"]),
        advice: "only storage/ knows its databases; go through the trait",
        bad: ("src/barrier/mod.rs", "fn open() -> sled::Db {"),
        good: ("src/main.rs", "use coffer::storage::sled::Sled;"),
    },
    Check {
        law: "law 1", over: "src/", find: |source| mentions(source, &["core"], &["cryptoki"]),
        advice: "only the seal of core/ calls libraries of hardware modules, on their own threads",
        bad: ("src/sys/seal.rs", "use cryptoki::context::Pkcs11;"),
        good: ("src/core/seal/pkcs11.rs", "use cryptoki::context::Pkcs11;"),
    },
    Check {
        law: "law 1", over: "src/", find: |source| mentions(source, &["storage", "barrier", "server", "main", "cli"], &["Store"]),
        advice: "only barrier/ calls the store; take a View, which encrypts",
        bad: ("src/secrets/kv.rs", "fn read(store: &dyn Store) {"),
        good: ("src/barrier/mod.rs", "fn read(store: &dyn Store) {"),
    },
    Check {
        law: "law 2", over: "src/crypto/", find: |source| mentions(source, &[], IMPURE),
        advice: "crypto/ is pure; take randomness, time and bytes as arguments",
        bad: ("src/crypto/aead.rs", "let now = SystemTime::now();"),
        good: ("src/crypto/aead.rs", "fn nonce(rng: &mut impl Rng) { // not SystemTime\n}"),
    },
    Check {
        law: "law 3", over: "src/", find: |source| mentions(source, &["http", "server", "main", "telemetry", "cli", "outbound"], &["async", "await"]),
        advice: "async stops at http/; make it a plain function",
        bad: ("src/core/mod.rs", "pub async fn handle() {"),
        good: ("src/server.rs", "pub async fn handle() {"),
    },
    Check {
        law: "law 5", over: "src/http/response.rs", find: status_wildcards,
        advice: "name every variant in the match that turns an error into a status",
        bad: ("src/http/response.rs", "match error {\n    Error::Sealed => 503,\n    _ => 500,\n}"),
        good: ("src/http/response.rs", "match error {\n    Error::Sealed(_) => match x { _ => 503 },\n    Error::Other { .. } => 500,\n}"),
    },
    Check {
        law: "law 7 (R23)", over: "src/", find: exposed_compares,
        advice: "compare secrets in constant time, by `Secret::matches` or subtle",
        bad: ("src/auth/token/id.rs", "let known = given == secret\n    .expose();"),
        good: ("src/auth/token/id.rs", "let some = secret.expose().len(); let other = a == b; // == secret.expose()"),
    },
    Check {
        law: "law 10", over: "src/", find: |source| mentions(source, &[], PANICS),
        advice: "input cannot panic; return an error",
        bad: ("src/api/weak.rs", "let n: u32 = text.parse().expect(\n    \"a number\"\n);"),
        good: ("src/api/weak.rs", "let n = n.unwrap_or(0); // .unwrap()\n#[cfg(test)]\nmod tests {\n    fn t() { n.unwrap(); }\n}"),
    },
    Check {
        law: "law 10", over: "src/", find: |source| mentions(source, &["main"], &["process::exit"]),
        advice: "only main.rs ends the process; return an error to it",
        bad: ("src/cli/mod.rs", "std::process::exit(1);"),
        good: ("src/main.rs", "std::process::exit(1);"),
    },
    Check {
        law: "law 12", over: "src/", find: unsafe_code,
        advice: "only crypto/lc.rs calls C; use aws-lc-rs, or extend that module",
        bad: ("src/crypto/rsa.rs", "let key = unsafe { sys::RSA_new() };"),
        good: ("src/crypto/lc.rs", "let key = unsafe { sys::RSA_new() };"),
    },
    Check {
        law: "law 13", over: "src/", find: first_line,
        advice: "begin with one `//!` line: what the file is for and what it deliberately does not know",
        bad: ("src/clock.rs", "use std::time;\n//! Clocks."),
        good: ("src/clock.rs", "//! Clocks; knows no time zones."),
    },
    Check {
        law: "law 13", over: "src/", find: file_length,
        advice: "split the file by noun",
        bad: ("src/long.rs", LONG_FILE),
        good: ("src/short.rs", "fn main() {}\n"),
    },
    Check {
        law: "law 13", over: "src/", find: function_lengths,
        advice: "give a part of the function a name of its own",
        bad: ("src/long.rs", LONG_FUNCTION),
        good: ("src/short.rs", "trait Short {\n    fn declared(&self);\n    fn body() {\n    }\n}"),
    },
    Check {
        law: "law 13", over: "", find: machine_paths,
        advice: "name nothing that exists only on one machine",
        bad: ("src/config.rs", concat!("// as in ", "/ro", "ot/coffer.toml")),
        good: ("README.md", "Read `auth/token/root` and /v1/homepage."),
    },
    Check {
        law: "dependencies", over: "Cargo.lock", find: locked,
        advice: "keep to one cryptographic library, and that one constant-time; `cargo tree -i` shows who brings it",
        bad: ("Cargo.lock", "[[package]]\nname = \"aws-lc-sys\"\n[[package]]\nname = \"aws-lc-sys\"\n"),
        good: ("Cargo.lock", "[[package]]\nname = \"aws-lc-sys\"\n[[package]]\nname = \"rsa-like\"\n"),
    },
];

/// What each module may import: whole modules, or one item of them. Itself it may always import.
#[rustfmt::skip]
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("sabotage",  &[]),
    ("crypto",    &[]),
    ("storage",   &["clock::Stopwatch", "sabotage"]),
    ("clock",     &["crypto"]),
    ("metrics",   &[]),
    ("wiping",    &[]),
    ("entropy",   &["crypto"]),
    ("hcl",       &[]),
    ("barrier",   &["crypto", "storage", "entropy", "metrics", "sabotage"]),
    ("api",       &["crypto", "storage::Error", "barrier::Error"]),
    ("access",    &["api", "barrier", "crypto", "clock", "entropy", "hcl", "metrics"]),
    ("trust",     &["crypto"]),
    ("outbound",  &["crypto", "trust"]),
    ("engine",    &["api", "access", "barrier", "crypto", "clock", "entropy"]),
    ("secrets",   &["api", "engine", "barrier", "crypto", "clock", "entropy"]),
    ("identity",  &["api", "engine", "access", "barrier", "crypto", "clock", "entropy"]),
    ("auth",      &["api", "engine", "access", "outbound", "trust", "barrier", "crypto", "clock", "entropy"]),
    ("sys",       &["api", "engine", "access", "core", "crypto", "clock", "entropy", "telemetry"]),
    ("core",      &["api", "engine", "access", "secrets", "auth", "identity", "sys", "barrier", "storage::Durable",
                    "storage::Seq", "outbound", "crypto", "clock", "entropy", "metrics", "sabotage"]),
    ("http",      &["api", "config", "core", "storage::Durable", "crypto", "clock", "entropy"]),
    ("config",    &["api", "core", "hcl"]),
    ("telemetry", &["clock"]),
    ("server",    &["http", "config", "telemetry", "trust", "api", "core", "barrier", "storage", "crypto", "clock", "entropy"]),
    ("cli",       &["server", "http", "config", "telemetry", "outbound", "trust", "hcl", "api", "core", "barrier", "storage", "crypto", "clock",
                    "entropy"]),
    ("main",      &["wiping", "cli", "server", "http", "config", "telemetry", "core", "barrier", "storage", "clock", "entropy"]),
    ("lib",       &[]),
];

/// What calls C, what maps memory for keys, and what wipes freed memory.
const UNSAFE: &[&str] = &["src/crypto/lc.rs", "src/crypto/arena.rs", "src/wiping.rs"];

const IMPURE: &[&str] = &[
    "SystemTime",
    "Instant",
    "getrandom",
    "SysRng",
    "OsRng",
    "SystemRandom",
    "RandomizedNonceKey",
    "thread_rng",
    "std::env",
    "std::fs",
    "std::net",
    "std::thread",
];
const PANICS: &[&str] =
    &[".unwrap()", ".unwrap_err()", ".expect()", ".expect_err()", "panic!", "todo!", "unimplemented!", "unreachable!"];
const MACHINE_PATHS: &[&str] = &[concat!("/ro", "ot"), concat!("/ho", "me"), concat!("/wo", "rk")];
const REGISTRY_HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("proxy.", "golang.org"),
    concat!("registry.", "npmjs.org"),
];
/// The `rsa` crate leaks timing, OpenSSL would be a second library for the same work. So would `ring`, which is not built
/// but stands in Cargo.lock, where rustls-webpki has features for it: deny.toml sees to that.
const BANNED_PACKAGES: &[&str] = &["rsa", "openssl-sys"];
const SINGLE_PACKAGES: &[&str] = &["aws-lc-sys"];
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn the_project_keeps_its_laws() {
    let sources = sources();
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the sources were not found");
    let broken: Vec<String> = CHECKS.iter().flat_map(|check| check.violations(&sources)).collect();
    assert!(broken.is_empty(), "{} laws broken:\n{}\n", broken.len(), broken.join("\n"));
}

#[test]
fn every_check_fires_on_what_breaks_it_and_only_there() {
    for check in CHECKS {
        for (sample, broken) in [(&check.bad, true), (&check.good, false)] {
            let found = check.violations(&[Source::new(sample.0, sample.1)]);
            assert_eq!(!found.is_empty(), broken, "{}, {}, on\n{}\nsays {found:?}", check.law, check.advice, sample.1);
        }
    }
}

impl Check {
    fn violations(&self, sources: &[Source]) -> Vec<String> {
        let looked_at = sources.iter().filter(|source| source.path.starts_with(self.over));
        looked_at
            .flat_map(|source| (self.find)(source).into_iter().map(move |(line, what)| (&source.path, line, what)))
            .map(|(path, line, what)| format!("{path}:{line}: {}: {what}: {}", self.law, self.advice))
            .collect()
    }
}

/// Imports that the matrix does not have, and modules that the matrix does not know.
fn imports(source: &Source) -> Vec<Finding> {
    let module = source.module();
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        return vec![(1, format!("module `{module}` is not in the matrix"))];
    };
    let limited: Vec<&str> =
        allowed.iter().filter_map(|item| item.split_once("::")).map(|(module, _)| module).collect();
    let may = |path: &str| {
        let within =
            |parent: &str| path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        let known = MAY_IMPORT.iter().any(|(name, _)| within(name));
        !known || within(module) || limited.contains(&path) || allowed.iter().any(|item| within(item))
    };
    // Where a path begins, and how much of it to leave out: of `use crate::barrier;` and `barrier::Error`, both count.
    let mut roots: Vec<(String, usize)> = limited.iter().map(|module| (format!("{module}::"), 0)).collect();
    let whole = ["crate::", "coffer::", &"super::".repeat(source.depth())].map(|root| (root.to_owned(), root.len()));
    roots.extend(whole);
    let code = source.code();
    let starts = roots.iter().flat_map(|(root, skip)| places(&code, root).map(move |at| at + skip));
    starts
        .flat_map(|at| expand(use_tree(&code[at..])).into_iter().map(move |path| (at, path)))
        .filter(|(_, path)| !may(path))
        .map(|(at, path)| (source.line_at(&code, at), format!("`{module}` imports `{path}`")))
        .collect()
}

/// The part of `code` that is one path or use tree.
fn use_tree(code: &str) -> &str {
    let path = code.find(|c| !is_word(c) && c != ':').unwrap_or(code.len());
    if code[path..].starts_with('{') { &code[..=path + block_end(&code[path..])] } else { &code[..path] }
}

/// `a::{b, c::{d, e}}` -> `a::b`, `a::c::d`, `a::c::e`
fn expand(tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else {
        return vec![tree.split_whitespace().next().unwrap_or_default().to_owned()];
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let mut depth = 0_i32;
    let branches = inner.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let head = head.trim();
    branches
        .map(str::trim)
        .filter(|branch| !branch.is_empty())
        .flat_map(|branch| expand(branch).into_iter().map(move |path| format!("{head}{path}")))
        .collect()
}

/// Uses of these words in a module that is not one of `owners`; `.f()` is a call whose only argument is a literal or none.
fn mentions(source: &Source, owners: &[&str], words: &[&str]) -> Vec<Finding> {
    if owners.contains(&source.module()) {
        return Vec::new();
    }
    let code = source.code();
    let found = |word: &&str| {
        let (start, end) = word.strip_suffix(')').map_or((*word, ""), |call| (call, ")"));
        let places = places(&code, start).filter(|at| code[at + start.len()..].trim_start().starts_with(end));
        places.map(|at| (source.line_at(&code, at), format!("`{word}`"))).collect::<Vec<_>>()
    };
    words.iter().flat_map(found).collect()
}

/// Statements that look at a secret and compare something with `==` or `!=`.
fn exposed_compares(source: &Source) -> Vec<Finding> {
    let code = source.code();
    let ends = [';', '{', '}'];
    let statement = |at: usize| {
        let start = code[..at].rfind(ends).map_or(0, |end| end + 1);
        &code[start..code[at..].find(ends).map_or(code.len(), |end| at + end)]
    };
    let compares = |at: &usize| [" == ", " != "].iter().any(|sign| statement(*at).contains(sign));
    let found = |at: usize| (source.line_at(&code, at), statement(at).trim().to_owned());
    places(&code, ".expose()").filter(compares).map(found).collect()
}

/// `unsafe` outside the modules that may have it.
fn unsafe_code(source: &Source) -> Vec<Finding> {
    if UNSAFE.contains(&source.path.as_str()) { Vec::new() } else { mentions(source, &[], &["unsafe"]) }
}

/// Arms that take any error, in a match that names errors; or no such match at all.
fn status_wildcards(source: &Source) -> Vec<Finding> {
    let code = source.code();
    let blocks: Vec<(usize, &str)> = places(&code, "match")
        .filter_map(|at| code[at..].find('{').map(|open| at + open))
        .map(|open| (open, &code[open..=open + block_end(&code[open..])]))
        .filter(|(_, block)| arms(block).any(|(_, arm)| arm.contains("Error::")))
        .collect();
    if blocks.is_empty() {
        return vec![(1, "no match over errors".to_owned())];
    }
    let takes_any = |arm: &str| arm.split(" if ").next().is_some_and(|pattern| pattern.chars().all(is_word));
    blocks
        .iter()
        .flat_map(|(open, block)| arms(block).map(move |(at, arm)| (open + at, arm)))
        .filter(|(_, arm)| takes_any(arm))
        .map(|(at, arm)| (source.line_at(&code, at), format!("`{arm} =>`")))
        .collect()
}

/// The patterns of a match block's own arms, each with the place of its arrow.
fn arms(block: &str) -> impl Iterator<Item = (usize, &str)> {
    let outside = |at: usize| block[..at].matches('{').count() - block[..at].matches('}').count() == 1;
    block.match_indices("=>").map(|(at, _)| at).filter(move |at| outside(*at)).map(|at| {
        let before = &block[..at];
        let lines = before.rfind('\n').map_or(before, |start| &before[start..]);
        (at, lines.trim_start_matches(['{', '\n', ' ', '|']).trim_end())
    })
}

fn first_line(source: &Source) -> Vec<Finding> {
    let says = source.lines.first().is_some_and(|line| line.number == 1 && line.text.starts_with("//! "));
    if says { Vec::new() } else { vec![(1, "no `//!`".to_owned())] }
}

fn file_length(source: &Source) -> Vec<Finding> {
    let lines = source.lines.len();
    if lines <= FILE_LINES_MAX { Vec::new() } else { vec![(FILE_LINES_MAX, format!("{lines} lines"))] }
}

fn function_lengths(source: &Source) -> Vec<Finding> {
    let code = source.code();
    let too_long = |at: usize| {
        let (first, last) = (source.line_at(&code, at), source.line_at(&code, at + item_end(&code[at..])));
        let name = code[at + "fn ".len()..].split(|c| !is_word(c)).next().unwrap_or_default();
        let lines = last - first + 1;
        (lines > FUNCTION_LINES_MAX).then(|| (first, format!("`{name}` has {lines} lines")))
    };
    places(&code, "fn ").filter_map(too_long).collect()
}

fn machine_paths(source: &Source) -> Vec<Finding> {
    let standing_alone = |text: &str, path: &str| {
        text.match_indices(path).any(|(at, _)| {
            let before = text[..at].chars().next_back().is_none_or(|c| !is_word(c) && !"./-}".contains(c));
            before && text[at + path.len()..].chars().next().is_none_or(|c| !is_word(c) && c != '-')
        })
    };
    let found = |line: &Line| {
        let path = MACHINE_PATHS.iter().find(|path| standing_alone(&line.text, path));
        let host = REGISTRY_HOSTS.iter().find(|host| line.text.contains(**host));
        path.or(host).map(|what| (line.number, format!("`{what}`")))
    };
    source.lines.iter().filter_map(found).collect()
}

fn locked(source: &Source) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let mut unwanted = |line: &Line| {
        let name = line.text.strip_prefix("name = \"")?.strip_suffix('"')?.to_owned();
        let again = SINGLE_PACKAGES.contains(&name.as_str()) && !seen.insert(name.clone());
        let what = if again { "a second version of " } else { "package " };
        (again || BANNED_PACKAGES.contains(&name.as_str())).then(|| (line.number, format!("{what}`{name}`")))
    };
    source.lines.iter().filter_map(&mut unwanted).collect()
}

const LONG_FILE: &str = concat!("//! Long.\n", include_str!("tidy.rs"), include_str!("tidy.rs"));
const LONG_FUNCTION: &str = concat!(
    "fn long(key: [u8; 32]) {\n",
    "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
    "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
    "}\n"
);

//! Regression R05: an endpoint asked for the capability of another operation, so that who might encrypt might also rotate.
//! Every row of transit, with every capability.

use std::sync::Arc;

use super::{Acl, Capabilities};
use crate::access::gate::{self, Ask};
use crate::access::policy::{Grant, Pattern, Rule};
use crate::access::tokens::TokenRecord;
use crate::api::route::Row;
use crate::api::{Error, Op, Params, Request, Token};
use crate::barrier::{Horizon, Sealed};
use crate::clock::{Clock, Timestamp};
use crate::core::seal::UnsealKey;
use crate::core::{Core, Settings, Thread};
use crate::storage::Memory;

const SINGLE: [Capabilities; 7] = [
    Capabilities::CREATE,
    Capabilities::READ,
    Capabilities::UPDATE,
    Capabilities::DELETE,
    Capabilities::LIST,
    Capabilities::PATCH,
    Capabilities::SUDO,
];

/// A core with transit, in which there is the key `k` and no other.
struct Bench {
    core: Arc<Core>,
    horizon: Horizon,
}

impl Bench {
    fn new() -> Self {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let core = Core::new(Sealed::new(Arc::new(Memory::new())), Settings::default(), clock);
        core.initialise(&UnsealKey::generate()).unwrap();
        core.dev_root_token(Some("root")).unwrap();
        for (path, body) in [("sys/mounts/transit", r#"{"type":"transit"}"#), ("transit/keys/k", "{}")] {
            let request = Request {
                token: Some(Token::new("root")),
                params: Params::Json(body.as_bytes().to_vec().into()),
                ..Request::new(Op::Write, path)
            };
            assert!(core.handle(&request, Thread::Worker).unwrap().outcome.is_ok(), "{path}");
        }
        Self { core, horizon: Horizon::default() }
    }

    fn rows(&self) -> Vec<&'static Row> {
        let table = self.core.route_table().unwrap();
        table.into_iter().find(|(mount, _)| mount == "transit/").unwrap().1
    }

    /// Whether someone is admitted who has been granted this, and nothing else, on one path.
    fn admits(&self, granted: Capabilities, on: &str, row: &Row, path: &str) -> bool {
        let active = self.core.unsealed().unwrap();
        let view = active.platform.view(&self.horizon);
        let record = TokenRecord::root("auth/token/create", "token", Timestamp::UNIX_EPOCH);
        let someone = active.tokens.create(&view, &crate::access::tokens::new_token(), record).unwrap();
        let grant = Grant { capabilities: granted, conditions: None };
        let acl = Acl::of([Rule { pattern: Pattern::Exact(on.to_owned()), grant }]);
        let caller = Arc::new(someone.with_acl(acl));

        let (mount, rest) = active.mounts.find(path).unwrap();
        let target = mount.backend.find(row.op, rest).unwrap();
        let exists = || mount.backend.exists(&target, &mount.scope.view(&self.horizon));
        let ask = Ask { op: row.op, path, params: &Params::None, wrap_ttl: None };
        match gate::admit(&caller, target.row.access, &ask, exists) {
            Ok(_) => true,
            Err(Error::Denied) => false,
            Err(error) => panic!("{path}: {error}"),
        }
    }
}

/// What the API says is needed: encrypting makes keys, and no other write asks whether there is something.
fn needed(row: &Row, key: &str) -> Capabilities {
    match row.op {
        Op::Read => Capabilities::READ,
        Op::List => Capabilities::LIST,
        Op::Scan => Capabilities::SCAN,
        Op::Delete => Capabilities::DELETE,
        Op::Write if row.path == "encrypt/{name}" && key != "k" => Capabilities::CREATE,
        Op::Write => Capabilities::UPDATE,
        Op::Patch => Capabilities::PATCH,
    }
}

fn filled(row: &Row, key: &str) -> String {
    let parts = row.path.split('/').map(|part| match part {
        "{name}" | "{name?..}" | "{source}" | "{destination}" => key,
        part if part.starts_with('{') => "x",
        part => part,
    });
    format!("transit/{}", parts.collect::<Vec<_>>().join("/"))
}

#[test]
fn r05_only_the_capability_of_the_operation_admits() {
    let bench = Bench::new();
    for (row, key) in bench.rows().into_iter().flat_map(|row| [(row, "k"), (row, "new")]) {
        let (path, needed) = (filled(row, key), needed(row, key));
        for granted in SINGLE {
            assert_eq!(bench.admits(granted, &path, row, &path), granted == needed, "{granted:?}: {:?} {path}", row.op);
        }
        let others = SINGLE.into_iter().filter(|other| *other != needed).fold(Capabilities::NONE, |all, one| all | one);
        assert!(!bench.admits(others, &path, row, &path), "{others:?}: {:?} {path}", row.op);
    }
}

#[test]
fn r05_a_capability_is_of_no_use_on_another_path() {
    let bench = Bench::new();
    let rows = bench.rows();
    assert!(rows.len() > 30);
    for (row, other) in rows.iter().flat_map(|row| rows.iter().map(move |other| (*row, *other))) {
        let (path, elsewhere) = (filled(row, "k"), filled(other, "k"));
        let admitted = bench.admits(Capabilities::ALL, &elsewhere, row, &path);
        assert_eq!(admitted, path == elsewhere, "{elsewhere} admits to {:?} {path}", row.op);
        assert!(!bench.admits(Capabilities::ALL, &filled(row, "new"), row, &path) || !row.path.contains("{name"));
    }
}

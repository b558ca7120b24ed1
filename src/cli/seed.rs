//! What a dev server begins with: a file of writes, done in their order as root. Does not know what they do.
//!
//! In JSON the file is an object, in HCL a list of blocks: the name of each member is a path of the API, and its value the
//! body that is written there.

use std::path::Path;
use std::sync::Arc;

use crate::api::{Op, Params, Request, Token};
use crate::core::{Core, Thread};
use crate::crypto::wiped::Wiped;
use crate::hcl::{self, Item, Value};

/// Does every write of a file. The first that fails ends it.
pub(super) fn sow(core: &Arc<Core>, file: &Path, root: &Token) -> Result<(), String> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read the seed {name}: {error}"))?;
    let items = hcl::read_plain(&text).map_err(|error| format!("{name}: {error}"))?;
    for item in items {
        let (path, line) = (item.keys.join(" "), item.line);
        write(core, item, root).map_err(|error| format!("{name}, line {line}: {path}: {error}"))?;
    }
    Ok(())
}

fn write(core: &Arc<Core>, item: Item, root: &Token) -> Result<(), String> {
    let Item { keys, value, .. } = item;
    let [path] = &keys[..] else { return Err("this is more than a path".to_owned()) };
    let path = path.trim_start_matches('/').trim_start_matches("v1/");
    let params = match &value {
        Value::Object(_) => {
            let body = serde_json::to_vec(&value).map_err(|error| error.to_string())?;
            Params::Json(Wiped::from(body))
        }
        Value::Null => Params::None,
        _ => return Err("its body is no object".to_owned()),
    };
    let request = Request { token: Some(Token::new(root.expose())), params, ..Request::new(Op::Write, path) };
    let answer = core.handle(&request, Thread::Worker).ok_or("it cannot be done here")?;
    if let Some(durable) = answer.durable {
        durable.wait();
    }
    let reply = answer.outcome.map_err(|error| error.to_string().split_whitespace().collect::<Vec<_>>().join(" "))?;
    let warnings = reply.warnings.join("; ");
    match reply.status {
        Some(status) if status >= STATUS_REFUSED => Err(format!("the server answers {status}: {warnings}")),
        _ => {
            if !warnings.is_empty() {
                tracing::warn!(path, warnings, "the seed");
            }
            Ok(())
        }
    }
}

/// Statuses from here on say that it was not done.
const STATUS_REFUSED: u16 = 400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Data;
    use crate::barrier::Sealed;
    use crate::clock::Clock;
    use crate::core::seal::UnsealKey;
    use crate::core::{KvVersion, Settings};
    use crate::storage::Memory;

    /// What comes of a seed, and what is at a path then.
    fn check(text: &str, path: &str, expected: Result<&str, &str>) {
        let core = Core::new(Sealed::new(Arc::new(Memory::new())), Settings::default(), Clock::System);
        core.initialise(&UnsealKey::generate()).unwrap();
        core.dev_mount(KvVersion::V2).unwrap();
        let root = core.dev_root_token(Some("root")).unwrap();
        let file = std::env::temp_dir().join(format!("coffer-seed-{}-{}", std::process::id(), path.replace('/', "-")));
        std::fs::write(&file, text).unwrap();
        let sown = sow(&core, &file, &root).map_err(|error| error.replace(&file.display().to_string(), "seed"));
        std::fs::remove_file(&file).unwrap();
        let read = || {
            let request = Request { token: Some(Token::new("root")), ..Request::new(Op::Read, path) };
            match core.handle(&request, Thread::Worker).unwrap().outcome.unwrap().data {
                Data::Json(json) => String::from_utf8(json.0.to_vec()).unwrap(),
                _ => String::new(),
            }
        };
        match (sown, expected) {
            (Ok(()), Ok(part)) => assert!(read().contains(part), "{text}: {}", read()),
            (Err(error), Err(wanted)) => assert_eq!(error, wanted, "{text}"),
            (sown, _) => panic!("{text}: {sown:?}"),
        }
    }

    #[test]
    fn writes_are_done_in_their_order() {
        let json = r#"{
            "sys/mounts/transit": {"type": "transit"},
            "transit/keys/orders": {"type": "ed25519"},
            "secret/data/shop": {"data": {"port": 5432, "deep": {"tags": ["a"], "on": true, "off": null}}}
        }"#;
        check(json, "transit/keys/orders", Ok(r#""type":"ed25519""#));
        check(json, "secret/data/shop", Ok(r#"{"deep":{"off":null,"on":true,"tags":["a"]},"port":5432}"#));
        let hcl = r#"
            # The order counts.
            "sys/mounts/transit" { type = "transit" }
            "transit/keys/mine" { type = "aes128-gcm96" }
            "transit/keys/mine/rotate" {}
        "#;
        check(hcl, "transit/keys/mine", Ok(r#""latest_version":2"#));
    }

    #[test]
    fn an_error_names_the_entry() {
        let in_use = "{\n  \"sys/mounts/kv\": {\"type\": \"kv\"},\n  \"sys/mounts/secret\": {\"type\": \"kv\"}\n}";
        check(in_use, "a", Err("seed, line 3: sys/mounts/secret: path is already in use at secret/"));
        let nowhere = r#"{"nowhere/a": {"b": 1}}"#;
        let text = "seed, line 1: nowhere/a: no handler for route \"nowhere/a\". route entry not found.";
        check(nowhere, "b", Err(text));
        check(r#"{"secret/data/a": 1}"#, "c", Err("seed, line 1: secret/data/a: its body is no object"));
    }
}

//! Descriptions made from the rows of the route table: path help and OpenAPI.
//!
//! Nothing is written twice: the texts are the documentation of the request structs.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::mounts::Mount;
use super::{Core, SYS_PATH};
use crate::api::route::{Access, Row};
use crate::api::{Error, Op, Reply};

/// The answer to `?help=1`.
pub(super) fn help(rows: &[&'static Row]) -> Reply {
    let mut seen = BTreeSet::new();
    let lines: Vec<String> = rows.iter().filter(|row| seen.insert((row.path, row.op))).map(|row| line(row)).collect();
    let (help, openapi) = (lines.join("\n"), document("", rows));
    Reply::of(&json!({ "help": help, "see_also": null, "openapi": openapi }))
}

/// One row as help shows it: operation, pattern, what it does, and its parameters.
fn line(row: &Row) -> String {
    let schema = schema(row);
    let mut text = format!("{} {}\n    {}\n", row.op.name(), row.path, text_of(&schema, "description"));
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for (name, property) in properties {
        let about = property.get("description").and_then(Value::as_str).unwrap_or_default();
        text.push_str(&format!("    {name}: {about}\n"));
    }
    text
}

impl Core {
    /// Every row that is served now, below the path of its mount.
    pub fn route_table(&self) -> Result<Vec<(String, Vec<&'static Row>)>, Error> {
        let active = self.unsealed()?;
        let mounts = active.mounts.secrets().into_iter().chain(active.mounts.logins());
        let rows_of = |mount: Arc<Mount>| match mount.entry.path.as_str() {
            SYS_PATH => (SYS_PATH.to_owned(), self.tables.sys.rows()),
            path => (path.to_owned(), mount.backend.rows()),
        };
        Ok(mounts.map(rows_of).collect())
    }
}

/// `sys/internal/specs/openapi`: everything that is mounted and that somebody may see, as OpenAPI 3.0.
pub(crate) fn openapi(core: &Core, may_see: impl Fn(&str) -> bool) -> Result<Value, Error> {
    let mut paths = Map::new();
    for (mount, rows) in core.route_table()?.into_iter().filter(|(mount, _)| may_see(mount)) {
        add_paths(&mut paths, &format!("/{mount}"), &rows);
    }
    Ok(wrap(paths))
}

fn document(prefix: &str, rows: &[&'static Row]) -> Value {
    let mut paths = Map::new();
    add_paths(&mut paths, prefix, rows);
    wrap(paths)
}

fn wrap(paths: Map<String, Value>) -> Value {
    json!({
        "openapi": "3.0.2",
        "info": { "title": "Coffer API", "version": env!("CARGO_PKG_VERSION"), "license": { "name": "Apache-2.0" } },
        "paths": Value::Object(paths),
    })
}

fn add_paths(paths: &mut Map<String, Value>, prefix: &str, rows: &[&'static Row]) {
    for row in rows {
        for path in expand(row.path) {
            let path = format!("{prefix}{path}");
            let names = placeholders(&path);
            let item = paths.entry(path).or_insert_with(|| json!({ "parameters": names }));
            if let Some(item) = item.as_object_mut() {
                item.insert(method(row.op).to_owned(), operation(row));
            }
        }
    }
}

/// OpenAPI has no optional path parts: a pattern with some is several paths.
fn expand(pattern: &str) -> Vec<String> {
    let mut paths = vec![String::new()];
    for part in pattern.split('/') {
        let optional = part.contains('?');
        let plain = part.replace(['?', '.'], "");
        let longer: Vec<String> = paths.iter().map(|path| join(path, &plain)).collect();
        if optional { paths.extend(longer) } else { paths = longer }
    }
    paths
}

fn join(path: &str, part: &str) -> String {
    if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") }
}

fn placeholders(path: &str) -> Vec<Value> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect()
}

fn operation(row: &Row) -> Value {
    let schema = schema(row);
    let mut operation = json!({
        "summary": text_of(&schema, "description"),
        "x-vault-sudo": row.access == Access::Sudo,
        "x-vault-unauthenticated": matches!(row.access, Access::Open | Access::Shares),
        "responses": { "200": { "description": "OK" } },
    });
    let with_body = matches!(row.op, Op::Write | Op::Patch) && schema.get("properties").is_some();
    if let (true, Some(operation)) = (with_body, operation.as_object_mut()) {
        operation.insert("requestBody".to_owned(), json!({ "content": { "application/json": { "schema": schema } } }));
    }
    operation
}

fn method(op: Op) -> &'static str {
    match op {
        Op::Read | Op::List | Op::Scan => "get",
        Op::Write => "post",
        Op::Patch => "patch",
        Op::Delete => "delete",
    }
}

/// The request's schema, with every nested type in its place.
fn schema(row: &Row) -> Schema {
    let settings = schemars::generate::SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    (row.schema)(&mut SchemaGenerator::new(settings))
}

fn text_of<'s>(schema: &'s Schema, member: &str) -> &'s str {
    schema.get(member).and_then(Value::as_str).unwrap_or_default()
}

//! What several have to agree to: what waits for them, and their word on it. Does not know what it is about.

use serde_json::{Value, json};

use super::super::client::{Server, segment};
use super::super::output::{Failure, Output, Row, cell, print_line};

#[derive(clap::Args)]
pub(in super::super) struct Approvals {
    /// Only this one, with who has approved it; all without it.
    id: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Approvals {
    pub(super) fn run(self) -> Result<(), Failure> {
        let client = self.server.client()?;
        if let Some(id) = &self.id {
            return self.output.print(&client.read(&path(id))?);
        }
        let ids = client.list(PATH)?;
        let all = ids.iter().map(|id| client.read(&path(id))).collect::<Result<Vec<_>, _>>()?;
        if ids.is_empty() && !self.output.is_json()? {
            print_line("Nothing waits for approval.");
            return Ok(());
        }
        let rows = ids.iter().zip(&all).map(|(id, told)| row(id, told)).collect();
        self.output.print_rows(rows, &json!(all))
    }
}

fn row<'a>(id: &'a str, told: &Value) -> Row<'a> {
    let of = |name: &str| cell(&told[name]);
    (id, format!("{} {} ({})", of("operation"), of("parameters"), of("state")))
}

#[derive(clap::Args)]
pub(in super::super) struct Approve {
    /// What the answer to the request told, and `coffer key approvals` lists.
    id: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Approve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let told = self.server.client()?.write(&format!("{}/approve", path(&self.id)), &json!({}))?;
        self.output.print(&told)
    }
}

fn path(id: &str) -> String {
    format!("{PATH}/{}", segment(id))
}

const PATH: &str = "sys/customer-keys/approvals";

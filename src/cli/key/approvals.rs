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
        let read = |id: &String| client.read(&path(id)).map(|mut told| told["approval"].take());
        if let Some(id) = &self.id {
            return self.output.print(&read(id)?);
        }
        let ids = client.list(PATH)?;
        let all = ids.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if ids.is_empty() && !self.output.is_json()? {
            print_line("Nothing waits for approval.");
            return Ok(());
        }
        let rows = ids.iter().zip(&all).map(|(id, told)| row(id, told)).collect();
        self.output.print_rows(rows, &json!(all))
    }
}

/// What is to be done, to what, who asked for it, and how far it is.
fn row<'a>(id: &'a str, told: &Value) -> Row<'a> {
    let parameters = &told["parameters"];
    let to = ["path", "customer_key"].iter().filter_map(|name| parameters[*name].as_str());
    let what: Vec<_> = told["operation"].as_str().into_iter().chain(to).collect();
    let who = cell(&told["requested_by"]["display_name"]);
    (id, format!("{}, asked for by {who}: {}", what.join(" "), cell(&told["state"])))
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

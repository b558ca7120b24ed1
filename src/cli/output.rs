//! What commands print: facts for people or for programs, and why a command failed. Knows no command.

use std::io::Write;
use std::str::FromStr;

use serde_json::Value;

use super::variable;

/// Why a command ends without success.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// One line, for standard error; empty if the exit code says it all.
    pub message: String,
    /// The exit code.
    pub code: u8,
}

impl Failure {
    /// The exit code says it all.
    pub(super) fn silent(code: u8) -> Self {
        Self { message: String::new(), code }
    }

    /// What was asked for was understood, and is refused or cannot be had.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: CODE_REFUSED }
    }
}

/// A mistake in what was typed, or something that the machine lacks.
impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, code: CODE_USAGE }
    }
}

/// The exit codes of Vault's command line.
pub(super) const CODE_USAGE: u8 = 1;
pub(super) const CODE_REFUSED: u8 = 2;

/// A name, and the text of its value.
pub(super) type Row<'a> = (&'a str, String);

/// How facts are printed.
#[derive(clap::Args)]
pub(super) struct Output {
    /// For people, `table`, or for programs, `json`; `VAULT_FORMAT` says it for all commands.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Table,
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is neither table nor json")),
        }
    }
}

impl Output {
    /// What the flag says, or else the environment.
    fn format(&self) -> Result<Format, Failure> {
        let of_environment = || variable("FORMAT").filter(|text| !text.is_empty()).map(|text| text.parse()).transpose();
        Ok(self.format.map_or_else(of_environment, |format| Ok(Some(format)))?.unwrap_or(Format::Table))
    }

    pub(super) fn is_json(&self) -> Result<bool, Failure> {
        Ok(self.format()? == Format::Json)
    }

    /// The text of an object, without a line break at the end.
    pub(super) fn text(&self, facts: &Value) -> Result<String, Failure> {
        Ok(match self.format()? {
            Format::Json => format!("{facts:#}"),
            Format::Table => table(facts),
        })
    }

    /// Prints an object.
    pub(super) fn print(&self, facts: &Value) -> Result<(), Failure> {
        print_line(&self.text(facts)?);
        Ok(())
    }

    /// Prints rows under titles for people, and an object for programs.
    pub(super) fn print_rows(&self, rows: Vec<Row<'_>>, facts: &Value) -> Result<(), Failure> {
        self.print_brief(&titled(rows), facts)
    }

    /// As `print_rows`, without the titles.
    pub(super) fn print_plain_rows(&self, rows: &[Row<'_>], facts: &Value) -> Result<(), Failure> {
        self.print_brief(&columns(rows), facts)
    }

    /// Prints what people want to know in one line, and programs as an object.
    pub(super) fn print_brief(&self, brief: &str, facts: &Value) -> Result<(), Failure> {
        if self.is_json()? {
            return self.print(facts);
        }
        print_line(brief);
        Ok(())
    }
}

/// Names and values in two columns, with titles.
fn table(facts: &Value) -> String {
    let facts = facts.as_object().into_iter().flatten();
    titled(facts.map(|(name, value)| (name.as_str(), cell(value))).collect())
}

/// Rows under titles.
fn titled(rows: Vec<Row<'_>>) -> String {
    let titles = [("Key", "Value".to_owned()), ("---", "-----".to_owned())];
    columns(&titles.into_iter().chain(rows).collect::<Vec<_>>())
}

fn columns(rows: &[Row<'_>]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter()
        .map(|(name, value)| format!("{name:width$}    {value}").trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "n/a".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            members.iter().map(|(name, value)| format!("{name}={}", cell(value))).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// Prints for people. Nobody may be reading any more, which is no reason to end.
pub(super) fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints beside what goes to standard output.
pub(super) fn print_aside(text: &str) {
    let _ = write!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_are_two_columns_or_json() {
        let facts = json!({"check_value": "00ff", "mounts": ["a/", "b/"], "finished": null, "version": 2, "window": {"end": null, "start": 1}});
        let table = "Key            Value\n\
                     ---            -----\n\
                     check_value    00ff\n\
                     finished       n/a\n\
                     mounts         a/, b/\n\
                     version        2\n\
                     window         end=n/a start=1";
        assert_eq!(Output { format: Some(Format::Table) }.text(&facts).unwrap(), table);
        let json = Output { format: Some(Format::Json) }.text(&facts).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), facts);
        assert!("yaml".parse::<Format>().is_err());
    }
}

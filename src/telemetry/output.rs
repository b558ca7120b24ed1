//! Where the lines of the log go, and how they look as JSON. Knows no levels.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::clock::Clock;

/// Where lines go.
#[derive(Clone)]
pub(super) struct Output(Option<Arc<LogFile>>);

struct LogFile {
    path: PathBuf,
    open: Mutex<File>,
}

impl Output {
    pub(super) fn open(path: Option<PathBuf>) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self(None)) };
        let open = Mutex::new(open_file(&path)?);
        Ok(Self(Some(Arc::new(LogFile { path, open }))))
    }

    pub(super) fn reopen(&self) -> Result<(), String> {
        let Some(file) = &self.0 else { return Ok(()) };
        let fresh = open_file(&file.path)?;
        *file.open.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

/// For the user who runs the server alone.
fn open_file(path: &PathBuf) -> Result<File, String> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    file.map_err(|error| format!("cannot write the log to {}: {error}", path.display()))
}

impl Write for Output {
    /// A line that the disk does not take is still on standard error.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(file) = &self.0 {
            let _ = file.open.lock().unwrap_or_else(PoisonError::into_inner).write_all(line);
        }
        io::stderr().write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes each event as an object.
pub(super) struct JsonLines(pub(super) Output);

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut output = self.0.clone();
        let _ = output.write(&Line::of(event).json(event.metadata()));
    }
}

/// What an event says.
pub(super) struct Line(Map<String, Value>);

impl Line {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut line = Self(Map::new());
        event.record(&mut line);
        line
    }

    pub(super) fn json(mut self, metadata: &Metadata<'_>) -> Vec<u8> {
        let message = self.0.remove("message").unwrap_or_default();
        self.0.insert("@level".to_owned(), metadata.level().as_str().to_lowercase().into());
        self.0.insert("@message".to_owned(), message);
        self.0.insert("@timestamp".to_owned(), Clock::System.now().to_string().into());
        let mut line = serde_json::to_vec(&self.0).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// As Vault's logs look: time, level, part of the server, message, and the fields behind it.
    pub(super) fn text(mut self, metadata: &Metadata<'_>) -> Vec<u8> {
        let message = self.0.remove("message").unwrap_or_default();
        let level = format!("[{}]", metadata.level());
        let target = metadata.target();
        let logger = target.strip_prefix("coffer::").unwrap_or(target).replace("::", ".");
        let mut line = format!("{} {level:<7} {logger}: {}", Clock::System.now(), plain(&message));
        for (at, (name, value)) in self.0.iter().enumerate() {
            let text = plain(value);
            let quoted = text.contains(|char: char| char.is_whitespace() || matches!(char, '"' | '='));
            let value = if quoted { format!("{text:?}") } else { text };
            line.push_str(&format!("{}{name}={value}", if at == 0 { ": " } else { " " }));
        }
        // One event is one line, whatever it tells.
        let mut line = line.replace('\n', "\\n").into_bytes();
        line.push(b'\n');
        line
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Visit for Line {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn lines_of_json_have_the_names_that_vaults_have() {
        let file = std::env::temp_dir().join(format!("coffer-log-{}.json", std::process::id()));
        let output = Output::open(Some(file.clone())).unwrap();
        let subscriber = tracing_subscriber::registry().with(JsonLines(output.clone()));
        tracing::subscriber::with_default(subscriber, || tracing::warn!(mount = "kv/", count = 2, "a \"test\""));
        std::fs::rename(&file, file.with_extension("1")).unwrap();
        output.reopen().unwrap();
        let line: Value = serde_json::from_slice(&std::fs::read(file.with_extension("1")).unwrap()).unwrap();
        assert_eq!((&line["@level"], &line["@message"]), (&"warn".into(), &"a \"test\"".into()));
        assert_eq!((&line["mount"], &line["count"]), (&"kv/".into(), &2.into()));
        line["@timestamp"].as_str().unwrap().parse::<crate::clock::Timestamp>().unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 0, "the file is there anew");
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_file(file.with_extension("1")).unwrap();
    }
}

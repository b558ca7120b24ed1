//! Where the lines of the log go, and how they look as JSON. Knows no levels.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
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
        let mut line = Line(Map::new());
        event.record(&mut line);
        let mut output = self.0.clone();
        let _ = output.write(&line.end(&event.metadata().level().as_str().to_lowercase()));
    }
}

struct Line(Map<String, Value>);

impl Line {
    fn end(mut self, level: &str) -> Vec<u8> {
        let message = self.0.remove("message").unwrap_or_default();
        self.0.insert("@level".to_owned(), level.into());
        self.0.insert("@message".to_owned(), message);
        self.0.insert("@timestamp".to_owned(), Clock::System.now().to_string().into());
        let mut line = serde_json::to_vec(&self.0).unwrap_or_default();
        line.push(b'\n');
        line
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

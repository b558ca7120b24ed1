//! Logs of the running server, on standard error and in a file if there is one. Knows nothing of requests; secrets never
//! come here.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::clock::Clock;

/// What is logged, and where.
pub struct Log {
    pub level: LevelFilter,
    pub format: Format,
    /// Beside standard error.
    pub file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Standard,
    /// One object a line, with the names that Vault's have.
    Json,
}

/// The logs of this process, once they are begun.
pub struct Logs {
    level: reload::Handle<LevelFilter, Registry>,
    output: Output,
}

/// Starts logging.
pub fn start(log: &Log) -> Result<Logs, String> {
    let output = Output::open(log.file.clone())?;
    let (level, handle) = reload::Layer::new(log.level);
    let registry = tracing_subscriber::registry().with(level);
    let writer = output.clone();
    // A second start, as in tests that run several servers, keeps the first.
    let _ = match log.format {
        Format::Json => registry.with(JsonLines(output.clone())).try_init(),
        Format::Standard => {
            let plain = fmt::layer().with_target(false).with_ansi(log.file.is_none() && io::stderr().is_terminal());
            registry.with(plain.with_writer(move || writer.clone())).try_init()
        }
    };
    Ok(Logs { level: handle, output })
}

impl Logs {
    /// Logs at another level from now on.
    pub fn set_level(&self, level: LevelFilter) {
        let _ = self.level.reload(level);
    }

    /// Opens the file anew, which somebody has moved away.
    pub fn reopen(&self) -> Result<(), String> {
        self.output.reopen()
    }
}

/// Reads a level by the names that Vault takes.
pub fn level(name: &str) -> Result<LevelFilter, String> {
    match name.to_lowercase().as_str() {
        "err" => Ok(LevelFilter::ERROR),
        "notice" => Ok(LevelFilter::INFO),
        "warning" => Ok(LevelFilter::WARN),
        other => {
            other.parse().map_err(|_| format!("unknown log level {name:?}: use trace, debug, info, warn, error or off"))
        }
    }
}

/// Reads a format by the names that Vault takes.
pub fn format(name: &str) -> Result<Format, String> {
    match name.to_lowercase().as_str() {
        "standard" => Ok(Format::Standard),
        "json" => Ok(Format::Json),
        _ => Err(format!("unknown log format {name:?}: use standard or json")),
    }
}

/// Where lines go.
#[derive(Clone)]
struct Output(Option<Arc<LogFile>>);

struct LogFile {
    path: PathBuf,
    open: Mutex<File>,
}

impl Output {
    fn open(path: Option<PathBuf>) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self(None)) };
        let open = Mutex::new(open_file(&path)?);
        Ok(Self(Some(Arc::new(LogFile { path, open }))))
    }

    fn reopen(&self) -> Result<(), String> {
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
struct JsonLines(Output);

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
    use super::*;

    #[test]
    fn levels_have_the_names_that_vault_takes() {
        let check = |name: &str, expected: Result<LevelFilter, &str>| {
            assert_eq!(level(name), expected.map_err(str::to_owned), "{name}");
        };
        check("INFO", Ok(LevelFilter::INFO));
        check("err", Ok(LevelFilter::ERROR));
        check("warning", Ok(LevelFilter::WARN));
        check("notice", Ok(LevelFilter::INFO));
        check("loud", Err("unknown log level \"loud\": use trace, debug, info, warn, error or off"));
    }

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

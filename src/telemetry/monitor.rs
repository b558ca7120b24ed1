//! Those who read the log along, each at a level and in a format of its own. Knows no request.
//!
//! Who reads slowly keeps nobody waiting: lines for which there is no place are counted in place of kept.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{self, Layer};

use super::Format;
use super::output::Line;

/// All who read along.
#[derive(Default)]
pub(super) struct Readers(RwLock<Vec<Reader>>);

struct Reader {
    level: LevelFilter,
    format: Format,
    lines: mpsc::Sender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

/// What one of them reads. It ends with the server.
pub struct Monitor {
    lines: mpsc::Receiver<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    /// While nothing is logged.
    silence: Option<Pin<Box<Sleep>>>,
    /// Called when it goes.
    left: fn(),
}

impl Readers {
    /// One more, unless there are too many. `left` is called when it has gone.
    pub(super) fn add(&self, level: LevelFilter, format: Format, left: fn()) -> Option<Monitor> {
        let mut readers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if readers.len() >= READERS_MAX {
            return None;
        }
        let (sender, lines) = mpsc::channel(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        readers.push(Reader { level, format, lines: sender, dropped: Arc::clone(&dropped) });
        Some(Monitor { lines, dropped, silence: None, left })
    }

    /// Forgets those who have gone. Returns the level that takes the lines of all who are left.
    pub(super) fn tidy(&self) -> LevelFilter {
        let mut readers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| !reader.lines.is_closed());
        readers.iter().map(|reader| reader.level).max().unwrap_or(LevelFilter::OFF)
    }

    /// Ends what they read, once they have read it.
    pub(super) fn end(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl<S: Subscriber> Layer<S> for &'static Readers {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        for reader in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if *event.metadata().level() > reader.level {
                continue;
            }
            let line = Line::of(event);
            let line = match reader.format {
                Format::Json => line.json(event.metadata()),
                Format::Standard => line.text(event.metadata()),
            };
            if let Err(mpsc::error::TrySendError::Full(_)) = reader.lines.try_send(line) {
                reader.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Monitor {
    /// The next line; none if the server ends.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        if let Poll::Ready(line) = self.lines.poll_recv(context) {
            self.silence = None;
            return Poll::Ready(line);
        }
        if !self.lines.is_empty() {
            return Poll::Pending; // others have their turn first, says tokio
        }
        // Those that were dropped came behind those that were kept.
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            return Poll::Ready(Some(format!("Monitor dropped {dropped} logs during monitor request\n").into_bytes()));
        }
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(SILENCE_MAX)));
        ready!(silence.as_mut().poll(context));
        self.silence = None;
        // That its reader has gone is noticed when it is written to.
        Poll::Ready(Some(b"\n".to_vec()))
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.lines.close();
        (self.left)();
    }
}

const READERS_MAX: usize = 16;
/// Lines that one reader may be behind.
const LINES_MAX: usize = 512;
/// After so long an empty line is told.
const SILENCE_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn readers() -> &'static Readers {
        Box::leak(Box::default())
    }

    async fn next(monitor: &mut Monitor) -> String {
        let line = poll_fn(|context| monitor.poll_next(context)).await;
        String::from_utf8(line.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn each_reads_at_its_own_level_and_in_its_own_format() {
        let readers = readers();
        let mut all = readers.add(LevelFilter::TRACE, Format::Standard, || {}).unwrap();
        let mut some = readers.add(LevelFilter::WARN, Format::Json, || {}).unwrap();
        assert_eq!(readers.tidy(), LevelFilter::TRACE);
        let subscriber = tracing_subscriber::registry().with(readers);
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!("a");
            tracing::warn!(mount = "kv/", count = 2, text = "two words", "b");
        });
        let (first, second) = (next(&mut all).await, next(&mut all).await);
        assert!(first.ends_with("Z [TRACE] telemetry.monitor.tests: a\n"), "{first}");
        let end = "Z [WARN]  telemetry.monitor.tests: b: count=2 mount=kv/ text=\"two words\"\n";
        assert!(second.ends_with(end), "{second}");
        let json: serde_json::Value = serde_json::from_str(&next(&mut some).await).unwrap();
        assert_eq!((&json["@level"], &json["@message"], &json["count"]), (&"warn".into(), &"b".into(), &2.into()));
        drop(all);
        assert_eq!(readers.tidy(), LevelFilter::WARN);
        readers.end();
        assert!(poll_fn(|context| some.poll_next(context)).await.is_none());
    }

    #[tokio::test]
    async fn a_slow_reader_keeps_nobody_waiting_and_is_told_what_it_missed() {
        let readers = readers();
        let mut monitor = readers.add(LevelFilter::INFO, Format::Standard, || {}).unwrap();
        let subscriber = tracing_subscriber::registry().with(readers);
        let _log = tracing::subscriber::set_default(subscriber);
        (0..LINES_MAX + 7).for_each(|n| tracing::info!("line {n}."));
        for n in 0..LINES_MAX {
            assert!(next(&mut monitor).await.ends_with(&format!(": line {n}.\n")));
        }
        assert_eq!(next(&mut monitor).await, "Monitor dropped 7 logs during monitor request\n");
        tracing::info!("on");
        assert!(next(&mut monitor).await.ends_with(": on\n"));
    }

    #[test]
    fn only_so_many_read_along() {
        let readers = readers();
        let mut all: Vec<_> = (0..READERS_MAX).map(|_| readers.add(LevelFilter::INFO, Format::Json, || {})).collect();
        assert!(all.iter().all(Option::is_some));
        assert!(readers.add(LevelFilter::INFO, Format::Json, || {}).is_none());
        all.pop();
        readers.tidy();
        assert!(readers.add(LevelFilter::INFO, Format::Json, || {}).is_some());
    }
}

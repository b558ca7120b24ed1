//! The threads on which connections live, one for each core. A connection stays on its own from beginning to end: what it
//! waits for wakes the core that has it in its caches, and nothing is handed over. Knows nothing of what connections do.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// All threads. They end with this, and with them what still runs there.
pub(super) struct Lanes(Vec<Lane>);

struct Lane {
    runtime: Handle,
    /// Held by each connection that lives here.
    inside: Arc<()>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lanes {
    pub(super) fn open() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        (0..cores).map(|_| Lane::open()).collect::<io::Result<_>>().map(Self)
    }

    /// Spawns a connection on the lane that has the fewest. It holds what it is given to its end.
    pub(super) fn spawn<C>(&self, connections: &mut JoinSet<()>, connection: impl FnOnce(Arc<()>) -> C)
    where
        C: Future<Output = ()> + Send + 'static,
    {
        let Some(lane) = self.0.iter().min_by_key(|lane| Arc::strong_count(&lane.inside)) else { return };
        connections.spawn_on(connection(Arc::clone(&lane.inside)), &lane.runtime);
    }
}

impl Lane {
    fn open() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("lane".to_owned()).spawn(move || {
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self { runtime: handle, inside: Arc::default(), end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

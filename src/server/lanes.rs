//! The threads on which connections live, one for each core. A connection stays on its own from beginning to end: what it
//! waits for wakes the core that has it in its caches, and nothing is handed over. Knows nothing of what connections do.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::num::NonZero;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::socket::Stream;

/// All threads. They end with this, and with them what still runs there.
pub(super) struct Lanes(Mutex<Vec<Lane>>);

struct Lane {
    runtime: Handle,
    guests: Arc<Guests>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The connections that live on a lane.
#[derive(Default)]
pub(super) struct Guests {
    streams: Mutex<Streams>,
    /// They are closed, and nothing is done for them any more.
    abandoned: AtomicBool,
}

/// What it takes to close them from outside.
#[derive(Default)]
struct Streams {
    inside: HashMap<u64, Stream>,
    /// Of the connection that came last.
    number: u64,
}

/// Held by a connection to its end.
pub(super) struct Guest {
    guests: Arc<Guests>,
    number: u64,
}

impl Lanes {
    pub(super) fn open() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        (0..cores).map(|_| Lane::open()).collect::<io::Result<_>>().map(Mutex::new).map(Self)
    }

    /// Spawns a connection on the lane that has the fewest. It holds what it is given to its end. `other`: the same stream
    /// once more.
    pub(super) fn spawn<C>(&self, connections: &mut JoinSet<()>, other: Stream, connection: impl FnOnce(Guest) -> C)
    where
        C: Future<Output = ()> + Send + 'static,
    {
        let lanes = self.lanes();
        let Some(lane) = lanes.iter().min_by_key(|lane| Arc::strong_count(&lane.guests)) else { return };
        connections.spawn_on(connection(Guests::enter(&lane.guests, other)), &lane.runtime);
    }

    /// Opens others in place of lanes whose threads are kept waiting, and closes the connections of these: nobody else can
    /// answer them.
    pub(super) async fn relieve(&self) {
        let beats: Vec<_> = self.lanes().iter().map(|lane| lane.runtime.spawn(async {})).collect();
        sleep(BEAT_TIME_MAX).await;
        let beats = beats.iter().map(tokio::task::JoinHandle::is_finished);
        // Nobody else changes the order of lanes.
        for (lane, answers) in self.lanes().iter_mut().zip(beats) {
            if answers {
                continue;
            }
            match Lane::open() {
                Ok(new) => mem::replace(lane, new).abandon(),
                Err(error) => {
                    tracing::error!(%error, "a thread for connections is kept waiting, and there is no other");
                }
            }
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        Ok(Self { runtime: handle, guests: Arc::default(), end: Some(end), thread: Some(thread) })
    }

    /// Closes all connections, and ends when the thread can.
    fn abandon(mut self) {
        self.thread = None;
        self.guests.abandoned.store(true, Ordering::Release);
        let streams = self.guests.streams();
        streams.inside.values().for_each(Stream::shut);
        let connections = streams.inside.len();
        tracing::error!(connections, "a thread is kept waiting; the connections that it serves are closed");
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

impl Guests {
    fn enter(self: &Arc<Self>, stream: Stream) -> Guest {
        let mut streams = self.streams();
        streams.number += 1;
        let number = streams.number;
        streams.inside.insert(number, stream);
        Guest { guests: Arc::clone(self), number }
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with work for a connection, unless its lane is given up: nothing is done late that nobody waits for.
    pub(super) fn go_on<W: Future>(&self, work: Pin<&mut W>, context: &mut Context<'_>) -> Poll<W::Output> {
        if self.abandoned.load(Ordering::Acquire) { Poll::Pending } else { work.poll(context) }
    }
}

impl Guest {
    pub(super) fn all(&self) -> Arc<Guests> {
        Arc::clone(&self.guests)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.guests.streams().inside.remove(&self.number);
    }
}

/// A thread that takes longer to begin with what it is given is kept waiting.
const BEAT_TIME_MAX: Duration = Duration::from_millis(250);

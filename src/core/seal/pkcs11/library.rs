//! Libraries of modules' makers, each on a thread of its own: a call may block for as long as a network does, and some of
//! them do not bear two calls at once, or being started twice. Does not know what they are asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use super::Failure;

/// The threads of this process, which live as long as it does.
static THREADS: Mutex<BTreeMap<PathBuf, SyncSender<Order>>> = Mutex::new(BTreeMap::new());

type Order = Box<dyn FnOnce(&mut Library) + Send>;

/// A library, on its thread.
pub(super) struct Library {
    path: PathBuf,
    /// Stays loaded from its first use on: not every library bears to be unloaded.
    loaded: Option<Pkcs11>,
    started: bool,
}

/// Has the thread of a library work, and waits for what comes of it, but not forever.
pub(super) fn ask<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&mut Library) -> T + Send + 'static,
) -> Result<T, String> {
    ask_within(ANSWER_TIME_MAX, path, work)
}

fn ask_within<T: Send + 'static>(
    time_max: Duration,
    path: &Path,
    work: impl FnOnce(&mut Library) -> T + Send + 'static,
) -> Result<T, String> {
    let (answer, answered) = mpsc::sync_channel(1);
    let order = Box::new(move |library: &mut Library| {
        let _ = answer.send(work(library)); // whoever asked may have stopped waiting
    });
    let name = path.display();
    // One library by two names is one.
    let thread = thread_of(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))?;
    if thread.try_send(order).is_err() {
        return Err(format!("the library {name} still works on what it was asked before: is the module there?"));
    }
    answered.recv_timeout(time_max).map_err(|error| match error {
        RecvTimeoutError::Timeout => {
            format!("the library {name} has not answered for {} s: is the module there?", time_max.as_secs())
        }
        RecvTimeoutError::Disconnected => format!("the thread of the library {name} has ended: start the server anew"),
    })
}

fn thread_of(path: PathBuf) -> Result<SyncSender<Order>, String> {
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(thread) = threads.get(&path) {
        return Ok(thread.clone());
    }
    let (thread, orders) = mpsc::sync_channel(1);
    let library = Library { path: path.clone(), loaded: None, started: false };
    let spawned = thread::Builder::new().name("pkcs11".to_owned()).spawn(move || library.work(&orders));
    spawned.map_err(|error| format!("no thread for the library {}: {error}", path.display()))?;
    threads.insert(path, thread.clone());
    Ok(thread)
}

impl Library {
    fn work(mut self, orders: &Receiver<Order>) {
        for order in orders {
            order(&mut self);
        }
    }

    /// Works with the library. One that was started before may have lost its module since: then it is started anew, once.
    pub(super) fn run<T>(&mut self, work: impl Fn(&Pkcs11) -> Result<T, Failure>) -> Result<T, Failure> {
        let was_started = self.started;
        let done = self.run_once(&work);
        if was_started && matches!(done, Err(Failure::Passing(_))) { self.run_once(&work) } else { done }
    }

    fn run_once<T>(&mut self, work: impl Fn(&Pkcs11) -> Result<T, Failure>) -> Result<T, Failure> {
        let done = self.start().and_then(work);
        if matches!(done, Err(Failure::Passing(_))) {
            self.end();
        }
        done
    }

    fn start(&mut self) -> Result<&Pkcs11, Failure> {
        let path = self.path.display();
        let loaded = match self.loaded.take() {
            Some(loaded) => loaded,
            None => Pkcs11::new(&self.path).map_err(|error| Failure::Passing(unloadable(&path.to_string(), error)))?,
        };
        let loaded = self.loaded.insert(loaded);
        if !self.started {
            match loaded.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
                Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => self.started = true,
                Err(error) => {
                    return Err(Failure::Passing(format!("the library {path} does not start: {}", said(&error))));
                }
            }
        }
        Ok(loaded)
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.started)
            && let Some(Err(error)) = self.loaded.clone().map(Pkcs11::finalize)
        {
            tracing::debug!(error = said(&error), "a library of PKCS#11 did not end well");
        }
    }
}

fn unloadable(path: &str, error: Error) -> String {
    match error {
        Error::LibraryLoading(error) => format!("the library {path} cannot be loaded: {error}: correct lib"),
        Error::MissingSymbol(_) => format!("{path} is no library for PKCS#11: correct lib"),
        error => format!("the library {path} cannot be used: {}", said(&error)),
    }
}

/// What a library answered, by the names that the standard has for it.
pub(super) fn said(error: &Error) -> String {
    let Error::Pkcs11(value, function) = error else { return error.to_string() };
    let value = format!("{value:?}");
    let (name, number) = value.split_at(value.find('(').unwrap_or(value.len()));
    let mut code = "CKR".to_owned();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            code.push('_');
        }
        code.push(letter.to_ascii_uppercase());
    }
    format!("C_{function:?} answers {code}{number}")
}

/// Longer than the patience of libraries with their modules.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn answers_have_the_names_of_the_standard() {
        let check = |value, text: &str| assert_eq!(said(&Error::Pkcs11(value, Function::Login)), text);
        check(RvError::PinIncorrect, "C_Login answers CKR_PIN_INCORRECT");
        check(RvError::SlotIdInvalid, "C_Login answers CKR_SLOT_ID_INVALID");
        check(RvError::VendorDefined(7), "C_Login answers CKR_VENDOR_DEFINED(7)");
    }

    #[test]
    fn who_asks_waits_for_a_library_only_so_long() {
        let path = Path::new("/nowhere/slow.so");
        let ask = |work: Order| ask_within(Duration::from_millis(1), path, work);
        let ((signal, begun), (end, ended)) = (mpsc::channel(), mpsc::channel::<()>());
        let slow = move |_: &mut Library| {
            signal.send(()).unwrap();
            let _ = ended.recv();
        };
        let why = ask(Box::new(slow)).unwrap_err();
        assert_eq!(why, "the library /nowhere/slow.so has not answered for 0 s: is the module there?");
        begun.recv().unwrap();
        // One may wait behind it, and no more.
        assert!(ask(Box::new(|_| ())).unwrap_err().contains("has not answered"));
        assert!(ask(Box::new(|_| ())).unwrap_err().contains("still works on what it was asked before"));
        drop(end);
        while super::ask(path, |_| ()).is_err() {}
    }

    #[test]
    fn what_is_no_library_is_said_to_be_none() {
        let asked = |path: &str| {
            let work = |library: &mut Library| match library.run(|_| Ok(())) {
                Ok(()) => String::new(),
                Err(Failure::Lasting(why) | Failure::Pin(why) | Failure::Passing(why)) => why,
            };
            ask(Path::new(path), work).unwrap()
        };
        let why = asked("/nowhere/lib.so");
        assert!(
            why.starts_with("the library /nowhere/lib.so cannot be loaded: ") && why.ends_with("correct lib"),
            "{why}"
        );
        let why = asked("/dev/null");
        assert!(why.starts_with("the library /dev/null cannot be loaded: "), "{why}");
    }
}

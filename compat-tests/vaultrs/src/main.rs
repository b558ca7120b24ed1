//! What Rust programs do through vaultrs, against the server of `VAULT_ADDR`; says of each thing how it came out.
#![allow(clippy::print_stdout, reason = "what it prints is its product")]
#![allow(clippy::disallowed_methods, reason = "whoever starts it says by variables where the servers are")]

use std::error::Error;
use std::fmt::Debug;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;
use vaultrs::sys::mount;

mod access;
mod secrets;
mod servers;
mod transit;

type Done = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let root = root();
    let outcomes =
        [access::run(&root).await, secrets::run(&root).await, transit::run(&root).await, servers::run().await];
    for outcome in outcomes {
        if let Err(error) = outcome {
            say("FAIL", "errors", &format!("what the others need could not be made: {error}"));
        }
    }
    if FAILED.load(Ordering::Relaxed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The client of the suite's server, whose address and token it takes from the environment by itself.
fn root() -> VaultClient {
    let settings = VaultClientSettingsBuilder::default().build();
    VaultClient::new(settings.expect("VAULT_ADDR is set")).expect("the settings make a client")
}

fn connect(token: &str) -> VaultClient {
    let settings = VaultClientSettingsBuilder::default().token(token).build();
    VaultClient::new(settings.expect("VAULT_ADDR is set")).expect("the settings make a client")
}

/// Does something and says how it came out.
async fn check(area: &str, what: &str, body: impl Future<Output = Done>) {
    match body.await {
        Ok(()) => say("ok", area, what),
        Err(error) => {
            say("FAIL", area, what);
            println!("  {error}: {error:?}");
        }
    }
}

fn say(outcome: &str, area: &str, what: &str) {
    println!("{outcome} {area}: {what}");
    FAILED.fetch_or(outcome == "FAIL", Ordering::Relaxed);
}

#[allow(clippy::needless_pass_by_value, reason = "callers compare what they just got")]
fn equal<T: Debug + PartialEq<U>, U: Debug>(got: T, wanted: U) -> Done {
    if got == wanted { Ok(()) } else { Err(format!("got {got:?}, want {wanted:?}").into()) }
}

/// What must be refused with this status, and with a text that has this in it.
fn refused<T: Debug>(outcome: Result<T, ClientError>, status: u16, text: &str) -> Done {
    match outcome {
        Err(ClientError::APIError { code, errors }) if code == status && errors.join("\n").contains(text) => Ok(()),
        other => Err(format!("want {status} with {text:?}, got {other:?}").into()),
    }
}

/// A mount of its own.
async fn mounted(root: &VaultClient, kind: &str) -> Result<String, ClientError> {
    let path = unique();
    mount::enable(root, &path, kind, None).await?;
    Ok(path)
}

fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("vaultrs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

static FAILED: AtomicBool = AtomicBool::new(false);

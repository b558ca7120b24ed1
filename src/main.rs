//! The process: arguments in, an exit code out. Everything else is the library's.

use std::process::ExitCode;

use coffer::wiping::Wiping;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: Wiping<MiMalloc> = Wiping(MiMalloc);

#[allow(clippy::print_stderr, reason = "where people and scripts look for what went wrong")]
fn main() -> ExitCode {
    match coffer::cli::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("coffer: {}", failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}

//! The command line: what was typed, and which command that is.
//!
//! Flags have one or two dashes, as Vault's do. Every mistake is one line and a failing exit code.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::api::weak;
use crate::core::VAULT_VERSION;

mod audit;
mod client;
mod dev;
mod dev_tls;
mod files;
mod key;
mod operator;
mod output;
mod prompt;
mod reset;
mod seed;
mod server;
mod status;
mod transit;
mod wrapping;

pub use output::Failure;

#[derive(Parser)]
#[command(name = "coffer", about = "Vault's HTTP API in one binary", disable_version_flag = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a server.
    Server(server::Args),
    /// Makes, checks and uses keys that customers bring: offline, and those of a running server.
    #[command(subcommand)]
    Key(key::Command),
    /// Works with the keys of a transit mount of a running server.
    #[command(subcommand)]
    Transit(transit::Command),
    /// Says whether the server is initialised and unsealed: the exit code is 0 if so, 2 if it is sealed, 1 without an answer.
    Status(status::Status),
    /// Initialises, seals and unseals a server, and makes its keys anew.
    #[command(subcommand)]
    Operator(operator::Command),
    /// Verifies the files of audit devices.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Prints the version.
    Version,
}

/// Runs the command that the arguments name.
pub fn run(args: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let mut args: Vec<_> = args.map(with_two_dashes).collect();
    let called_vault = args.first().is_some_and(|program| Path::new(program).file_name() == Some("vault".as_ref()));
    if let Some(first) = args.get_mut(1).filter(|first| ["-v", "--version"].iter().any(|flag| *first == flag)) {
        *first = "version".into();
    }
    let args = match parse(args) {
        Ok(args) => args,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return error.print().map_err(|error| error.to_string().into());
        }
        Err(error) => return Err(one_line(&error).into()),
    };
    match args.command {
        Command::Server(args) => Ok(server::run(&args)?),
        Command::Key(command) => key::run(command),
        Command::Transit(command) => transit::run(command),
        Command::Status(status) => status.run(),
        Command::Operator(command) => operator::run(command),
        Command::Audit(command) => audit::run(command),
        Command::Version => {
            output::print_line(&version(called_vault));
            Ok(())
        }
    }
}

/// Reads the arguments. A switch may be given a value, `-dev=true`; the help does not speak of it.
fn parse(args: Vec<OsString>) -> Result<Args, clap::Error> {
    match Args::try_parse_from(&args) {
        Err(error) if error.kind() == ErrorKind::TooManyValues => {
            Args::from_arg_matches(&with_values(Args::command()).try_get_matches_from(args)?)
        }
        parsed => parsed,
    }
}

/// A command whose switches take a value.
fn with_values(command: clap::Command) -> clap::Command {
    let switch = |arg: Arg| match arg.get_action() {
        ArgAction::SetTrue => {
            let valued = arg.action(ArgAction::Set).num_args(0..=1).require_equals(true).value_parser(truth);
            valued.default_value("false").default_missing_value("true")
        }
        _ => arg,
    };
    command.mut_args(switch).mut_subcommands(with_values)
}

/// The values of a switch, as Go's flags have them.
fn truth(text: &str) -> Result<bool, String> {
    weak::go_bool(text).ok_or_else(|| format!("{text:?} is neither true nor false"))
}

/// Suites that know a `vault` take the version from the second word that it prints.
fn version(called_vault: bool) -> String {
    let own = concat!("Coffer v", env!("CARGO_PKG_VERSION"));
    if called_vault { format!("Vault v{VAULT_VERSION} ({own})") } else { own.to_owned() }
}

/// `-dev` means `--dev`.
fn with_two_dashes(arg: OsString) -> OsString {
    match arg.to_str() {
        Some(text) if text.starts_with('-') && !text.starts_with("--") && text.len() > 2 => format!("-{text}").into(),
        Some(_) | None => arg,
    }
}

/// What is wrong with the arguments, in one line.
fn one_line(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let hint = "; the same command with -help lists the flags";
    match (error.kind(), context(ContextKind::InvalidArg), context(ContextKind::InvalidSubcommand)) {
        (ErrorKind::UnknownArgument, Some(arg), _) => format!("unknown flag {arg}{hint}"),
        (ErrorKind::InvalidSubcommand, _, Some(command)) => {
            format!(
                "unknown command {command:?}: use `server`, `status`, `operator`, `key`, `transit`, `audit` or `version`"
            )
        }
        (ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, _, _) => {
            "no command given: `coffer server -dev` starts a server".to_owned()
        }
        (ErrorKind::ValueValidation, Some(arg), _) => {
            let why = std::error::Error::source(error).map_or_else(|| "wrong value".to_owned(), ToString::to_string);
            format!("{arg}: {why}")
        }
        (ErrorKind::InvalidValue, Some(arg), _) => format!("{arg} needs a value{hint}"),
        (_, Some(arg), _) => format!("{arg}: {}{hint}", error.kind().as_str().unwrap_or("wrong")),
        _ => error.to_string().lines().next().unwrap_or("wrong arguments").to_owned(),
    }
}

/// A variable under Coffer's own name, or under the one that Vault's users have set.
fn variable(name: &str) -> Option<String> {
    variable_under(&["COFFER_", "VAULT_"], name)
}

/// As `variable`, or under the name that OpenBao's users have set.
fn variable_of_seal(name: &str) -> Option<String> {
    variable_under(&["COFFER_", "VAULT_", "BAO_"], name)
}

#[allow(clippy::disallowed_methods, reason = "configuration is read here, once")]
fn variable_under(prefixes: &[&str], name: &str) -> Option<String> {
    prefixes.iter().find_map(|prefix| std::env::var(format!("{prefix}{name}")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_may_have_a_value() {
        let check = |line: &str, expected: Result<(), &str>| {
            let args = line.split(' ').map(|arg| with_two_dashes(arg.into())).collect();
            let outcome = parse(args).map(|_| ()).map_err(|error| one_line(&error));
            assert_eq!(outcome, expected.map_err(str::to_owned), "{line}");
        };
        check("coffer server -dev", Ok(()));
        check("coffer server -dev=true -dev-no-kv=F -dev-no-store-token", Ok(()));
        check("coffer operator rekey -init=1", Ok(()));
        check("coffer server -dev=yes", Err("--dev[=<DEV>]: \"yes\" is neither true nor false"));
        check("coffer server -dev=", Err("--dev[=<DEV>]: \"\" is neither true nor false"));
    }
}

//! Flags and variables of Vault's server that this one does without: commands written for that one start this one too,
//! unless they ask for something that is not here.

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

use crate::cli::variable;

/// Which of them were given.
#[derive(Clone)]
pub(super) struct Idle(Vec<&'static Flag>);

struct Flag {
    name: &'static str,
    takes: Takes,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    AValue,
}

use Takes::{AValue, Nothing};

#[derive(Clone, Copy)]
enum Fate {
    /// What it would change does not exist here, or is so anyway.
    NoEffect,
    /// A server without that would not be what was asked for. Says what to do instead.
    Refused(&'static str),
}

use Fate::{NoEffect, Refused};

#[rustfmt::skip]
const FLAGS: &[Flag] = &[
    flag("combine-logs",            Nothing, NoEffect),
    flag("dev-ha",                  Nothing, NoEffect),
    flag("dev-latency",             AValue,  NoEffect),
    flag("dev-latency-jitter",      AValue,  NoEffect),
    flag("dev-plugin-dir",          AValue,  NoEffect),
    flag("dev-plugin-init",         Nothing, NoEffect),
    flag("dev-transactional",       Nothing, NoEffect),
    flag("disable-gated-logs",      Nothing, NoEffect),
    flag("exit-on-core-shutdown",   Nothing, NoEffect),
    flag("experiment",              AValue,  NoEffect),
    flag("log-rotate-bytes",        AValue,  NoEffect),
    flag("log-rotate-duration",     AValue,  NoEffect),
    flag("log-rotate-max-files",    AValue,  NoEffect),
    flag("pprof-dump-dir",          AValue,  NoEffect),
    // Flags of clients, which Vault's server takes too.
    flag("address",                 AValue,  NoEffect),
    flag("agent-address",           AValue,  NoEffect),
    flag("ca-cert",                 AValue,  NoEffect),
    flag("ca-path",                 AValue,  NoEffect),
    flag("client-cert",             AValue,  NoEffect),
    flag("client-key",              AValue,  NoEffect),
    flag("disable-redirects",       Nothing, NoEffect),
    flag("header",                  AValue,  NoEffect),
    flag("mfa",                     AValue,  NoEffect),
    flag("namespace",               AValue,  NoEffect),
    flag("non-interactive",         Nothing, NoEffect),
    flag("policy-override",         Nothing, NoEffect),
    flag("tls-server-name",         AValue,  NoEffect),
    flag("tls-skip-verify",         Nothing, NoEffect),
    flag("unlock-key",              AValue,  NoEffect),
    flag("wrap-ttl",                AValue,  NoEffect),
    flag("dev-auto-seal",           Nothing, Refused("a dev server has one unseal key: for a server that unseals itself, write seal \"static\" into a file and start it with -config, without -dev")),
    flag("dev-consul",              Nothing, Refused("nothing is kept in Consul: -dev-data-dir keeps the dev server's data")),
    flag("dev-four-cluster",        Nothing, Refused("there are no clusters of servers: start each with -dev and a -dev-listen-address of its own")),
    flag("dev-three-node",          Nothing, Refused("there are no clusters of servers: start one with -dev")),
    flag("recovery",                Nothing, Refused("there is no recovery mode: to go back, start the server with a copy of its storage")),
];

const fn flag(name: &'static str, takes: Takes, fate: Fate) -> Flag {
    Flag { name, takes, fate }
}

/// Variables that would change nothing here either.
const VARIABLES: &[&str] = &["EXPERIMENTS", "PLUGIN_TMPDIR", "RAFT_NODE_ID"];

impl Flag {
    fn arg(&self) -> Arg {
        // Those that take a value may be given more than once.
        let action = if self.takes == Nothing { ArgAction::SetTrue } else { ArgAction::Append };
        Arg::new(self.name).long(self.name).hide(true).action(action)
    }

    fn is_given(&self, matches: &ArgMatches) -> bool {
        match self.takes {
            Nothing => matches.get_flag(self.name),
            AValue => matches.contains_id(self.name),
        }
    }
}

impl clap::Args for Idle {
    fn augment_args(command: Command) -> Command {
        command.args(FLAGS.iter().map(Flag::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Idle {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(FLAGS.iter().filter(|flag| flag.is_given(matches)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Idle {
    /// What cannot be had, and what to do instead.
    pub(super) fn refuse(&self) -> Result<(), String> {
        self.0.iter().try_for_each(|flag| match flag.fate {
            NoEffect => Ok(()),
            Refused(why) => Err(format!("-{}: {why}", flag.name)),
        })
    }

    /// What to say of those that were given, flags and variables.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let flags = self.0.iter().map(|flag| format!("-{}", flag.name));
        let is_set = |name: &&&str| variable(name).is_some_and(|value| !value.is_empty());
        let variables = VARIABLES.iter().filter(is_set).map(|name| format!("VAULT_{name}"));
        flags.chain(variables).map(|what| format!("{what} has no effect on this server"))
    }
}

//! Flags of Vault's server that this one does without, so that commands written for that one start it too.

/// What they would change does not exist here, or is so anyway. Flags that ask for more than that are unknown.
#[derive(Clone, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Idle {
    #[arg(long, hide = true)]
    combine_logs: bool,
    #[arg(long, hide = true)]
    dev_ha: bool,
    #[arg(long, hide = true)]
    dev_latency: Option<String>,
    #[arg(long, hide = true)]
    dev_latency_jitter: Option<String>,
    #[arg(long, hide = true)]
    dev_plugin_dir: Option<String>,
    #[arg(long, hide = true)]
    dev_plugin_init: bool,
    #[arg(long, hide = true)]
    dev_transactional: bool,
    #[arg(long, hide = true)]
    disable_gated_logs: bool,
    #[arg(long, hide = true)]
    exit_on_core_shutdown: bool,
    #[arg(long, hide = true)]
    experiment: Vec<String>,
    #[arg(long, hide = true)]
    log_rotate_bytes: Option<String>,
    #[arg(long, hide = true)]
    log_rotate_duration: Option<String>,
    #[arg(long, hide = true)]
    log_rotate_max_files: Option<String>,
}

impl Idle {
    /// What to say of those that were given.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let given = [
            ("-combine-logs", self.combine_logs),
            ("-dev-ha", self.dev_ha),
            ("-dev-latency", self.dev_latency.is_some()),
            ("-dev-latency-jitter", self.dev_latency_jitter.is_some()),
            ("-dev-plugin-dir", self.dev_plugin_dir.is_some()),
            ("-dev-plugin-init", self.dev_plugin_init),
            ("-dev-transactional", self.dev_transactional),
            ("-disable-gated-logs", self.disable_gated_logs),
            ("-exit-on-core-shutdown", self.exit_on_core_shutdown),
            ("-experiment", !self.experiment.is_empty()),
            ("-log-rotate-bytes", self.log_rotate_bytes.is_some()),
            ("-log-rotate-duration", self.log_rotate_duration.is_some()),
            ("-log-rotate-max-files", self.log_rotate_max_files.is_some()),
        ];
        given
            .into_iter()
            .filter(|(_, is_given)| *is_given)
            .map(|(flag, _)| format!("{flag} has no effect on this server"))
    }
}

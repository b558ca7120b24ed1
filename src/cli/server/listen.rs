//! From the listeners of a configuration to sockets that are open, with their certificates read. Serves nobody.

use std::sync::Arc;

use crate::config::{Config, Listener, listener};
use crate::http::{self, Manners};
use crate::server::{Limits, Listening, Socket, Tls};

/// Listeners that are ready.
pub(super) struct Open {
    pub(super) listenings: Vec<Listening>,
    /// What the server's first words say of each.
    pub(super) lines: Vec<String>,
    /// What is read anew at SIGHUP, and where it is written.
    pub(super) tls: Vec<(String, Arc<Tls>)>,
    /// Of the first that has an address.
    pub(super) url: Option<String>,
}

/// Opens all of them, or says which cannot be opened.
pub(super) async fn open(listeners: &[Listener], config: &Config) -> Result<Open, String> {
    let mut open = Open { listenings: Vec::new(), lines: Vec::new(), tls: Vec::new(), url: None };
    for listener in listeners {
        let at = |error: String| format!("{}: {error}", listener.place);
        let tls = tls_of(listener)?.map(Arc::new);
        let manners = Manners::new(listener.forwarded.clone(), &listener.headers).map_err(at)?;
        let socket = Socket::bind(&listener.socket).await.map_err(at)?;
        let limits = limits(listener, config);
        open.lines.push(line(listener, &socket, &limits));
        if let (None, Some(address)) = (&open.url, socket.address()) {
            let scheme = if tls.is_some() { "https" } else { "http" };
            open.url = Some(format!("{scheme}://{address}"));
        }
        open.tls.extend(tls.clone().map(|tls| (listener.place.clone(), tls)));
        open.listenings.push(Listening { socket, limits, manners, tls, proxy: listener.proxy.clone() });
    }
    Ok(open)
}

/// Reads the certificates of a listener, if it has any.
pub(super) fn tls_of(listener: &Listener) -> Result<Option<Tls>, String> {
    let tls = listener.tls.clone().map(Tls::open).transpose();
    tls.map_err(|error| format!("{}: {error}", listener.place))
}

/// The usual limits but for those that were set.
fn limits(listener: &Listener, config: &Config) -> Limits {
    let (own, usual) = (&listener.limits, Limits::default());
    let http = http::Limits {
        body_bytes_max: own.request_bytes_max.unwrap_or(usual.http.body_bytes_max),
        body_time_max: own.body_time_max.unwrap_or(usual.http.body_time_max),
        request_time_max: own.request_time_max.or(config.request_time_max()),
        ..usual.http
    };
    Limits {
        http,
        head_time_max: own.head_time_max.unwrap_or(usual.head_time_max),
        idle_time_max: own.idle_time_max.unwrap_or(usual.idle_time_max),
        stall_time_max: own.answer_time_max.unwrap_or(usual.stall_time_max),
        ..usual
    }
}

fn line(listener: &Listener, socket: &Socket, limits: &Limits) -> String {
    let (kind, address) = match &listener.socket {
        listener::Socket::Tcp { address } => {
            ("tcp", socket.address().map_or_else(|| address.clone(), |address| address.to_string()))
        }
        listener::Socket::Unix { path, .. } => ("unix", path.display().to_string()),
    };
    let size = limits.http.body_bytes_max;
    let tls = if listener.tls.is_some() { "enabled" } else { "disabled" };
    format!("{kind} (addr: \"{address}\", max_request_size: \"{size}\", tls: \"{tls}\")")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn limits_are_those_that_were_set() {
        let own = listener::Limits {
            request_bytes_max: Some(1),
            request_time_max: Some(Duration::from_secs(2)),
            head_time_max: Some(Duration::from_secs(3)),
            body_time_max: Some(Duration::from_secs(4)),
            answer_time_max: Some(Duration::from_secs(5)),
            idle_time_max: Some(Duration::from_secs(6)),
        };
        let listener = Listener { limits: own, ..Listener::at("f:1", "127.0.0.1:0", None) };
        let Limits { http, head_time_max, idle_time_max, stall_time_max, .. } = limits(&listener, &Config::default());
        let times = [http.request_time_max.unwrap(), head_time_max, http.body_time_max, stall_time_max, idle_time_max];
        assert_eq!((http.body_bytes_max, times.map(|time| time.as_secs())), (1, [2, 3, 4, 5, 6]));
    }
}

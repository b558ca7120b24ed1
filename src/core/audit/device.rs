//! One audit device: what is stored of it, what its options mean, and how it is opened. Knows no request.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chain::Chain;
use super::mask::Mask;
use super::output::{Log, MODE_DEFAULT, Output, Socket, SocketKind};
use super::senders::Senders;
use super::writer::Writer;
use crate::api::fields::Ttl;
use crate::api::json::Json;
use crate::api::{Error, weak};
use crate::barrier::{Stored, StoredBytes};
use crate::crypto::mac::HmacSha256;
use crate::crypto::random::Random;
use crate::entropy::Entropy;

/// What is stored of a device.
#[derive(Clone, Serialize, Deserialize)]
pub struct DeviceEntry {
    /// Ends in `/`.
    pub path: String,
    pub kind: String,
    pub description: String,
    pub local: bool,
    pub options: BTreeMap<String, String>,
    salt: StoredBytes,
}

impl Stored for DeviceEntry {
    const VERSION: u8 = 1;
}

impl DeviceEntry {
    /// A new device, with a key of its own.
    pub fn new(
        path: String,
        kind: String,
        description: String,
        local: bool,
        options: BTreeMap<String, String>,
    ) -> Self {
        let mut salt = vec![0; SALT_BYTES];
        Entropy.fill(&mut salt);
        Self { path, kind, description, local, options, salt: StoredBytes(salt.into()) }
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, Error> {
        let Some(text) = self.option(name) else { return Ok(default) };
        weak::go_bool(text).ok_or_else(|| Error::invalid(format!("{name} is neither true nor false: {text:?}")))
    }

    /// Path of the file, if it writes one.
    pub(super) fn file(&self) -> Option<&str> {
        let path = self.option("file_path").or_else(|| self.option("path")).filter(|_| self.kind == "file")?;
        (!STDOUT.contains(&path) && !NOWHERE.contains(&path)).then_some(path)
    }

    fn output(&self) -> Result<Output, Error> {
        match self.kind.as_str() {
            "file" => self.file_output(),
            "socket" => self.socket(),
            "syslog" => Err(Error::invalid("there are no audit devices of type \"syslog\" here; use file or socket")),
            kind => Err(Error::invalid(format!("unknown backend type: {kind:?}"))),
        }
    }

    fn file_output(&self) -> Result<Output, Error> {
        let path = self.option("file_path").or_else(|| self.option("path"));
        let path = path.ok_or_else(|| Error::invalid("file_path is required"))?;
        let (mode, syncs) = (self.mode()?, self.flag("sync", false)?);
        if STDOUT.contains(&path) {
            return Ok(Output::Stdout);
        }
        if NOWHERE.contains(&path) {
            return Ok(Output::Nowhere);
        }
        // Whoever chooses how lines begin, and where they go, could make a script of them.
        if self.option("prefix").is_some() {
            return Err(Error::invalid("lines in a file cannot have a prefix"));
        }
        Ok(Output::File(Log::new(PathBuf::from(path), mode, syncs)))
    }

    /// Permissions of the file; `None`: as they are.
    fn mode(&self) -> Result<Option<u32>, Error> {
        let Some(text) = self.option("mode") else { return Ok(Some(MODE_DEFAULT)) };
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| mode & !0o666 == 0);
        let mode =
            mode.ok_or_else(|| Error::invalid(format!("mode is not that of a file to read and write: {text:?}")))?;
        Ok(Some(mode).filter(|mode| *mode != 0))
    }

    fn socket(&self) -> Result<Output, Error> {
        let address = self.option("address").ok_or_else(|| Error::invalid("address is required"))?;
        let kind = match self.option("socket_type").unwrap_or("tcp") {
            "tcp" => SocketKind::Tcp,
            "udp" => SocketKind::Udp,
            "unix" => SocketKind::Unix,
            other => return Err(Error::invalid(format!("unknown socket_type {other:?}; use tcp, udp or unix"))),
        };
        let timeout = self.option("write_timeout").map(Ttl::parse).transpose();
        let timeout = timeout.map_err(|error| Error::invalid(format!("invalid write_timeout: {error}")))?;
        Ok(Output::Socket(Socket::new(kind, address.to_owned(), timeout.unwrap_or(WRITE_TIMEOUT_DEFAULT))))
    }

    fn mask(&self) -> Result<Mask, Error> {
        match self.option("format").unwrap_or("json") {
            "json" => {}
            "jsonx" => return Err(Error::invalid("the format jsonx is not offered; use json")),
            other => return Err(Error::invalid(format!("unknown format type {other:?}"))),
        }
        Ok(Mask {
            salt: HmacSha256::new(&self.salt.0),
            raw: self.flag("log_raw", false)?,
            accessors: self.flag("hmac_accessor", true)?,
            elides_lists: self.flag("elide_list_responses", false)?,
        })
    }

    /// The key of the chain, for whoever verifies it.
    pub(super) fn chain_key(&self) -> [u8; 32] {
        HmacSha256::new(&self.salt.0).compute(b"chain")
    }

    fn chain(&self) -> Result<Option<Chain>, Error> {
        let wanted = self.flag("hash_chain", false)?;
        Ok(wanted.then(|| Chain::new(HmacSha256::new(&self.chain_key()))))
    }

    fn prefix(&self) -> Result<String, Error> {
        let prefix = self.option("prefix").unwrap_or_default();
        if prefix.len() > PREFIX_BYTES_MAX || prefix.chars().any(char::is_control) {
            return Err(Error::invalid(format!("a prefix is one line of at most {PREFIX_BYTES_MAX} bytes")));
        }
        Ok(prefix.to_owned())
    }
}

/// A device that takes lines.
pub(super) struct Device {
    pub(super) entry: DeviceEntry,
    pub(super) mask: Mask,
    pub(super) senders: Senders,
    prefix: String,
    pub(super) writer: Arc<Writer>,
}

impl Device {
    /// A device that works, or says why it cannot.
    pub(super) fn open(entry: DeviceEntry) -> Result<Self, Error> {
        // A device that showed more than was asked for would be worse than none.
        if ENTERPRISE.iter().any(|name| entry.options.contains_key(*name)) {
            return Err(Error::invalid("enterprise-only options supplied: invalid configuration"));
        }
        let mut output = entry.output()?;
        // Whatever else is wrong is told first.
        let (mask, prefix, chain) = (entry.mask()?, entry.prefix()?, entry.chain()?);
        if let Err(error) = output.probe() {
            let to = entry.file().or_else(|| entry.option("address")).unwrap_or("stdout");
            return Err(Error::invalid(format!("sanity check failed; unable to open {to:?} for writing: {error}")));
        }
        Ok(Self::of(entry, output, mask, prefix, chain))
    }

    /// A device as it was enabled once, whether it works or not.
    pub(super) fn reopen(entry: DeviceEntry) -> Result<Self, Error> {
        let (output, mask, prefix, chain) = (entry.output()?, entry.mask()?, entry.prefix()?, entry.chain()?);
        let device = Self::of(entry, output, mask, prefix, chain);
        device.writer.check();
        Ok(device)
    }

    fn of(entry: DeviceEntry, output: Output, mask: Mask, prefix: String, chain: Option<Chain>) -> Self {
        let writer = Arc::new(Writer::new(entry.path.clone(), output, chain));
        Self { entry, mask, senders: Senders::default(), prefix, writer }
    }

    /// An entry as the line that this device writes.
    pub(super) fn line<'a>(&'a self, entry: &'a Json) -> [&'a [u8]; 3] {
        [self.prefix.as_bytes(), &entry.0, b"\n"]
    }
}

/// Which entries a device takes, and what of them.
const ENTERPRISE: &[&str] = &["exclude", "fallback", "filter"];
const SALT_BYTES: usize = 32;
const STDOUT: &[&str] = &["stdout", "/dev/stdout"];
const NOWHERE: &[&str] = &["discard", "/dev/null"];
const WRITE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
const PREFIX_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Why a device with these options cannot be.
    fn check(kind: &str, options: &[(&str, &str)], refused: Option<&str>) {
        let options: BTreeMap<_, _> =
            options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let entry = DeviceEntry::new("a/".to_owned(), kind.to_owned(), String::new(), false, options.clone());
        let opened = Device::open(entry).map_err(|error| error.to_string());
        assert_eq!(opened.err().as_deref(), refused, "{kind} {options:?}");
    }

    /// Regression R49: a file that others run could be written, with lines that begin as one wants.
    #[test]
    fn what_no_device_can_be_is_refused() {
        check("", &[], Some("unknown backend type: \"\""));
        check("nosuch", &[], Some("unknown backend type: \"nosuch\""));
        check("file", &[], Some("file_path is required"));
        check("file", &[("file_path", "")], Some("file_path is required"));
        check("file", &[("file_path", "discard")], None);
        check("file", &[("path", "discard"), ("format", "json"), ("hmac_accessor", "false")], None);
        check(
            "file",
            &[("file_path", "discard"), ("format", "jsonx")],
            Some("the format jsonx is not offered; use json"),
        );
        check(
            "file",
            &[("file_path", "discard"), ("log_raw", "yes")],
            Some("log_raw is neither true nor false: \"yes\""),
        );
        check("file", &[("file_path", "discard"), ("prefix", "a\n")], Some("a prefix is one line of at most 64 bytes"));
        for mode in ["0700", "0601", "4600", "rw", "0o600"] {
            let text = format!("mode is not that of a file to read and write: {mode:?}");
            check("file", &[("file_path", "/nonexistent/a"), ("mode", mode)], Some(&text));
        }
        check("file", &[("file_path", "/x"), ("prefix", "#!")], Some("lines in a file cannot have a prefix"));
        let text = "sanity check failed; unable to open \"/nonexistent/a\" for writing: No such file or directory (os error 2)";
        check("file", &[("file_path", "/nonexistent/a")], Some(text));
        let text = "sanity check failed; unable to open \"/dev/zero\" for writing: it is not a regular file";
        check("file", &[("file_path", "/dev/zero")], Some(text));
        for name in ENTERPRISE {
            let text = "enterprise-only options supplied: invalid configuration";
            check("file", &[("file_path", "discard"), (name, "x")], Some(text));
        }
        check("socket", &[], Some("address is required"));
        let text = "unknown socket_type \"sctp\"; use tcp, udp or unix";
        check("socket", &[("address", "127.0.0.1:1"), ("socket_type", "sctp")], Some(text));
    }
}

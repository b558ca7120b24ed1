//! Where connections come from: a port, or a path of the file system. Knows nothing of what is said on them.

use std::fs::{self, Permissions};
use std::io;
use std::net::{self, IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{self, PathBuf};

use rustix::fs::{Gid, Uid, chown};
use tokio::net::{TcpListener, UnixListener};

use crate::config::listener;

/// A socket that listens.
pub enum Socket {
    Tcp(TcpListener),
    Unix(Path),
}

/// A path that listens; removed when this is dropped.
pub struct Path {
    listener: UnixListener,
    path: PathBuf,
}

/// A connection that no runtime knows yet.
pub(super) enum Stream {
    Tcp(net::TcpStream),
    Unix(unix::net::UnixStream),
}

impl Stream {
    /// The same connection once more, which takes another of the files that the process may open.
    pub(super) fn again(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
        }
    }

    /// Ends the connection, whoever else holds it.
    pub(super) fn shut(&self) {
        // One that is gone already has ended.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(net::Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(net::Shutdown::Both),
        };
    }
}

impl Socket {
    /// Begins to listen. The error says where it cannot.
    pub async fn bind(socket: &listener::Socket) -> Result<Self, String> {
        match socket {
            listener::Socket::Tcp { address } => {
                let listener = TcpListener::bind(address).await;
                listener.map(Self::Tcp).map_err(|error| format!("cannot listen on {address}: {error}"))
            }
            listener::Socket::Unix { path, mode, user, group } => {
                let cannot = |error| format!("cannot listen on {}: {error}", path.display());
                remove_left_over(path).map_err(cannot)?;
                let listener = UnixListener::bind(path).map_err(cannot)?;
                let mode = mode.unwrap_or(SOCKET_MODE);
                fs::set_permissions(path, Permissions::from_mode(mode)).map_err(cannot)?;
                let user = user.as_deref().map(|user| id(user, PASSWD)).transpose()?.map(Uid::from_raw);
                let group = group.as_deref().map(|group| id(group, GROUP)).transpose()?.map(Gid::from_raw);
                if user.is_some() || group.is_some() {
                    chown(path, user, group).map_err(|error| cannot(error.into()))?;
                }
                Ok(Self::Unix(Path { listener, path: path.clone() }))
            }
        }
    }

    /// The address, if it has one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// The next connection, and the address of the client. Who comes by a path is on this machine.
    pub(super) async fn accept(&self) -> io::Result<(Stream, IpAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                Ok((Stream::Tcp(stream.into_std()?), remote.ip().to_canonical()))
            }
            Self::Unix(path) => {
                let (stream, _) = path.listener.accept().await?;
                Ok((Stream::Unix(stream.into_std()?), Ipv4Addr::LOCALHOST.into()))
            }
        }
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A server that was killed leaves its socket. One that is in use, and anything else, stays.
fn remove_left_over(path: &path::Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) if unix::net::UnixStream::connect(path).is_ok() => Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) => fs::remove_file(path),
    }
}

/// The number of a user or a group: itself, or as the machine's own list has it.
fn id(name: &str, list: &str) -> Result<u32, String> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let text = fs::read_to_string(list).map_err(|error| format!("cannot look up {name:?} in {list}: {error}"))?;
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1))??.parse().ok()
    });
    found.ok_or_else(|| format!("{name:?} is not in {list}: use its number"))
}

/// For the user who runs the server, unless the configuration says otherwise.
const SOCKET_MODE: u32 = 0o600;
const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

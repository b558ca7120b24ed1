//! Where an audit device writes: a file, the standard output, a socket, or nowhere. Knows bytes and lines, not what they say.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _, UdpSocket};
use std::num::NonZeroU64;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Advice, FallocateFlags, OFlags, fadvise, fallocate};

/// What is left of the space that is kept free for the entries of answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// All of it.
    Kept,
    /// What this needs is taken from it.
    Used,
}

pub(super) enum Output {
    File(Log),
    Stdout,
    Socket(Socket),
    Nowhere,
}

impl Output {
    /// Writes lines: all of them, or as far as anybody can tell none.
    pub(super) fn write(&mut self, lines: &[u8], room: Room) -> io::Result<()> {
        match self {
            Self::File(log) => log.write(lines, room),
            Self::Stdout => write_stdout(lines),
            Self::Socket(socket) => socket.write(lines),
            Self::Nowhere => Ok(()),
        }
    }

    /// Whether somebody who does not read can keep a writer waiting.
    pub(super) fn blocks(&self) -> bool {
        matches!(self, Self::Stdout | Self::Socket(_))
    }

    /// Sees whether lines can be written, and brings that about if it can.
    pub(super) fn probe(&mut self) -> io::Result<()> {
        match self {
            Self::File(log) => log.probe(),
            Self::Stdout => wait_for_stdout(),
            Self::Socket(socket) => socket.probe(),
            Self::Nowhere => Ok(()),
        }
    }

    /// Opens a file that is not open. Returns the last lines of one that was opened since the last call, the last one first.
    pub(super) fn open(&mut self) -> io::Result<Option<Vec<Vec<u8>>>> {
        match self {
            Self::File(log) => log.last_lines_if_fresh(),
            Self::Stdout | Self::Socket(_) | Self::Nowhere => Ok(None),
        }
    }

    /// Opens anew what is at the path of a file now.
    pub(super) fn reopen(&mut self) {
        if let Self::File(log) = self {
            log.opened = None;
        }
    }
}

/// A file that only grows.
pub(super) struct Log {
    path: PathBuf,
    /// Permissions of the file; `None`: as they are.
    mode: Option<u32>,
    /// Each group of lines is on the medium before anyone is answered.
    syncs: bool,
    opened: Option<Opened>,
}

struct Opened {
    file: File,
    /// Length of the file as this writer left it.
    len: u64,
    /// Up to here there is space for it.
    reserved: u64,
    /// Nobody has asked for its last lines.
    fresh: bool,
}

impl Log {
    pub(super) fn new(path: PathBuf, mode: Option<u32>, syncs: bool) -> Self {
        Self { path, mode, syncs, opened: None }
    }

    fn write(&mut self, lines: &[u8], room: Room) -> io::Result<()> {
        let syncs = self.syncs;
        let opened = self.opened()?;
        let before = opened.len;
        if room == Room::Kept {
            opened.reserve(lines.len() as u64 + RESERVE_BYTES)?;
        }
        let written = opened.file.write_all(lines).and_then(|()| if syncs { opened.file.sync_data() } else { Ok(()) });
        if written.is_ok() {
            opened.len = before + lines.len() as u64;
        } else {
            // Half a line would spoil the one after it.
            let undone = opened.file.set_len(before);
            self.opened = None;
            undone?;
        }
        written
    }

    fn probe(&mut self) -> io::Result<()> {
        self.opened()?.reserve(RESERVE_BYTES)
    }

    fn last_lines_if_fresh(&mut self) -> io::Result<Option<Vec<Vec<u8>>>> {
        let opened = self.opened()?;
        if !opened.fresh {
            return Ok(None);
        }
        let lines = last_lines(&opened.file, opened.len)?;
        opened.fresh = false;
        Ok(Some(lines))
    }

    /// The file; opened again if it was deleted.
    fn opened(&mut self) -> io::Result<&mut Opened> {
        let state = self.opened.as_ref().map(|opened| opened.file.metadata()).transpose()?;
        let opened = match (self.opened.take(), state) {
            (Some(mut opened), Some(state)) if state.nlink() > 0 => {
                if state.len() != opened.len {
                    // Somebody else shortened it, and what was reserved with it.
                    (opened.len, opened.reserved) = (state.len(), 0);
                }
                opened
            }
            _ => open(&self.path, self.mode)?,
        };
        Ok(self.opened.insert(opened))
    }
}

impl Opened {
    /// Sees to it that there is space for so many more bytes.
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let needed = self.len + bytes;
        if needed <= self.reserved {
            return Ok(());
        }
        self.give_back_memory();
        let allocate = |to: u64| fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.len, to - self.len);
        self.reserved = match allocate(needed + RESERVE_BYTES).map(|()| needed + RESERVE_BYTES) {
            // Not all file systems can promise space.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => u64::MAX,
            Err(_) => allocate(needed).map(|()| needed)?,
            Ok(reserved) => reserved,
        };
        Ok(())
    }

    /// Lets the kernel write out what it holds of the file, and use the memory again. Nobody reads these lines soon: they
    /// shall not take the place of what the store reads. The memory that lines are written to next is then what was just
    /// written out, which a virtual machine has for sure and a processor perhaps in its cache.
    fn give_back_memory(&self) {
        // Only advice: a kernel that does not take it keeps the pages.
        let _ = fadvise(&self.file, 0, NonZeroU64::new(self.len), Advice::DontNeed);
    }
}

/// Opens a file to write lines at its end. It must be a plain file: whatever else is at a path may block, or worse.
fn open(path: &Path, mode: Option<u32>) -> io::Result<Opened> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    options.append(true).create(true).read(true).mode(mode.unwrap_or(MODE_DEFAULT)).custom_flags(nonblocking);
    let mut file = options.open(path)?;
    let state = file.metadata()?;
    if !state.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if let Some(mode) = mode.filter(|mode| state.mode() & 0o7777 != *mode) {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    if is_torn(&file, state.len())? {
        file.write_all(b"\n")?;
    }
    let len = file.metadata()?.len();
    Ok(Opened { file, len, reserved: 0, fresh: true })
}

/// The last two lines of a file whose last line has an end, the last one first.
fn last_lines(file: &File, len: u64) -> io::Result<Vec<Vec<u8>>> {
    let mut window = TAIL_BYTES;
    loop {
        let start = len.saturating_sub(window);
        let mut tail = vec![0; usize::try_from(len - start).map_err(io::Error::other)?];
        std::os::unix::fs::FileExt::read_exact_at(file, &mut tail, start)?;
        let text = tail.strip_suffix(b"\n").unwrap_or(&tail);
        let lines: Vec<_> = text.rsplit(|byte| *byte == b'\n').take(2).map(<[u8]>::to_vec).collect();
        // The first line of the window may have begun before it.
        if start == 0 || text.split(|byte| *byte == b'\n').nth(2).is_some() {
            return Ok(lines.into_iter().filter(|line| !line.is_empty()).collect());
        }
        window = window.saturating_mul(4);
    }
}

/// Whether the last line of a file has no end: the machine failed while it was written.
fn is_torn(file: &File, len: u64) -> io::Result<bool> {
    let Some(last) = len.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut byte, last)?;
    Ok(byte != *b"\n")
}

// === the standard output ===

/// Writes in pieces that a pipe takes at once, if it takes them: somebody who does not read keeps nobody waiting for long.
fn write_stdout(lines: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for piece in lines.chunks(PIPE_BYTES) {
        wait_for_stdout()?;
        stdout.write_all(piece)?;
        stdout.flush()?;
    }
    Ok(())
}

fn wait_for_stdout() -> io::Result<()> {
    let stdout = io::stdout();
    let mut descriptors = [PollFd::new(&stdout, PollFlags::OUT)];
    let time_max = Timespec::try_from(TIME_MAX).map_err(io::Error::other)?;
    let ready = poll(&mut descriptors, Some(&time_max))?;
    if ready == 0 { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
}

// === sockets ===

/// A socket on which lines are sent to somebody.
pub(super) struct Socket {
    kind: SocketKind,
    address: String,
    write_timeout: Duration,
    open: Option<Box<dyn Wire>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SocketKind {
    Tcp,
    Udp,
    Unix,
}

/// What takes all bytes or fails, within its time.
trait Wire: Send {
    fn send(&mut self, lines: &[u8]) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        self.write_all(lines)
    }
}

impl Wire for UnixStream {
    fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        self.write_all(lines)
    }
}

impl Wire for UdpSocket {
    /// A line is a datagram.
    fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        lines.split_inclusive(|byte| *byte == b'\n').try_for_each(|line| UdpSocket::send(self, line).map(drop))
    }
}

impl Socket {
    pub(super) fn new(kind: SocketKind, address: String, write_timeout: Duration) -> Self {
        Self { kind, address, write_timeout: write_timeout.clamp(Duration::from_millis(1), TIME_MAX), open: None }
    }

    /// The other side may have ended a connection that was idle, so a new one gets a try.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Some(wire) = &mut self.open {
            match wire.send(lines) {
                Ok(()) => return Ok(()),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    self.open = None;
                    return Err(error);
                }
                Err(_) => self.open = None,
            }
        }
        let mut wire = self.connect()?;
        wire.send(lines)?;
        self.open = Some(wire);
        Ok(())
    }

    fn probe(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            self.open = Some(self.connect()?);
        }
        Ok(())
    }

    fn connect(&self) -> io::Result<Box<dyn Wire>> {
        if self.kind == SocketKind::Unix {
            let stream = UnixStream::connect(&self.address)?;
            stream.set_write_timeout(Some(self.write_timeout))?;
            return Ok(Box::new(stream));
        }
        let address = self.address.to_socket_addrs()?.next();
        let address = address.ok_or_else(|| io::Error::other("the address leads nowhere"))?;
        if self.kind == SocketKind::Udp {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            socket.set_write_timeout(Some(self.write_timeout))?;
            return Ok(Box::new(socket));
        }
        let stream = TcpStream::connect_timeout(&address, TIME_MAX)?;
        stream.set_write_timeout(Some(self.write_timeout))?;
        Ok(Box::new(stream))
    }
}

/// A device that takes longer counts as failed.
pub(super) const TIME_MAX: Duration = Duration::from_secs(2);
pub(super) const MODE_DEFAULT: u32 = 0o600;
/// Space that is kept free for the short entries of all answers that are being worked on. As much is asked for at a time.
const RESERVE_BYTES: u64 = 1 << 20;
/// What is read first of the end of a file, to see its last lines.
const TAIL_BYTES: u64 = 64 << 10;
/// What a pipe takes at once if it takes anything (`PIPE_BUF`).
const PIPE_BYTES: usize = 4_096;

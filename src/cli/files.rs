//! Files with secrets in them: read without leaving copies in buffers, written for their owner alone. Does not know what
//! the secrets are.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zeroize::Zeroizing;

/// Reads a file, or standard input if the name is `-`.
pub(super) fn read_private(name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let called = if name == "-" { "standard input" } else { name };
    let read = || {
        // Standard input as a file, for the library's own has a buffer that nobody wipes.
        let file = if name == "-" { File::from(io::stdin().as_fd().try_clone_to_owned()?) } else { File::open(name)? };
        // A buffer that grew would leave what it held behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * FILE_BYTES_MAX));
        file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error: io::Error| format!("cannot read {called}: {error}"))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("{called} has more than {FILE_BYTES_MAX} bytes, and is no key"));
    }
    Ok(bytes)
}

/// Writes a file that was not there, which only its owner reads, and makes it durable, its name included.
pub(super) fn create_private(file: &Path, contents: &[u8]) -> io::Result<()> {
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    let written = open.write_all(contents).and_then(|()| open.sync_all());
    if let Err(error) = written {
        // Half a key is none, and would stand in the way of the next attempt.
        fs::remove_file(file).or_else(absent_is_fine)?;
        return Err(error);
    }
    sync_name(file)
}

/// Writes a file that only its owner reads, whole or not at all, in place of what was there, and makes it durable.
pub(super) fn replace_private(file: &Path, contents: &[u8]) -> io::Result<()> {
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(".unfinished");
    fs::remove_file(&unfinished).or_else(absent_is_fine)?;
    create_private(Path::new(&unfinished), contents)?;
    fs::rename(&unfinished, file)?;
    sync_name(file)
}

/// Writes secret bytes to standard output, past the library's buffer.
pub(super) fn write_stdout(contents: &[u8]) -> io::Result<()> {
    File::from(io::stdout().as_fd().try_clone_to_owned()?).write_all(contents)
}

fn sync_name(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Bytes of a file that may be a key: the largest private keys in PEM have fewer.
const FILE_BYTES_MAX: usize = 64 << 10;

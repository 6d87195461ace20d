//! Where the control socket lies: made so that only its owner can open it, and not in place of one that is in use.

use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Who may open it: its owner alone.
const MODE: u32 = 0o600;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 16;

/// Where the control socket is to lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub path: PathBuf,
    /// Somebody named it. Without it the broker then does not start; one that nobody named may fail with a warning.
    pub is_named: bool,
}

/// Why there is no control socket.
#[derive(Debug)]
pub struct ControlError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    InUse,
    NoSocket,
    System(io::Error),
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::InUse => write!(f, "a broker answers at {path} already; name another path by control.socket"),
            Why::NoSocket => {
                write!(f, "{path} is no socket and is left as it is; move it, or name another path by control.socket")
            }
            Why::System(error) if error.kind() == io::ErrorKind::InvalidInput => {
                write!(f, "{path} is too long for a socket (107 bytes); name a shorter path by control.socket")
            }
            Why::System(error) => write!(f, "no control socket at {path}: {error}"),
        }
    }
}

impl std::error::Error for ControlError {}

/// A listening socket; its file goes when it is dropped.
pub(crate) struct Open {
    pub(crate) listener: UnixListener,
    path: PathBuf,
}

impl Open {
    /// Takes the place of a file that a process left there which did not end well.
    pub(crate) fn at(path: &Path) -> Result<Open, ControlError> {
        let failed = |why| ControlError { path: path.to_owned(), why };
        let listener = match listen(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                clear(path).map_err(failed)?;
                listen(path)
            }
            other => other,
        };
        let listener = listener.map_err(|error| failed(Why::System(error)))?;
        Ok(Open { listener, path: path.to_owned() })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the file of the control socket stays");
        }
    }
}

/// The file has its mode from the moment it exists: Linux takes it from the socket.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(MODE))?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Removes a socket that nobody listens to.
fn clear(path: &Path) -> Result<(), Why> {
    let kind = std::fs::symlink_metadata(path).map_err(Why::System)?.file_type();
    if !kind.is_socket() {
        return Err(Why::NoSocket);
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(Why::InUse),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::debug!(path = %path.display(), "a control socket that nobody listens to is replaced");
            std::fs::remove_file(path).map_err(Why::System)
        }
        Err(error) => Err(Why::System(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("mote-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_socket_is_its_owners_alone_and_goes_with_the_process() {
        let folder = folder("place");
        let path = folder.join("control.sock");
        let open = Open::at(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, MODE);
        assert!(Open::at(&path).err().unwrap().to_string().contains("answers at"), "it is in use");
        drop(open);
        assert!(!path.exists());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_a_crash_left_is_replaced_and_what_is_no_socket_is_not() {
        let folder = folder("stale");
        let path = folder.join("control.sock");
        drop(UnixListener::bind(&path).unwrap()); // leaves its file
        drop(Open::at(&path).unwrap());
        std::fs::write(&path, "mine").unwrap();
        assert!(Open::at(&path).err().unwrap().to_string().contains("is no socket"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        let long = folder.join("x".repeat(120));
        assert!(Open::at(&long).err().unwrap().to_string().contains("too long"));
        let nowhere = Open::at(&folder.join("a/b")).err().unwrap().to_string();
        assert!(nowhere.contains("No such file"), "{nowhere}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}

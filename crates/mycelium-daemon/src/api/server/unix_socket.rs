//! The API on a Unix socket, for programs of this machine.
//!
//! A connection is handled as one over TCP: reading, writing and ending are the same calls for both. Only its address
//! family differs, so the standard library's type for a TCP stream carries it.

use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Owner and group may connect.
const MODE: u32 = 0o660;

/// The address that stands for clients of the socket in logs and limits.
pub const UNIX_PEER: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// A socket that is removed when the server ends.
#[derive(Debug)]
pub struct UnixSocket {
    pub listener: UnixListener,
    /// To be removed at the end; `None` if somebody else made it.
    path: Option<PathBuf>,
}

impl UnixSocket {
    /// Binds `path`, and replaces a socket that nobody listens on any more.
    ///
    /// # Errors
    /// [`ErrorKind::AddrInUse`] if somebody listens there or the path is something else than a socket.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::new(ErrorKind::AddrInUse, "there is a file that is no socket"));
            }
            Ok(_) => match UnixStream::connect(path) {
                Ok(_) => return Err(io::Error::new(ErrorKind::AddrInUse, "another process listens there")),
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
                Err(e) => return Err(e),
            },
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(MODE))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path: Some(path.to_owned()) })
    }

    /// A listening socket that the service manager has made.
    pub fn inherited(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path: None })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // A left-over socket is replaced by the next start.
        if let Some(path) = &self.path {
            std::fs::remove_file(path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_one_in_use_or_another_file_is_not() {
        let directory = std::env::temp_dir().join(format!("mycelium-unix-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("api.sock");
        let stale = UnixListener::bind(&path).unwrap();
        assert_eq!(UnixSocket::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse, "in use");
        drop(stale);
        let socket = UnixSocket::bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        assert!(UnixStream::connect(&path).is_ok());
        drop(socket);
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        assert_eq!(UnixSocket::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse, "a file");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}

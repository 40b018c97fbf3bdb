//! Listening sockets that a service manager hands over (`LISTEN_FDS`, `LISTEN_PID`; `sd_listen_fds(3)`).

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

/// At most one socket of each kind.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    pub tcp: Option<TcpListener>,
    pub unix: Option<UnixListener>,
}

impl InheritedSockets {
    /// Takes the sockets of this process; none if the variables are missing or those of another process.
    ///
    /// # Errors
    /// A socket that listens on neither TCP nor a Unix stream, and a second one of a kind.
    pub fn take() -> io::Result<Self> {
        let mut sockets = Self::default();
        let mut handed_over = ListenFd::from_env();
        for index in 0..handed_over.len() {
            let refused = || {
                let text = format!(
                    "socket {index} of LISTEN_FDS is none this program can use: hand over one TCP and one Unix stream socket"
                );
                io::Error::new(ErrorKind::InvalidInput, text)
            };
            if let Ok(Some(listener)) = handed_over.take_tcp_listener(index) {
                if sockets.tcp.replace(listener).is_some() {
                    return Err(refused());
                }
            } else if let Ok(Some(listener)) = handed_over.take_unix_listener(index) {
                if sockets.unix.replace(listener).is_some() {
                    return Err(refused());
                }
            } else {
                return Err(refused());
            }
        }
        Ok(sockets)
    }
}

//! Checks whether an endpoint accepts TCP connections, without sending it anything.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Agent, Error, Timeout};

use super::error::TransportError;
use crate::clock::Mono;

/// Opens a TCP connection to the URL's host and closes it. `timeout` is for the name lookup and all addresses together.
pub fn connect(url: &str, timeout: Duration) -> Result<(), TransportError> {
    let until = Mono::now() + timeout;
    let uri: Uri = url.parse().map_err(|_| TransportError::Other)?;
    let limit = NextTimeout { after: timeout.into(), reason: Timeout::Resolve, ..NextTimeout::default() };
    let found = DefaultResolver::default().resolve(&uri, &Agent::config_builder().build(), limit);
    let addresses = found.map_err(|error| match error {
        Error::BadUri(_) => TransportError::Other,
        _ => TransportError::Dns,
    })?;
    any(&addresses, until, Mono::now, |address, limit| TcpStream::connect_timeout(&address, limit).map(drop))
}

/// Tries one address after the other. Each gets an even share of the remaining time, so that an unresponsive one leaves
/// time for the others.
fn any(
    addresses: &[SocketAddr],
    until: Mono,
    now: impl Fn() -> Mono,
    mut connect: impl FnMut(SocketAddr, Duration) -> io::Result<()>,
) -> Result<(), TransportError> {
    let mut cause = TransportError::Dns;
    for (address, left) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
        let share = (until - now()) / left;
        if share.is_zero() {
            return Err(TransportError::ConnectTimeout);
        }
        match connect(*address, share) {
            Ok(()) => return Ok(()),
            Err(e) => {
                cause = match e.kind() {
                    ErrorKind::ConnectionRefused => TransportError::Refused,
                    ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown => {
                        TransportError::NoRoute
                    }
                    ErrorKind::TimedOut | ErrorKind::WouldBlock => TransportError::ConnectTimeout,
                    _ => TransportError::Other,
                }
            }
        }
    }
    Err(cause)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_found_and_a_closed_port_or_unknown_name_classified() {
        let second = Duration::from_secs(1);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/secret", listener.local_addr().unwrap());
        assert_eq!(connect(&url, second), Ok(()));
        drop(listener);
        assert_eq!(connect(&url, second), Err(TransportError::Refused));
        assert_eq!(connect("https://nowhere.invalid/", second), Err(TransportError::Dns));
    }

    /// Mutant seen red: each address given the whole time.
    #[test]
    fn unresponsive_addresses_share_one_deadline_and_leave_time_for_the_others() {
        let addresses: Vec<SocketAddr> = (1..=8).map(|n| SocketAddr::from(([127, 0, 0, n], 9))).collect();
        let clock = std::cell::Cell::new(Mono(0));
        let silent = |_: SocketAddr, limit: Duration| {
            clock.set(clock.get() + limit);
            Err(io::Error::from(ErrorKind::TimedOut))
        };
        let until = Mono(0) + Duration::from_secs(15);
        assert_eq!(any(&addresses, until, || clock.get(), silent), Err(TransportError::ConnectTimeout));
        assert!(clock.get() <= until, "{:?}", clock.get());
        clock.set(Mono(0));
        let last = |address: SocketAddr, limit: Duration| {
            if address == addresses[7] { Ok(()) } else { silent(address, limit) }
        };
        assert_eq!(any(&addresses, until, || clock.get(), last), Ok(()));
        assert_eq!(
            any(&addresses, until, || until, silent),
            Err(TransportError::ConnectTimeout),
            "no time left"
        );
    }
}

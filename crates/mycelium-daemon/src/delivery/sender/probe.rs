//! Whether somebody listens at an endpoint, found out without sending it anything.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Agent, Error, Timeout};

use super::super::outcome::Fault;
use crate::clock::Mono;

/// Opens a TCP connection to the URL's host and closes it: looking up the name and trying all of its addresses take no longer
/// than `timeout` together.
pub fn connect(url: &str, timeout: Duration) -> Result<(), Fault> {
    let until = Mono::now() + timeout;
    let uri: Uri = url.parse().map_err(|_| Fault::Other)?;
    let limit = NextTimeout { after: timeout.into(), reason: Timeout::Resolve, ..NextTimeout::default() };
    let found = DefaultResolver::default().resolve(&uri, &Agent::config_builder().build(), limit);
    let addresses = found.map_err(|error| match error {
        Error::BadUri(_) => Fault::Other,
        _ => Fault::Dns,
    })?;
    any(&addresses, until, Mono::now, |address, limit| TcpStream::connect_timeout(&address, limit).map(drop))
}

/// The first address that answers. Each gets an even share of what is left, so that one that is silent does not take the
/// time of the others.
fn any(
    addresses: &[SocketAddr],
    until: Mono,
    now: impl Fn() -> Mono,
    mut connect: impl FnMut(SocketAddr, Duration) -> io::Result<()>,
) -> Result<(), Fault> {
    let mut fault = Fault::Dns;
    for (address, left) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
        let share = (until - now()) / left;
        if share.is_zero() {
            return Err(Fault::ConnectTimeout);
        }
        match connect(*address, share) {
            Ok(()) => return Ok(()),
            Err(e) => {
                fault = match e.kind() {
                    ErrorKind::ConnectionRefused => Fault::Refused,
                    ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown => {
                        Fault::NoRoute
                    }
                    ErrorKind::TimedOut | ErrorKind::WouldBlock => Fault::ConnectTimeout,
                    _ => Fault::Other,
                }
            }
        }
    }
    Err(fault)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_found_and_a_closed_port_or_unknown_name_named() {
        let second = Duration::from_secs(1);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/secret", listener.local_addr().unwrap());
        assert_eq!(connect(&url, second), Ok(()));
        drop(listener);
        assert_eq!(connect(&url, second), Err(Fault::Refused));
        assert_eq!(connect("https://nowhere.invalid/", second), Err(Fault::Dns));
    }

    /// Mutant seen red: each address given the whole time.
    #[test]
    fn silent_addresses_share_one_deadline_and_leave_time_for_the_one_that_answers() {
        let addresses: Vec<SocketAddr> = (1..=8).map(|n| SocketAddr::from(([127, 0, 0, n], 9))).collect();
        let clock = std::cell::Cell::new(Mono(0));
        let silent = |_: SocketAddr, limit: Duration| {
            clock.set(clock.get() + limit);
            Err(io::Error::from(ErrorKind::TimedOut))
        };
        let until = Mono(0) + Duration::from_secs(15);
        assert_eq!(any(&addresses, until, || clock.get(), silent), Err(Fault::ConnectTimeout));
        assert!(clock.get() <= until, "{:?}", clock.get());
        clock.set(Mono(0));
        let last = |address: SocketAddr, limit: Duration| {
            if address == addresses[7] { Ok(()) } else { silent(address, limit) }
        };
        assert_eq!(any(&addresses, until, || clock.get(), last), Ok(()));
        assert_eq!(any(&addresses, until, || until, silent), Err(Fault::ConnectTimeout), "no time left");
    }
}

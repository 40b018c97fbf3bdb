//! Whether somebody listens at an endpoint, found out without sending it anything.

use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use ureq::http::Uri;

use super::super::outcome::Fault;

/// Opens a TCP connection to the URL's host and closes it. Tries every address, each for at most `timeout`.
pub fn connect(url: &str, timeout: Duration) -> Result<(), Fault> {
    let uri: Uri = url.parse().map_err(|_| Fault::Other)?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    let addresses = (host, uri.port_u16().unwrap_or(default)).to_socket_addrs().map_err(|_| Fault::Dns)?;
    let mut fault = Fault::Dns;
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => return Ok(()),
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
}

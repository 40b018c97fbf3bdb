//! PURE. Which names and which origins a browser may reach the API by.

use core::net::IpAddr;

/// What requests may say in `Host`, and handshakes of web sockets in `Origin`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedNames {
    /// Host names, without port; empty for any.
    pub hosts: Vec<String>,
    /// Origins such as `https://dash.example.org`, or `*`, besides that of the daemon itself.
    pub origins: Vec<String>,
}

impl AllowedNames {
    /// Most entries of each list.
    pub const MAX: usize = 16;

    /// Whether a request with this `Host` is served. An address is no name that an attacker could point at this
    /// machine, so addresses and `localhost` are always allowed.
    pub fn admits_host(&self, host: Option<&[u8]>) -> bool {
        if self.hosts.is_empty() {
            return true;
        }
        let Some(name) = host.and_then(|host| std::str::from_utf8(host).ok()).map(without_port) else {
            return false;
        };
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let listed = |allowed: &String| allowed.eq_ignore_ascii_case(name);
        address.is_ok() || name.eq_ignore_ascii_case("localhost") || self.hosts.iter().any(listed)
    }

    /// Whether a page of this `Origin` may open a WebSocket. Programs other than browsers send none.
    pub fn admits_origin(&self, origin: Option<&[u8]>, host: Option<&[u8]>) -> bool {
        let Some(origin) = origin else { return true };
        let Ok(origin) = std::str::from_utf8(origin) else { return false };
        let own = origin.split_once("://").is_some_and(|(scheme, authority)| {
            matches!(scheme, "http" | "https")
                && host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_bytes()))
        });
        own || self.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hosts: &[&str], origins: &[&str]) -> AllowedNames {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        AllowedNames { hosts: owned(hosts), origins: owned(origins) }
    }

    #[test]
    fn a_name_is_served_if_it_is_listed_and_an_address_always() {
        let some = names(&["edge.local"], &[]);
        let rows = [
            ("edge.local", true, "listed"),
            ("EDGE.local:8600", true, "with a port, in capitals"),
            ("192.0.2.1:8600", true, "an address"),
            ("[2001:db8::1]:8600", true, "an IPv6 address"),
            ("[::1]", true, "without a port"),
            ("localhost:8600", true, "this machine"),
            ("rebound.example.org", false, "a name of somebody else"),
            ("edge.local.example.org", false, "a longer one"),
            ("", false, "no name"),
        ];
        for (host, admitted, why) in rows {
            assert_eq!(some.admits_host(Some(host.as_bytes())), admitted, "{why}: {host:?}");
            assert!(names(&[], &[]).admits_host(Some(host.as_bytes())), "no list: {host:?}");
        }
        assert!(!some.admits_host(None) && names(&[], &[]).admits_host(None));
    }

    #[test]
    fn a_page_of_another_origin_opens_no_socket_unless_it_is_listed() {
        let some = names(&[], &["https://dash.example.org"]);
        let rows = [
            (None, true, "no browser"),
            (Some("http://edge.local:8600"), true, "the page of the daemon"),
            (Some("https://EDGE.local:8600"), true, "behind a proxy with TLS"),
            (Some("https://dash.example.org"), true, "listed"),
            (Some("http://dash.example.org"), false, "another scheme"),
            (Some("http://edge.local"), false, "another port"),
            (Some("null"), false, "a file or a sandbox"),
            (Some("ftp://edge.local:8600"), false, "no page"),
        ];
        for (origin, admitted, why) in rows {
            let origin = origin.map(str::as_bytes);
            assert_eq!(some.admits_origin(origin, Some(b"edge.local:8600")), admitted, "{why}");
            assert!(names(&[], &["*"]).admits_origin(origin, Some(b"edge.local:8600")), "any: {why}");
        }
        assert!(!some.admits_origin(Some(b"http://a"), None), "HTTP/1.0 without Host");
    }
}

//! The one place that says how connections are made and how long a request may take.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use ureq::Agent;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};

use super::connector::{ConnectionTracker, TlsConnector, TrackedConnector, TrackedResolver};

/// Largest head of a response, bytes.
const MAX_RESPONSE_HEAD_BYTES: usize = 16 << 10;
/// Connections idle longer than this are not used again. Longer than a minute, so that one window per minute
/// finds its connection still open.
const MAX_IDLE: Duration = Duration::from_secs(90);
/// Output buffer of one connection.
const OUTPUT_BUFFER_BYTES: usize = 16 << 10;
const USER_AGENT: &str = concat!("myceliumd/", env!("CARGO_PKG_VERSION"));

/// An agent with at most one idle connection. It follows no redirects and takes no proxy from the environment: the
/// configuration alone decides where data goes. Without `tls`, only `http` URLs can be requested.
pub(super) fn agent(
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    tracker: &Arc<ConnectionTracker>,
) -> Agent {
    let connector =
        ().chain(TrackedConnector { tracker: Arc::clone(tracker), inner: TcpConnector::default() })
            .chain(TlsConnector { tracker: Arc::clone(tracker), config: tls });
    let resolver = TrackedResolver { tracker: Arc::clone(tracker), inner: DefaultResolver::default() };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(USER_AGENT)
        .accept("")
        .accept_encoding("")
        .timeout_global(Some(timeout))
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .max_idle_age(MAX_IDLE)
        .max_response_header_size(MAX_RESPONSE_HEAD_BYTES)
        .input_buffer_size(MAX_RESPONSE_HEAD_BYTES)
        .output_buffer_size(OUTPUT_BUFFER_BYTES)
        .build();
    Agent::with_parts(config, connector, resolver)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The child is this test itself, with a proxy in its environment. Seen red without `proxy(None)`.
    #[test]
    fn no_proxy_is_taken_from_the_environment() {
        if std::env::var_os("ALL_PROXY").is_some_and(|proxy| proxy == "http://127.0.0.1:9") {
            assert!(agent(None, Duration::from_secs(1), &Arc::default()).config().proxy().is_none());
            return;
        }
        let name = "net::agent::tests::no_proxy_is_taken_from_the_environment";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env("ALL_PROXY", "http://127.0.0.1:9")
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    }
}

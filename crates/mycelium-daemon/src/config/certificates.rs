//! Files with certificates and keys, tried before anything starts.

use super::Config;
use crate::api::{TlsAcceptor, TlsFiles};
use crate::connectors::Source;
use crate::delivery::sender::Sender;
use crate::delivery::sender::fetch::Fetcher;

/// What `run` would stumble over when it reads the certificates that the configuration names.
pub fn unusable_certificates(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(TlsFiles { cert_file, key_file }) = &config.api.tls
        && let Err(error) = TlsAcceptor::load(cert_file, key_file)
    {
        found.push(format!("api.tls: {error}"));
    }
    for webhook in &config.webhooks {
        if let Err(error) = Sender::new(webhook) {
            found.push(format!("webhook {}: {error}", webhook.name));
        }
    }
    for connector in &config.connectors {
        if let Source::Http(endpoint) = &connector.source
            && let Err(error) = Fetcher::new(endpoint)
        {
            found.push(format!("connector {}: {error}", connector.name));
        }
    }
    found
}

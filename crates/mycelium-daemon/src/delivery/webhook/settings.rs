//! Settings of one webhook, valid by construction.

use std::fmt;
use std::path::PathBuf;

use mycelium_core::range::OutOfRange;

use super::signature::Secret;
use crate::delivery::settings::{DeliverySettings, RawDelivery};
use crate::net::{HttpTarget, RangeChecks, RawHttpTarget};

/// One webhook.
#[derive(Clone, PartialEq)]
pub struct Webhook {
    pub delivery: DeliverySettings,
    pub target: HttpTarget,
    pub secret: Option<Secret>,
    /// Signs too while receivers change to the new secret.
    pub previous_secret: Option<Secret>,
    pub gzip: bool,
}

/// One `[[webhooks]]` as it was written, files already read.
#[derive(Clone)]
pub struct RawWebhook {
    pub delivery: RawDelivery,
    pub url: String,
    pub secret: Option<String>,
    pub previous_secret: Option<String>,
    pub headers: Vec<(String, String)>,
    pub timeout_ms: i64,
    pub gzip: bool,
    pub ca_file: Option<PathBuf>,
}

impl RawWebhook {
    fn target(&self) -> RawHttpTarget {
        RawHttpTarget {
            url: self.url.clone(),
            headers: self.headers.clone(),
            timeout_ms: self.timeout_ms,
            ca_file: self.ca_file.clone(),
        }
    }
}

impl Default for RawWebhook {
    fn default() -> Self {
        Self {
            delivery: RawDelivery::default(),
            url: String::new(),
            secret: None,
            previous_secret: None,
            headers: Vec::new(),
            timeout_ms: RawHttpTarget::DEFAULT_TIMEOUT_MS,
            gzip: false,
            ca_file: None,
        }
    }
}

impl Webhook {
    /// The webhook, or every violation. `prefix` names its table, as in `webhooks[0]`.
    pub fn checked(prefix: &str, raw: &RawWebhook) -> Result<Self, Vec<OutOfRange>> {
        let mut checks = RangeChecks::new(prefix);
        let delivery = DeliverySettings::from_raw(&raw.delivery, &mut checks);
        let target = HttpTarget::from_raw(&raw.target(), &mut checks);
        if raw.previous_secret.is_some() && raw.secret.is_none() {
            checks.reject("previous_secret", "set", "set only together with `secret`");
        }
        let webhook = Self {
            delivery,
            target,
            secret: secret(&mut checks, "secret", raw.secret.as_deref()),
            previous_secret: secret(&mut checks, "previous_secret", raw.previous_secret.as_deref()),
            gzip: raw.gzip,
        };
        checks.finish(webhook)
    }
}

fn secret(checks: &mut RangeChecks<'_>, key: &str, text: Option<&str>) -> Option<Secret> {
    let parsed = Secret::parse(&checks.path(key), text?);
    checks.keep(parsed)
}

/// Prints neither secrets nor header values, nor path and query of the URL.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("delivery", &self.delivery)
            .field("target", &self.target)
            .field("signed", &self.secret.is_some())
            .field("gzip", &self.gzip)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

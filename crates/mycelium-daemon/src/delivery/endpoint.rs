//! The kinds of endpoints in one type.

use std::time::Duration;

use super::files::{self, FileEndpoint, FilesKind};
use super::kind::EndpointKind;
use super::settings::DeliverySettings;
use super::webhook::{Webhook, WebhookKind};
use crate::net::tls::CaFileError;

/// One configured endpoint of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Endpoint {
    Webhook(Webhook),
    Files(FileEndpoint),
}

impl Endpoint {
    /// As in the configuration, the API and log lines.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Files(_) => "files",
        }
    }

    pub fn delivery(&self) -> &DeliverySettings {
        match self {
            Self::Webhook(webhook) => &webhook.delivery,
            Self::Files(files) => &files.delivery,
        }
    }

    pub fn name(&self) -> &str {
        &self.delivery().name
    }

    /// Kind and name, as log lines begin.
    pub fn label(&self) -> String {
        format!("{} {}", self.kind(), self.name())
    }

    /// Where it delivers to, without anything secret: scheme, host and port, or a path.
    pub fn destination(&self) -> String {
        match self {
            Self::Webhook(webhook) => webhook.target.origin(),
            Self::Files(files) => files.path.directory().display().to_string(),
        }
    }

    /// The address that decides whether an endpoint is still the same receiver; may contain secrets.
    pub(super) fn address(&self) -> &str {
        match self {
            Self::Webhook(webhook) => &webhook.target.url,
            Self::Files(files) => files.path.text(),
        }
    }

    /// Longest call of its kind.
    pub fn timeout(&self) -> Duration {
        match self {
            // An attempt and its one repetition on a new connection.
            Self::Webhook(webhook) => webhook.target.timeout * 2,
            Self::Files(_) => files::SYNC_TIMEOUT,
        }
    }

    /// Upper limit of its buffers in bytes.
    pub fn memory_bytes(&self) -> usize {
        let batch = self.delivery().batch_bytes;
        match self {
            Self::Webhook(webhook) => (1 + usize::from(webhook.gzip)) * batch,
            Self::Files(_) => batch + files::BUFFER_BYTES,
        }
    }

    /// Whether the kind reads files when it is opened, whose content may have changed since.
    pub(super) fn reads_files(&self) -> bool {
        match self {
            Self::Webhook(webhook) => webhook.target.ca_file.is_some(),
            // Which mount is meant.
            Self::Files(_) => true,
        }
    }

    /// Reads the files it needs; opens no connection.
    pub fn open(&self) -> Result<Box<dyn EndpointKind>, CaFileError> {
        match self {
            Self::Webhook(webhook) => Ok(Box::new(WebhookKind::new(webhook)?)),
            Self::Files(files) => Ok(Box::new(FilesKind::new(files))),
        }
    }
}

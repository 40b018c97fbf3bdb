//! The endpoint kind `webhook`: a batch is one `CloudEvents` body, signed and posted by HTTP, taken whole or not at all.

pub mod sender;
mod settings;
pub mod signature;

pub use settings::{RawWebhook, Webhook};
pub use signature::Secret;

use self::sender::Sender;
use self::signature::message_id;
use super::cloudevents::Events;
use super::kind::{EndpointKind, SendContext, SendReply};
use super::source::Record;
use crate::net::abort::AbortHandle;
use crate::net::client::ConnectionCounts;
use crate::net::probe;
use crate::net::target::HttpTarget;
use crate::net::tls::CaFileError;

pub(super) struct WebhookKind {
    sender: Sender,
    target: HttpTarget,
    events: Events,
    body: Vec<u8>,
}

impl WebhookKind {
    pub(super) fn new(webhook: &Webhook) -> Result<Self, CaFileError> {
        Ok(Self {
            sender: Sender::new(webhook)?,
            target: webhook.target.clone(),
            events: Events::default(),
            body: Vec::new(),
        })
    }
}

impl EndpointKind for WebhookKind {
    fn fit(&mut self, records: &[Record], max_bytes: usize) -> usize {
        self.events.clear();
        records.iter().take_while(|record| self.events.push(record, max_bytes)).count()
    }

    fn send(&mut self, records: &[Record], context: SendContext<'_>) -> SendReply {
        self.events.body(records.len(), &mut self.body);
        let id = message_id(&self.body);
        let reply = self.sender.send(&id, &self.body, context.trace, context.now);
        SendReply::whole(records.len(), reply)
    }

    fn probe(&mut self) -> Result<(), String> {
        probe::connect(&self.target.url, self.target.timeout).map_err(|error| error.to_string())
    }

    fn abort_handle(&self) -> AbortHandle {
        self.sender.abort_handle()
    }

    /// `webhook-id` names the bytes of a body.
    fn freezes(&self) -> bool {
        true
    }

    fn connections(&self) -> ConnectionCounts {
        self.sender.connections()
    }
}

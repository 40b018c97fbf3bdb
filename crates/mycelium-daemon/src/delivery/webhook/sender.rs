//! Sends one body to one webhook.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::settings::Webhook;
use super::signature::Signer;
use crate::clock::{Mono, Stamp, Wall};
use crate::delivery::cloudevents::CONTENT_TYPE;
use crate::net::abort::AbortHandle;
use crate::net::client::{ConnectionCounts, HttpClient, HttpReply, read_body, with_headers};
use crate::net::tls::CaFileError;
use crate::net::trace::TraceHeaders;

/// Bytes of a response that are read so that the connection can be used again; a longer one costs the connection.
const MAX_RESPONSE_BYTES: u64 = 64 << 10;

pub struct Sender {
    client: HttpClient,
    url: String,
    headers: Vec<(String, String)>,
    signer: Option<Signer>,
    gzip: bool,
    /// The receiver's clock and when it was read; replaces the own clock until that is synchronized.
    receiver_clock: Option<(Wall, Mono)>,
    compressed: Vec<u8>,
}

impl Sender {
    /// Reads `ca_file`; opens no connection.
    pub fn new(webhook: &Webhook) -> Result<Self, CaFileError> {
        Ok(Self {
            client: HttpClient::new(&webhook.target)?,
            url: webhook.target.url.clone(),
            headers: webhook.target.headers.clone(),
            signer: Signer::new(webhook.secret.as_ref(), webhook.previous_secret.as_ref()),
            gzip: webhook.gzip,
            receiver_clock: None,
            compressed: Vec::new(),
        })
    }

    pub fn abort_handle(&self) -> AbortHandle {
        self.client.abort_handle()
    }

    pub fn connections(&self) -> ConnectionCounts {
        self.client.connections()
    }

    /// One attempt to deliver `body`. The receiver deduplicates by `id`, so a repetition is harmless.
    pub fn send(&mut self, id: &str, body: &[u8], trace: &TraceHeaders, now: Stamp) -> HttpReply {
        let timestamp = self.timestamp(now);
        let Self { client, url, headers, signer, gzip, compressed, .. } = self;
        let bytes = if *gzip {
            compress(body, compressed);
            &compressed[..]
        } else {
            body
        };
        let signature = signer.as_ref().map(|signer| signer.sign(id, timestamp, bytes));
        let reply = client.request(&mut |agent| {
            let request = agent.post(&**url).content_type(CONTENT_TYPE);
            let mut request = with_headers(request, headers, trace)
                .header("webhook-id", id)
                .header("webhook-timestamp", timestamp.to_string());
            if let Some(signature) = &signature {
                request = request.header("webhook-signature", signature);
            }
            if *gzip {
                request = request.header("content-encoding", "gzip");
            }
            read_body(request.send(bytes)?, MAX_RESPONSE_BYTES, &mut io::sink())
        });
        if let Some(date) = reply.date {
            self.receiver_clock = Some((date, Mono::now()));
        }
        reply
    }

    /// Seconds for `webhook-timestamp`. Receivers reject a timestamp that is minutes off, and a gateway without a
    /// battery starts in 1970: until its clock is synchronized, the `Date` of the receiver is used.
    fn timestamp(&self, now: Stamp) -> i64 {
        let ms = match self.receiver_clock {
            Some((wall, at)) if !now.synced => wall.0 + (now.mono - at).as_millis() as i64,
            _ => now.wall.0,
        };
        ms.div_euclid(1000)
    }
}

/// The same body gives the same bytes: the gzip header has neither time nor name.
fn compress(body: &[u8], into: &mut Vec<u8>) {
    into.clear();
    let mut encoder = GzEncoder::new(into, Compression::default());
    let written = encoder.write_all(body).and_then(|()| encoder.finish().map(drop));
    written.expect("writing to a Vec cannot fail");
}

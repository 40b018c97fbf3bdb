//! GET requests to one target.

use super::abort::AbortHandle;
use super::client::{ConnectionCounts, HttpClient, HttpReply, read_body, with_headers};
use super::outcome::RequestOutcome;
use super::target::HttpTarget;
use super::tls::CaFileError;
use super::trace::TraceHeaders;

pub struct Fetcher {
    client: HttpClient,
    url: String,
    headers: Vec<(String, String)>,
}

impl Fetcher {
    /// Reads `ca_file`; opens no connection.
    pub fn new(target: &HttpTarget) -> Result<Self, CaFileError> {
        let mut headers = target.headers.clone();
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            headers.push(("accept".to_owned(), "application/json".to_owned()));
        }
        Ok(Self { client: HttpClient::new(target)?, url: target.url.clone(), headers })
    }

    pub fn abort_handle(&self) -> AbortHandle {
        self.client.abort_handle()
    }

    pub fn connections(&self) -> ConnectionCounts {
        self.client.connections()
    }

    /// Reads one response of at most `limit` bytes into `into`, which is complete only after a success.
    pub fn get(&mut self, limit: usize, into: &mut Vec<u8>, trace: &TraceHeaders) -> HttpReply {
        let Self { client, url, headers } = self;
        let mut reply = client.request(&mut |agent| {
            into.clear();
            let response = with_headers(agent.get(&**url), headers, trace).call()?;
            read_body(response, limit as u64 + 1, into)
        });
        if into.len() > limit {
            reply.outcome = RequestOutcome::Failed { retry_after: None };
            reply.detail = format!("the response is longer than {limit} bytes: ask for less");
        }
        reply
    }
}

//! PURE. `[[webhooks]]`: from checked values to the endpoints of delivery.

use std::path::PathBuf;

use super::endpoints::{Endpoints, raw_delivery};
use super::keys;
use super::lookup::ListEntry;
use super::problem::{ConfigProblem, Problems};
use super::raw::Item;
use super::secrets::SecretSource;
use crate::delivery::{Endpoint, RawWebhook, Webhook};

pub(super) fn build(items: &[Item], secrets: SecretSource<'_>, endpoints: &mut Endpoints<'_>) {
    for entry in ListEntry::all(items) {
        let raw = raw(entry, secrets, endpoints.problems);
        let checked = Webhook::checked(&format!("webhooks[{}]", entry.index), &raw);
        endpoints.add(entry, keys::WEBHOOKS, checked.map(Endpoint::Webhook));
    }
}

/// With placeholders for missing values, which are problems already, so that all other values are checked too.
fn raw(entry: ListEntry<'_>, secrets: SecretSource<'_>, problems: &mut Problems) -> RawWebhook {
    let url = entry.required(keys::WEBHOOKS_URL, problems);
    let inline = entry.get(keys::WEBHOOKS_SECRET);
    if inline.is_some() && entry.get(keys::WEBHOOKS_SECRET_FILE).is_some() {
        let text = format!(
            "`webhooks[{}]` has `secret` and `secret_file`; it must have at most one of them",
            entry.index
        );
        problems.push(ConfigProblem::new(&entry.item.origin, text));
    }
    let mut secret = |key| entry.secret(key, "a file with one signing secret", secrets, problems);
    let in_file = secret(keys::WEBHOOKS_SECRET_FILE);
    let previous_secret = secret(keys::WEBHOOKS_PREVIOUS_SECRET_FILE);
    RawWebhook {
        delivery: raw_delivery(entry, keys::WEBHOOKS, problems),
        url: url.unwrap_or_else(|| "http://localhost/".to_owned()),
        secret: inline.or(in_file),
        previous_secret,
        headers: entry.get(keys::WEBHOOKS_HEADERS).unwrap_or_default(),
        timeout_ms: entry.get(keys::WEBHOOKS_TIMEOUT_MS),
        gzip: entry.get(keys::WEBHOOKS_GZIP),
        ca_file: entry.get(keys::WEBHOOKS_CA_FILE).map(PathBuf::from),
    }
}

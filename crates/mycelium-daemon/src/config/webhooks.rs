//! PURE. `[[webhooks]]`: from checked values to the endpoints of delivery.

use std::path::PathBuf;

use super::keys;
use super::lookup::ListEntry;
use super::problem::{ConfigProblem, Origin, Problems};
use super::raw::Item;
use super::secrets::SecretSource;
use crate::delivery::{RawWebhook, Webhook};
use mycelium_core::range::OutOfRange;

pub(super) fn build(items: &[Item], secrets: SecretSource<'_>, problems: &mut Problems) -> Vec<Webhook> {
    let mut endpoints: Vec<Webhook> = Vec::new();
    for entry in ListEntry::all(items) {
        let prefix = format!("webhooks[{}]", entry.index);
        match Webhook::checked(&prefix, &raw(entry, secrets, problems)) {
            Ok(endpoint) if endpoints.iter().any(|other| other.name == endpoint.name) => {
                let found = format!("{:?}", endpoint.name);
                entry.reject(keys::WEBHOOKS_NAME, found, "a name that no other webhook has", problems);
            }
            Ok(endpoint) => endpoints.push(endpoint),
            Err(rejected) => {
                for why in rejected {
                    let origin = origin(&why, &prefix, entry.item);
                    problems.push(ConfigProblem::rejected(&origin, &why.key, &why.value, &why.accepted));
                }
            }
        }
    }
    endpoints
}

/// Where the rejected key is set: its value may be in a file, or in a table.
fn origin(why: &OutOfRange, prefix: &str, item: &Item) -> Origin {
    let name = why.key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).unwrap_or(&why.key);
    let name = name.split('.').next().unwrap_or(name);
    let path = |suffix: &str| format!("webhooks[].{name}{suffix}");
    // A default of `retry_max_ms` is too small for the `retry_base_ms` that is set.
    let paths = [path(""), path("_file"), keys::WEBHOOKS_RETRY_BASE_MS.path().to_owned()];
    let located = paths.iter().find_map(|path| item.values.get(path.as_str()));
    located.map_or(&item.origin, |located| &located.origin).clone()
}

/// With placeholders for missing values, which are problems already, so that all other values are checked too.
fn raw(entry: ListEntry<'_>, secrets: SecretSource<'_>, problems: &mut Problems) -> RawWebhook {
    let name = entry.required(keys::WEBHOOKS_NAME, problems);
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
        name: name.unwrap_or_else(|| format!("webhook-{}", entry.index)),
        url: url.unwrap_or_else(|| "http://localhost/".to_owned()),
        secret: inline.or(in_file),
        previous_secret,
        headers: entry.get(keys::WEBHOOKS_HEADERS).unwrap_or_default(),
        batch_records: entry.get(keys::WEBHOOKS_BATCH_RECORDS),
        batch_bytes: entry.get(keys::WEBHOOKS_BATCH_BYTES),
        linger_ms: entry.get(keys::WEBHOOKS_LINGER_MS),
        timeout_ms: entry.get(keys::WEBHOOKS_TIMEOUT_MS),
        retry_base_ms: entry.get(keys::WEBHOOKS_RETRY_BASE_MS),
        retry_max_ms: entry.get(keys::WEBHOOKS_RETRY_MAX_MS),
        retry_after_max_ms: entry.get(keys::WEBHOOKS_RETRY_AFTER_MAX_MS),
        spread_ms: entry.get(keys::WEBHOOKS_SPREAD_MS),
        gzip: entry.get(keys::WEBHOOKS_GZIP),
        ca_file: entry.get(keys::WEBHOOKS_CA_FILE).map(PathBuf::from),
    }
}

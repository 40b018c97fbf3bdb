//! `[[webhooks]]`: from the file to what delivery has checked.

use std::path::PathBuf;

use super::build::Look;
use super::problem::{Place, Problem, Problems};
use super::read::Item;
use super::secrets::Vault;
use super::value::Value;
use crate::delivery::{Endpoint, RawEndpoint};
use mycelium_core::range::OutOfRange;

pub(super) fn build(items: &[Item], vault: Vault<'_>, problems: &mut Problems) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for (k, item) in items.iter().enumerate() {
        let raw = Entry { k, item }.raw(vault, problems);
        let prefix = format!("webhooks[{k}]");
        match Endpoint::checked(&prefix, &raw) {
            Ok(endpoint) if endpoints.iter().any(|other| other.name == endpoint.name) => {
                let at = Look(&item.values).place("webhooks[].name");
                let found = format!("{:?}", endpoint.name);
                let accepted = "a name that no other webhook has";
                problems.push(Problem::refused(&at, &format!("{prefix}.name"), found, accepted));
            }
            Ok(endpoint) => endpoints.push(endpoint),
            Err(refused) => {
                for why in refused {
                    let at = place(&why, &prefix, item);
                    problems.push(Problem::refused(&at, &why.key, &why.value, &why.accepted));
                }
            }
        }
    }
    endpoints
}

/// Where the key that was refused stands: it may have been written as a file or inside a table.
fn place(why: &OutOfRange, prefix: &str, item: &Item) -> Place {
    let name = why.key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).unwrap_or(&why.key);
    let name = name.split('.').next().unwrap_or(name);
    let path = |suffix: &str| format!("webhooks[].{name}{suffix}");
    let said = [path(""), path("_file"), "webhooks[].retry_base_ms".to_owned()];
    let found = said.iter().find_map(|path| item.values.get(path.as_str()));
    found.map_or_else(|| item.place.clone(), |found| found.place.clone())
}

/// One entry and its number.
#[derive(Clone, Copy)]
struct Entry<'a> {
    k: usize,
    item: &'a Item,
}

impl Entry<'_> {
    /// With stand-ins for what is missing, so that everything else is checked too; what is missing has become
    /// a problem already.
    fn raw(self, vault: Vault<'_>, problems: &mut Problems) -> RawEndpoint {
        let look = Look(&self.item.values);
        let (name, url) =
            (self.required("webhooks[].name", problems), self.required("webhooks[].url", problems));
        let inline = look.text("webhooks[].secret");
        if inline.is_some() && look.text("webhooks[].secret_file").is_some() {
            let text = format!(
                "`webhooks[{}]` has `secret` and `secret_file`; it must have at most one of them",
                self.k
            );
            problems.push(Problem::new(&self.item.place, text));
        }
        let in_file = self.file("webhooks[].secret_file", vault, problems);
        let previous_secret = self.file("webhooks[].previous_secret_file", vault, problems);
        let count = |path| look.integer(path) as i64;
        RawEndpoint {
            name: name.unwrap_or_else(|| format!("webhook-{}", self.k)),
            url: url.unwrap_or_else(|| "http://localhost/".to_owned()),
            secret: inline.or(in_file),
            previous_secret,
            headers: match look.value("webhooks[].headers") {
                Some(Value::Texts(headers)) => headers,
                _ => Vec::new(),
            },
            batch_records: count("webhooks[].batch_records"),
            batch_bytes: count("webhooks[].batch_bytes"),
            linger_ms: count("webhooks[].linger_ms"),
            timeout_ms: count("webhooks[].timeout_ms"),
            retry_base_ms: count("webhooks[].retry_base_ms"),
            retry_max_ms: count("webhooks[].retry_max_ms"),
            spread_ms: count("webhooks[].spread_ms"),
            gzip: look.flag("webhooks[].gzip"),
            ca_file: look.text("webhooks[].ca_file").map(PathBuf::from),
        }
    }

    fn required(self, path: &'static str, problems: &mut Problems) -> Option<String> {
        let text = Look(&self.item.values).text(path);
        if text.is_none() && !self.item.refused.contains(&path) {
            let path = path.replace("[]", &format!("[{}]", self.k));
            let text = format!("`{path}` is missing: every webhook needs one");
            problems.push(Problem::new(&self.item.place, text));
        }
        text
    }

    /// The text of a secret file; a bad file is reported without what it holds.
    fn file(self, path: &'static str, vault: Vault<'_>, problems: &mut Problems) -> Option<String> {
        let look = Look(&self.item.values);
        let file = look.text(path)?;
        match vault.text(&file) {
            Ok(text) => Some(text),
            Err(why) => {
                let shown = path.replace("[]", &format!("[{}]", self.k));
                let found = format!("{file:?}, which {why}");
                problems.push(Problem::refused(
                    &look.place(path),
                    &shown,
                    found,
                    "a file with one signing secret",
                ));
                None
            }
        }
    }
}

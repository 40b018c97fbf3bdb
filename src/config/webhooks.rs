//! `[[webhooks]]`: endpoints with their secrets.

use std::path::PathBuf;

use base64::Engine;

use super::build::{Look, order};
use super::problem::{Problem, Problems};
use super::read::Item;
use super::secrets::Vault;
use super::value::Value;
use crate::delivery::{Endpoint, Secret};

pub(super) fn build(items: &[Item], vault: Vault<'_>, problems: &mut Problems) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for (k, item) in items.iter().enumerate() {
        let Some(endpoint) = endpoint(k, item, vault, problems) else { continue };
        if endpoints.iter().any(|other| other.name == endpoint.name) {
            let at = Look(&item.values).place("webhooks[].name");
            let found = format!("{:?}", endpoint.name);
            let accepted = "a name that no other webhook has";
            problems.push(Problem::refused(&at, &format!("webhooks[{k}].name"), found, accepted));
        }
        endpoints.push(endpoint);
    }
    endpoints
}

fn endpoint(k: usize, item: &Item, vault: Vault<'_>, problems: &mut Problems) -> Option<Endpoint> {
    let look = Look(&item.values);
    let mut required = |path: &'static str| {
        let text = look.text(path);
        if text.is_none() {
            let path = path.replace("[]", &format!("[{k}]"));
            problems.push(Problem::new(&item.place, format!("`{path}` is missing: every webhook needs one")));
        }
        text
    };
    let (name, url) = (required("webhooks[].name"), required("webhooks[].url"));
    order(look, problems, ["webhooks[].retry_base_ms", "webhooks[].retry_max_ms"]);
    if look.text("webhooks[].secret").is_some() && look.text("webhooks[].secret_file").is_some() {
        let text =
            format!("`webhooks[{k}]` has `secret` and `secret_file`; it must have at most one of them");
        problems.push(Problem::new(&item.place, text));
    }
    let mut signing = |path| secret(k, path, look, vault, problems);
    let inline = signing("webhooks[].secret");
    let from_file = signing("webhooks[].secret_file");
    let previous_secret = signing("webhooks[].previous_secret_file");
    Some(Endpoint {
        name: name?,
        url: url?,
        secret: inline.or(from_file),
        previous_secret,
        headers: match look.value("webhooks[].headers") {
            Some(Value::Texts(headers)) => headers,
            _ => Vec::new(),
        },
        batch_records: look.integer("webhooks[].batch_records") as usize,
        batch_bytes: look.integer("webhooks[].batch_bytes") as usize,
        linger: look.millis("webhooks[].linger_ms"),
        timeout: look.millis("webhooks[].timeout_ms"),
        retry_base: look.millis("webhooks[].retry_base_ms"),
        retry_max: look.millis("webhooks[].retry_max_ms"),
        spread: look.millis("webhooks[].spread_ms"),
        gzip: look.flag("webhooks[].gzip"),
        ca_file: look.text("webhooks[].ca_file").map(PathBuf::from),
    })
}

/// A signing secret given in place or by file; a bad one is reported without its text.
fn secret(
    k: usize,
    path: &'static str,
    look: Look<'_>,
    vault: Vault<'_>,
    problems: &mut Problems,
) -> Option<Secret> {
    let said = look.text(path)?;
    let shown = path.replace("[]", &format!("[{k}]"));
    let at = look.place(path);
    let text = if path.ends_with("_file") {
        match vault.text(&said) {
            Ok(text) => text,
            Err(why) => {
                let found = format!("{said:?}, which {why}");
                problems.push(Problem::refused(&at, &shown, found, "a file with one signing secret"));
                return None;
            }
        }
    } else {
        said
    };
    let secret = parse_secret(&text);
    if secret.is_none() {
        let accepted = "whsec_ and 24 to 64 bytes in base64";
        problems.push(Problem::refused(
            &at,
            &shown,
            "a secret that is not shown and cannot be used",
            accepted,
        ));
    }
    secret
}

/// `whsec_` and base64 of 24 to 64 bytes, as Standard Webhooks 1.0.0 writes its symmetric secrets.
fn parse_secret(text: &str) -> Option<Secret> {
    let body = text.strip_prefix("whsec_")?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(body).ok()?;
    (24..=64).contains(&bytes.len()).then_some(Secret(bytes))
}

//! PURE. `[api]` and `[[api.keys]]`: from checked values to the settings of the HTTP API.

use std::path::PathBuf;

use super::keys;
use super::lookup::{ListEntry, Lookup};
use super::problem::{ConfigProblem, Origin, Problems};
use super::raw::Item;
use super::secrets::SecretSource;
use crate::api::{AllowedNames, ApiKey, Rate, Scope, Settings, TlsFiles, is_key};
use crate::formats::hex::{digest_from_hex, sha256};

/// Name of the credential, and of the file in the state directory, that holds an admin key without any configuration.
pub const API_KEY_FILE: &str = "api.key";

pub(super) fn settings(lookup: Lookup<'_>, secrets: SecretSource<'_>, problems: &mut Problems) -> Settings {
    let max_connections = lookup.get(keys::API_MAX_CONNECTIONS);
    let max_per_ip = lookup.get(keys::API_MAX_PER_IP);
    // Only a value that was set is rejected: the default is lowered to `max_connections`.
    if max_per_ip > max_connections && lookup.is_set(keys::API_MAX_PER_IP) {
        let accepted = format!("at most `{}`, which is {max_connections}", keys::API_MAX_CONNECTIONS.path());
        let origin = lookup.origin(keys::API_MAX_PER_IP);
        problems.push(ConfigProblem::rejected(&origin, keys::API_MAX_PER_IP.path(), max_per_ip, accepted));
    }
    Settings {
        listen: lookup.get(keys::API_LISTEN),
        max_connections,
        max_per_ip: max_per_ip.min(max_connections),
        metrics_public: lookup.get(keys::API_METRICS_PUBLIC),
        tls: tls(lookup, secrets, problems),
        names: AllowedNames {
            hosts: lookup.get(keys::API_ALLOWED_HOSTS).unwrap_or_default(),
            origins: lookup.get(keys::API_ALLOWED_ORIGINS).unwrap_or_default(),
        },
        mask_addresses: lookup.get(keys::API_MASK_ADDRESSES),
        unix_socket: lookup.get(keys::API_UNIX_SOCKET).map(PathBuf::from),
        unix_trusted: lookup.get(keys::API_UNIX_TRUSTED),
    }
}

pub(super) fn rate(lookup: Lookup<'_>) -> Rate {
    Rate {
        per_second: lookup.get(keys::API_RATE_PER_SECOND),
        burst: lookup.get(keys::API_RATE_BURST),
        unauthenticated_per_second: lookup.get(keys::API_RATE_UNAUTHENTICATED_PER_SECOND),
        unauthenticated_burst: lookup.get(keys::API_RATE_UNAUTHENTICATED_BURST),
    }
}

/// Both files or none.
fn tls(lookup: Lookup<'_>, secrets: SecretSource<'_>, problems: &mut Problems) -> Option<TlsFiles> {
    let (cert, key) = (keys::API_TLS_CERT_FILE, keys::API_TLS_KEY_FILE);
    let client_ca = keys::API_TLS_CLIENT_CA_FILE;
    let client_ca_file = lookup.get(client_ca).map(|file| secrets.path(&file));
    let (set, missing) = match (lookup.get(cert), lookup.get(key)) {
        (Some(cert), Some(key)) => {
            let (cert_file, key_file) = (secrets.path(&cert), secrets.path(&key));
            return Some(TlsFiles { cert_file, key_file, client_ca_file });
        }
        (None, None) if client_ca_file.is_none() => return None,
        (None, None) => (client_ca, cert),
        (Some(_), None) => (cert, key),
        (None, Some(_)) => (key, cert),
    };
    let text = format!("`{}` is set and `{}` is not: TLS needs it", set.path(), missing.path());
    problems.push(ConfigProblem::new(&lookup.origin(set), text));
    None
}

/// Rejects a listener that other machines can reach, unless it has TLS and keys, or `api.public` says so: clients would
/// send keys in the clear, or have none, as no client has the key that the first start creates.
pub(super) fn check_listen_exposure(lookup: Lookup<'_>, api_keys: &[ApiKey], problems: &mut Problems) {
    let listen = lookup.get(keys::API_LISTEN);
    if listen.ip().to_canonical().is_loopback() || lookup.get(keys::API_PUBLIC) {
        return;
    }
    let has_tls = lookup.is_set(keys::API_TLS_CERT_FILE) && lookup.is_set(keys::API_TLS_KEY_FILE);
    let mut lacks = Vec::new();
    if !has_tls {
        lacks.push("without [api.tls] keys travel in the clear");
    }
    if api_keys.is_empty() {
        lacks.push("no [[api.keys]] is configured");
    }
    if lacks.is_empty() {
        return;
    }
    let accepted = format!(
        "an address of this machine only, such as 127.0.0.1:{}, because {}: configure that, put a proxy with TLS in \
         front, or set `{} = true`",
        listen.port(),
        lacks.join(" and "),
        keys::API_PUBLIC.path(),
    );
    let origin = lookup.origin(keys::API_LISTEN);
    problems.push(ConfigProblem::rejected(&origin, keys::API_LISTEN.path(), listen, accepted));
}

pub(super) fn api_keys(items: &[Item], secrets: SecretSource<'_>, problems: &mut Problems) -> Vec<ApiKey> {
    let mut found: Vec<ApiKey> = Vec::new();
    match secrets.credential(API_KEY_FILE) {
        Ok(None) => {}
        Ok(Some(text)) if !is_key(&text) => problems.push(ConfigProblem::new(
            &Origin::Variable("CREDENTIALS_DIRECTORY".to_owned()),
            format!("the credential {API_KEY_FILE} is no key: make one with `myceliumd key new`"),
        )),
        Ok(Some(text)) => found.push(ApiKey {
            name: "credential".to_owned(),
            scope: Scope::Admin,
            sha256: sha256(text.as_bytes()),
        }),
        Err(why) => problems.push(ConfigProblem::new(
            &Origin::Variable("CREDENTIALS_DIRECTORY".to_owned()),
            format!("the credential {API_KEY_FILE} {why}: it must hold one key"),
        )),
    }
    let credentials = found.len();
    for entry in ListEntry::all(items) {
        let Some(key) = api_key(entry, secrets, problems) else { continue };
        if found.iter().any(|other| other.name == key.name) {
            let name = format!("{:?}", key.name);
            entry.reject(keys::API_KEYS_NAME, name, "a name that no other key has", problems);
        }
        let mut others = found[credentials..].iter();
        if let Some(other) = others.find(|other| other.sha256 == key.sha256 && other.scope != key.scope) {
            let text = format!(
                "`api.keys[{}]` is the same key as that of {:?}, with another scope: make a second one with \
                 `myceliumd key new`",
                entry.index, other.name
            );
            problems.push(ConfigProblem::new(&entry.item.origin, text));
        }
        found.push(key);
    }
    found
}

fn api_key(entry: ListEntry<'_>, secrets: SecretSource<'_>, problems: &mut Problems) -> Option<ApiKey> {
    let name = entry.required(keys::API_KEYS_NAME, problems);
    let sha256 = match (entry.get(keys::API_KEYS_SHA256), entry.get(keys::API_KEYS_KEY_FILE)) {
        (Some(hex), None) => Some(digest_from_hex(&hex)),
        (None, Some(file)) => key_in_file(entry, &file, secrets, problems),
        (None, None) if !entry.item.rejected.is_empty() => None,
        (sha256, _) => {
            let state = if sha256.is_some() { "both" } else { "neither" };
            let text = format!(
                "`api.keys[{}]` has {state} of `sha256` and `key_file`; it must have exactly one of them",
                entry.index
            );
            problems.push(ConfigProblem::new(&entry.item.origin, text));
            None
        }
    };
    Some(ApiKey { name: name?, scope: entry.get(keys::API_KEYS_SCOPE), sha256: sha256? })
}

fn key_in_file(
    entry: ListEntry<'_>,
    file: &str,
    secrets: SecretSource<'_>,
    problems: &mut Problems,
) -> Option<[u8; 32]> {
    let text = entry.secret(keys::API_KEYS_KEY_FILE, "a file with one key", secrets, problems)?;
    if is_key(&text) {
        return Some(sha256(text.as_bytes()));
    }
    let found = format!("{file:?}, whose content is no key");
    entry.reject(keys::API_KEYS_KEY_FILE, found, "a file made by `myceliumd key new`", problems);
    None
}

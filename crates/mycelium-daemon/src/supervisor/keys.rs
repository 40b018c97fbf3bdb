//! The first API key, generated once, so that a daemon without configured keys is not open to everybody.

use std::io;
use std::path::{Path, PathBuf};

use crate::api::{ApiKey, NewKey, Scope, is_key};
use crate::config::{API_KEY_FILE, MAX_SECRET_BYTES};
use crate::formats::hex::sha256;
use mycelium_outbox::state_dir::{read_file, write_atomically};

/// The key of [`API_KEY_FILE`], and whether it is new.
#[derive(Debug)]
pub struct FirstKey {
    pub key: ApiKey,
    pub file: PathBuf,
    /// Whether it was generated now.
    pub created: bool,
}

/// Reads the stored key, or generates and stores one.
pub fn first_key(state: &Path) -> io::Result<FirstKey> {
    let file = state.join(API_KEY_FILE);
    let (text, created) = if let Some(bytes) = read_file(&file, MAX_SECRET_BYTES)? {
        (stored_key(&bytes)?, false)
    } else {
        let new = NewKey::generate().map_err(io::Error::other)?;
        write_atomically(&file, format!("{}\n", new.text).as_bytes(), 0o600)?;
        (new.text, true)
    };
    let key = ApiKey { name: "first".to_owned(), scope: Scope::Admin, sha256: sha256(text.as_bytes()) };
    Ok(FirstKey { key, file, created })
}

fn stored_key(bytes: &[u8]) -> io::Result<String> {
    let text = std::str::from_utf8(bytes).map_err(io::Error::other)?.trim();
    if !is_key(text) {
        return Err(io::Error::other("it holds no key: remove it to get a new one"));
    }
    Ok(text.to_owned())
}

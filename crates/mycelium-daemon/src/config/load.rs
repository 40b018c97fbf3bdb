//! Reads files, environment and certificates, and hands them to [`parse`].

use std::io::{self, Read};
use std::path::Path;

use super::keys::PREFIX;
use super::parse::{ConfigOverride, LoadedConfig, Sources, parse};
use super::problem::{ConfigProblem, Origin};
use super::raw::MAX_FILE_BYTES;
use super::secrets::MAX_SECRET_BYTES;
use super::settings::Config;
use crate::api::TlsAcceptor;
use crate::connectors::ConnectorSource;
use crate::net::fetch::Fetcher;
use mycelium_outbox::state_dir::read_named_file;

/// Reads `file`, if one is named, and the environment, and checks them together with the options.
pub fn load(file: Option<&Path>, overrides: Vec<ConfigOverride>) -> Result<LoadedConfig, Vec<ConfigProblem>> {
    let name = file.map(|path| path.display().to_string());
    let bytes = file.map(|path| read_at_most(path, MAX_FILE_BYTES)).transpose().map_err(|error| {
        let text = format!("cannot read the configuration: {error}: name a file that can be read");
        vec![ConfigProblem { origin: Origin::File(name.as_deref().unwrap_or_default().into(), 0), text }]
    })?;
    parse(Sources {
        file: name.as_deref().zip(bytes.as_deref()),
        variables: environment(),
        overrides,
        read: &|path| read_named_file(path, MAX_SECRET_BYTES),
    })
}

/// Reads one byte more than `max`, so that the caller notices a longer file without reading all of it.
fn read_at_most(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The variables of this process that a configuration may use.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(PREFIX) || name == "CREDENTIALS_DIRECTORY")
        .collect()
}

/// Loads every certificate and key that the configuration names, as `run` does, and returns the errors.
pub fn unusable_certificates(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(files) = &config.api.tls
        && let Err(error) = TlsAcceptor::load(files)
    {
        found.push(format!("api.tls: {error}"));
    }
    for endpoint in &config.endpoints {
        if let Err(error) = endpoint.open() {
            found.push(format!("{}: {error}", endpoint.label()));
        }
    }
    for connector in &config.connectors {
        if let ConnectorSource::Http(target) = &connector.source
            && let Err(error) = Fetcher::new(target)
        {
            found.push(format!("connector {}: {error}", connector.name));
        }
    }
    found
}

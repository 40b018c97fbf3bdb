//! From TOML text and environment to a valid configuration, or to a list of everything that is wrong with it.
//!
//! One table ([`keys`]) says what there is; `read` collects what was said and where; `build` turns it into
//! the settings each module owns. A [`Config`] that exists is valid. Precedence: option, variable, file, default.

mod budget;
mod build;
mod certificates;
mod connectors;
pub mod keys;
mod nearest;
mod print;
mod problem;
mod read;
mod secrets;
mod value;
mod webhooks;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::api;
use crate::connectors::Connector;
use crate::delivery::{BreakerPolicy, Endpoint};
use crate::telemetry::{logs, trace};
use mycelium_core::features::FeatureProfile;
use mycelium_core::sim::Params;
use mycelium_outbox::policy::Policy;

pub use budget::{Budget, FEATURE_RECORDS, WAITING_RECORDS};
pub use certificates::unusable_certificates;
pub use problem::{Place, Problem};
pub use read::MAX_FILE_BYTES;
pub use secrets::{MAX_SECRET_BYTES, Reader};

/// Everything the daemon needs to know; handed out in parts, never stored as a whole.
#[derive(Clone, Debug)]
pub struct Config {
    /// `None`: host name, or a random id kept in the data directory.
    pub device: Option<String>,
    pub memory_max: u64,
    pub sim: Params,
    /// `None`: drawn from entropy.
    pub seed: Option<u64>,
    pub tick: Duration,
    pub steps_per_tick: u32,
    /// Frames in the ring.
    pub frames: usize,
    /// Steps between feature records.
    pub every: u64,
    pub profile: FeatureProfile,
    pub api: api::Settings,
    /// Empty: a first key is made at start.
    pub keys: Vec<api::Key>,
    pub rate: api::Rate,
    /// Steps per outbox record.
    pub window_steps: u64,
    pub outbox: Policy,
    pub webhooks: Vec<Endpoint>,
    /// Each with its inputs.
    pub connectors: Vec<Connector>,
    /// Names of all inputs; an input's `index` is its place here.
    pub inputs: Vec<Arc<str>>,
    pub breaker: BreakerPolicy,
    pub log: logs::LogSettings,
    pub trace: trace::TraceSettings,
}

/// All a configuration is made of; nothing here reads anything by itself.
pub struct Sources<'a> {
    /// Name for messages, and content.
    pub file: Option<(&'a str, &'a [u8])>,
    /// The environment; variables without the prefix are ignored.
    pub variables: Vec<(String, String)>,
    /// Options of the command line: option, key, text.
    pub options: Vec<(&'static str, &'static str, String)>,
    /// Reads secret files.
    pub read: Reader<'a>,
}

/// A valid configuration and where each value came from.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    raw: read::Raw,
}

impl Loaded {
    /// Checks everything and reports all problems at once, in the order of lines.
    pub fn from_sources(sources: Sources<'_>) -> Result<Self, Vec<Problem>> {
        let credentials = sources.variables.iter().find(|(name, _)| name == "CREDENTIALS_DIRECTORY");
        let credentials = credentials.map(|(_, dir)| PathBuf::from(dir));
        let mut raw = read::Raw::default();
        if let Some((name, bytes)) = sources.file {
            raw.file(name, bytes);
        }
        raw.environment(sources.variables);
        for (option, path, text) in &sources.options {
            raw.option(option, path, text);
        }
        let mut problems = std::mem::take(&mut raw.problems);
        let vault = secrets::Vault { read: sources.read, credentials: credentials.as_deref() };
        let config = build::build(&raw, vault, &mut problems);
        let loaded = Self { config, raw };
        if problems.is_empty()
            && let Some(problem) = loaded.over_budget()
        {
            problems.push(problem);
        }
        if problems.is_empty() { Ok(loaded) } else { Err(problems.in_order()) }
    }

    pub fn budget(&self) -> Budget {
        Budget::of(&self.config)
    }

    fn over_budget(&self) -> Option<Problem> {
        let budget = self.budget();
        let (total, max) = (budget.total(), self.config.memory_max);
        let (part, bytes) = budget.largest();
        (total > max).then(|| {
            let place = build::Look(&self.raw.values).place("memory.max_bytes");
            let accepted = format!(
                "at least {total}, which this configuration needs ({bytes} of it for {part}): raise it, or make \
                 grid, frames, connections or batches smaller"
            );
            Problem::refused(&place, "memory.max_bytes", max, accepted)
        })
    }

    /// The effective configuration as TOML with the source of each value, and the memory budget in comments.
    pub fn describe(&self) -> String {
        format!("{}\n{}", print::effective(self), print::budget(self))
    }

    /// The value in force: what was said, the default, or the model's own number.
    fn effective(&self, key: &keys::Key) -> Option<value::Value> {
        build::Look(&self.raw.values).value(key.path).or_else(|| print::of_the_model(key, self))
    }

    /// Keys whose change takes a restart, when `new` is what a reload found.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let fixed = keys::all().filter(|key| !key.is_reloadable() && !key.path.contains("[]"));
        let moved = |key: &&keys::Key| self.effective(key) != new.effective(key);
        let mut changed: Vec<_> = fixed.filter(moved).map(|key| key.path).collect();
        // Those that stay are given their new settings; coming and going takes a restart.
        let names = |loaded: &Self| -> Vec<String> {
            loaded.config.webhooks.iter().map(|webhook| webhook.name.clone()).collect()
        };
        if names(self) != names(new) {
            changed.push("webhooks");
        }
        if self.config.api.tls.is_some() != new.config.api.tls.is_some() {
            changed.push("api.tls");
        }
        let (old, new) = (&self.config.connectors, &new.config.connectors);
        if old.len() != new.len() || !old.iter().zip(new).all(|(old, new)| old.is_same_but_address(new)) {
            changed.push("connectors");
        }
        changed
    }
}

/// Reads `file` if one is named, and checks it together with environment and options.
pub fn load(
    file: Option<&Path>,
    variables: Vec<(String, String)>,
    options: Vec<(&'static str, &'static str, String)>,
) -> Result<Loaded, Vec<Problem>> {
    let name = file.map(|path| path.display().to_string());
    let bytes = match file.map(|path| read_at_most(path, MAX_FILE_BYTES)).transpose() {
        Ok(bytes) => bytes,
        Err(error) => {
            let name = name.unwrap_or_default();
            let text = format!("cannot read the configuration: {error}: name a file that can be read");
            return Err(vec![Problem { place: Place::File(name.as_str().into(), 0), text }]);
        }
    };
    Loaded::from_sources(Sources {
        file: name.as_deref().zip(bytes.as_deref()),
        variables,
        options,
        read: &|path| read_at_most(path, MAX_SECRET_BYTES),
    })
}

/// One byte more than `most` at most, so that the caller sees that a file is too long without reading it all.
fn read_at_most(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The variables of this process that a configuration may look at.
pub fn environment() -> Vec<(String, String)> {
    let ours = |name: &str| name.starts_with(keys::PREFIX) || name == "CREDENTIALS_DIRECTORY";
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| ours(name))
        .collect()
}

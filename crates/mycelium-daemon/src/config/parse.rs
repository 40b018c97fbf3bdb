//! PURE. From TOML text, variables and options to a valid configuration, or to a list of all its problems.

use std::path::PathBuf;

use super::budget::Budget;
use super::build::build;
use super::keys::{self, KeySpec};
use super::lookup::Lookup;
use super::print;
use super::problem::{ConfigProblem, Problems};
use super::raw::RawConfig;
use super::secrets::{Reader, SecretSource};
use super::settings::Config;
use super::value::Value;
use crate::delivery::Endpoint;

/// A key that an option of the command line sets.
#[derive(Clone, Debug)]
pub struct ConfigOverride {
    /// As it is written, such as `--listen`.
    pub option: &'static str,
    pub key: &'static KeySpec,
    pub text: String,
}

/// The inputs of [`parse`]; it reads secret files through `read` and nothing else.
pub struct Sources<'a> {
    /// Name for messages, and content.
    pub file: Option<(&'a str, &'a [u8])>,
    /// The environment; variables without the prefix are ignored.
    pub variables: Vec<(String, String)>,
    pub overrides: Vec<ConfigOverride>,
    pub read: Reader<'a>,
}

/// A valid configuration, and where each value was set.
#[derive(Debug)]
pub struct LoadedConfig {
    pub config: Config,
    raw: RawConfig,
}

/// Checks everything and reports all problems at once, in the order of lines.
pub fn parse(sources: Sources<'_>) -> Result<LoadedConfig, Vec<ConfigProblem>> {
    let credentials = sources.variables.iter().find(|(name, _)| name == "CREDENTIALS_DIRECTORY");
    let credentials = credentials.map(|(_, dir)| PathBuf::from(dir));
    let mut raw = RawConfig::default();
    if let Some((name, bytes)) = sources.file {
        raw.add_file(name, bytes);
    }
    raw.add_environment(sources.variables);
    for ConfigOverride { option, key, text } in &sources.overrides {
        raw.add_option(option, key, text);
    }
    let mut problems = std::mem::take(&mut raw.problems);
    let secrets = SecretSource { read: sources.read, credentials: credentials.as_deref() };
    let config = build(&raw, secrets, &mut problems);
    if problems.is_empty() {
        check_budget(&config, &raw, &mut problems);
    }
    if problems.is_empty() { Ok(LoadedConfig { config, raw }) } else { Err(problems.in_order()) }
}

fn check_budget(config: &Config, raw: &RawConfig, problems: &mut Problems) {
    let budget = Budget::of(config);
    let (total, max) = (budget.total(), config.memory_max_bytes);
    if total <= max {
        return;
    }
    let (part, bytes) = budget.largest();
    let origin = Lookup(&raw.values).origin(keys::MEMORY_MAX_BYTES);
    let accepted = format!(
        "at least {total}, which this configuration needs ({bytes} of it for {part}): raise it, or make grid, frames, \
         connections or batches smaller"
    );
    problems.push(ConfigProblem::rejected(&origin, keys::MEMORY_MAX_BYTES.path(), max, accepted));
}

impl LoadedConfig {
    pub fn budget(&self) -> Budget {
        Budget::of(&self.config)
    }

    /// The effective settings as TOML with the origin of each value, and the memory budget in comments.
    pub fn describe(&self) -> String {
        format!("{}\n{}", print::effective(&self.raw, &self.config), print::budget(&self.config))
    }

    /// The value that is set, the default, or that of the model.
    fn effective(&self, key: &KeySpec) -> Option<Value> {
        Lookup(&self.raw.values).value(key).or_else(|| print::model_default(key, &self.config))
    }

    /// Keys of which `new` has another value that takes effect after a restart only.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let fixed = keys::all().filter(|key| !keys::is_reloadable(key) && !key.is_in_list());
        let changed = |key: &&KeySpec| self.effective(key) != new.effective(key);
        let mut changed: Vec<_> = fixed.filter(changed).map(|key| key.path).collect();
        // A reload changes the settings of existing endpoints and connectors; it adds and removes none.
        let names =
            |loaded: &Self| -> Vec<String> { loaded.config.endpoints.iter().map(Endpoint::label).collect() };
        if names(self) != names(new) {
            changed.push("endpoints");
        }
        if self.config.api.tls.is_some() != new.config.api.tls.is_some() {
            changed.push("api.tls");
        }
        if self.config.signals != new.config.signals {
            changed.push("inputs");
        }
        let (old, new) = (&self.config.connectors, &new.config.connectors);
        if old.len() != new.len() || !old.iter().zip(new).all(|(old, new)| old.is_same_but_address(new)) {
            changed.push("connectors");
        }
        changed
    }
}

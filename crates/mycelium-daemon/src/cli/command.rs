//! What can be asked for, typed and in range.

use std::path::PathBuf;

use crate::api::Scope;
use crate::config::{ConfigOverride, keys};
use crate::nernst::Ion;
use mycelium_core::features::{Compat, Connectivity, Threshold};
use mycelium_core::sim::{Boundary, RawParams};

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Run(RunArgs),
    Check { config: Option<PathBuf> },
    Simulate(Box<SimulateArgs>),
    Features(FeaturesArgs),
    Nernst(NernstArgs),
    Outbox(OutboxArgs),
    KeyNew(KeyNewArgs),
    Health(HealthArgs),
    Version,
    Help(HelpTopic),
}

/// Which page of help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelpTopic {
    All,
    Run,
    Check,
    Simulate,
    Features,
    Nernst,
    Outbox,
    Key,
    Health,
}

/// The daemon itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunArgs {
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    /// Overrides `api.listen`; checked with the configuration.
    pub listen: Option<String>,
}

impl RunArgs {
    /// The keys that options set.
    pub fn overrides(&self) -> Vec<ConfigOverride> {
        let listen = |text: &String| ConfigOverride {
            option: "--listen",
            key: keys::API_LISTEN.spec(),
            text: text.clone(),
        };
        self.listen.iter().map(listen).collect()
    }
}

/// How a series of features is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON line at the end.
    Json,
    /// A header line, then one line per frame.
    Csv,
    /// One JSON object per frame.
    Ndjson,
}

/// Frames the temporal features look back over unless `--window` says otherwise.
pub const WINDOW: usize = 64;

/// A run of the field, now.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulateArgs {
    /// Checked as a whole when the grid is known, which `--init` may say.
    pub params: RawParams,
    /// `--grid` was given.
    pub grid_given: bool,
    pub steps: u64,
    pub seed: u64,
    pub init: Option<PathBuf>,
    pub spikes: Option<PathBuf>,
    pub state: Option<PathBuf>,
    pub history: Option<PathBuf>,
    /// Steps between frames of the history and of the series.
    pub every: u64,
    pub compat: Compat,
    pub threshold: Threshold,
    pub connectivity: Connectivity,
    pub window: usize,
    pub format: Format,
    pub sweep: Option<PathBuf>,
    pub out: Option<PathBuf>,
}

/// Features of a stored history.
#[derive(Clone, Debug, PartialEq)]
pub struct FeaturesArgs {
    pub file: PathBuf,
    /// One line per frame.
    pub each: bool,
    pub boundary: Boundary,
    pub compat: Compat,
    pub threshold: Threshold,
    pub connectivity: Connectivity,
    pub window: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NernstArgs {
    pub ion: Ion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxAction {
    List,
    Verify,
    Dead,
    Replay,
    Drop,
}

/// Looking at the outbox, and looking after its dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxArgs {
    pub action: OutboxAction,
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    /// Dead records that `replay` and `drop` mean; all of them when empty.
    pub ids: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNewArgs {
    pub name: String,
    pub scope: Scope,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthArgs {
    /// `None`: /healthz where `api.listen` is by environment or default.
    pub url: Option<String>,
    /// Print what the daemon says of itself: /healthz, and with a key /v1/status.
    pub verbose: bool,
    /// `None`: where the daemon's own key is kept.
    pub key_file: Option<PathBuf>,
}

//! Arguments of each command, typed and in range.

use std::path::PathBuf;

use crate::api::Scope;
use crate::config::{ConfigOverride, keys};
use crate::nernst::Ion;
use mycelium_core::features::FeatureProfile;
use mycelium_core::range::string_enum;
use mycelium_core::sim::RawParams;

#[derive(Clone, Debug, PartialEq)]
pub enum CliCommand {
    Run(RunArgs),
    Check { config: Option<PathBuf> },
    Simulate(Box<SimulateArgs>),
    Features(FeaturesArgs),
    Nernst(NernstArgs),
    Outbox(OutboxArgs),
    KeyNew(KeyNewArgs),
    Health(HealthArgs),
    Push(PushArgs),
    Version,
    Help(HelpTopic),
}

/// A page of help.
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
    Push,
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

/// How features are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesFormat {
    /// One JSON line at the end.
    Json,
    /// A header line, then one line per frame.
    Csv,
    /// One JSON object per frame.
    Ndjson,
}
string_enum!(SeriesFormat, "format", Json = "json", Csv = "csv", Ndjson = "ndjson");

/// One run of the field, or the base of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulateArgs {
    /// Checked as a whole once the grid is known, which may be that of `init`.
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
    /// `torus` follows the boundary of the parameters.
    pub profile: FeatureProfile,
    pub format: SeriesFormat,
    pub sweep: Option<PathBuf>,
    pub out: Option<PathBuf>,
}

/// Features of a stored history.
#[derive(Clone, Debug, PartialEq)]
pub struct FeaturesArgs {
    pub file: PathBuf,
    /// One line per frame.
    pub each: bool,
    pub profile: FeatureProfile,
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
string_enum!(
    OutboxAction,
    "outbox",
    List = "list",
    Verify = "verify",
    Dead = "dead",
    Replay = "replay",
    Drop = "drop"
);

/// Inspects the outbox, or changes its dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxArgs {
    pub action: OutboxAction,
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    /// Dead letters to replay or drop; if empty, all of them.
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
    /// Print the response of /healthz, and with a key that of /v1/status.
    pub verbose: bool,
    /// `None`: the key that the daemon has created.
    pub key_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushArgs {
    /// Type of lines that are no CloudEvents.
    pub event_type: Option<String>,
    pub socket: Option<PathBuf>,
    /// `None`: the daemon on this machine.
    pub url: Option<String>,
    /// `None`: the key that the daemon has created.
    pub key_file: Option<PathBuf>,
    /// `None` or `-`: standard input.
    pub file: Option<PathBuf>,
}

//! Arguments of each command, typed and in range.

use std::path::PathBuf;

use crate::api::Scope;
use crate::config::{ConfigOverride, keys};
use crate::formats::time_format::TimeFormat;
use crate::nernst::Ion;
use mycelium_core::features::FeatureProfile;
use mycelium_core::range::string_enum;
use mycelium_core::signals::SignalSettings;
use mycelium_core::sim::RawParams;

#[derive(Clone, Debug, PartialEq)]
pub enum CliCommand {
    Run(RunArgs),
    Check {
        config: Option<PathBuf>,
    },
    Simulate(Box<SimulateArgs>),
    Features(FeaturesArgs),
    Nernst(NernstArgs),
    Outbox(OutboxArgs),
    KeyNew(KeyNewArgs),
    Health(HealthArgs),
    KeyShow(KeyShowArgs),
    Push(PushArgs),
    Signals(Box<SignalsArgs>),
    Status(StatusArgs),
    Init {
        out: Option<PathBuf>,
    },
    Completions(Shell),
    Man,
    Version,
    /// The overview, or the page of one command.
    Help(Option<HelpTopic>),
}

/// A command, and its page of help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelpTopic {
    Run,
    Check,
    Init,
    Status,
    Health,
    Key,
    Outbox,
    Push,
    Signals,
    Simulate,
    Features,
    Nernst,
    Completions,
    Man,
}
string_enum!(
    HelpTopic,
    "command",
    Run = "run",
    Check = "check",
    Init = "init",
    Status = "status",
    Health = "health",
    Key = "key",
    Outbox = "outbox",
    Push = "push",
    Signals = "signals",
    Simulate = "simulate",
    Features = "features",
    Nernst = "nernst",
    Completions = "completions",
    Man = "man",
);

/// A shell with completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}
string_enum!(Shell, "shell", Bash = "bash", Zsh = "zsh", Fish = "fish");

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
    /// Dead letters to replay or drop; empty only with `--all`.
    pub ids: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNewArgs {
    pub name: String,
    pub scope: Scope,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyShowArgs {
    pub data_dir: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusArgs {
    /// `None`: the daemon on this machine.
    pub url: Option<String>,
    /// Print the response of /v1/status as it is.
    pub json: bool,
    /// `None`: the key that the daemon has created.
    pub key_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthArgs {
    /// `None`: /healthz where `api.listen` is by environment or default.
    pub url: Option<String>,
    /// Print the response of /healthz, and with a key that of /v1/status.
    pub verbose: bool,
    /// An endpoint that is disabled or failing is unhealthy too; needs a key.
    pub deliveries: bool,
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

/// The estimators of signals over a table.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalsArgs {
    /// `-`: standard input.
    pub file: PathBuf,
    /// Name or number of the column of times.
    pub time: String,
    pub time_format: TimeFormat,
    /// Name or number of the column of values.
    pub column: String,
    pub settings: SignalSettings,
    /// Print spikes and sample blocks besides windows, each with its type.
    pub events: bool,
}

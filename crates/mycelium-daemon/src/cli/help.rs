//! Help texts, one screen each.

use super::command::HelpTopic;
use crate::nernst::TEMPERATURE;
use mycelium_core::features::WINDOW_FRAMES;
use mycelium_core::range::Interval;
use mycelium_core::sim::{PARAMETERS, Params};

/// The overview, or the page of one command.
const fn template(topic: Option<HelpTopic>) -> &'static str {
    match topic {
        None => ALL,
        Some(HelpTopic::Run) => RUN,
        Some(HelpTopic::Check) => CHECK,
        Some(HelpTopic::Init) => INIT,
        Some(HelpTopic::Status) => STATUS,
        Some(HelpTopic::Health) => HEALTH,
        Some(HelpTopic::Key) => KEY,
        Some(HelpTopic::Outbox) => OUTBOX,
        Some(HelpTopic::Push) => PUSH,
        Some(HelpTopic::Signals) => SIGNALS,
        Some(HelpTopic::Simulate) => SIMULATE,
        Some(HelpTopic::Features) => FEATURES,
        Some(HelpTopic::Nernst) => NERNST,
        Some(HelpTopic::Completions) => COMPLETIONS,
        Some(HelpTopic::Man) => MAN,
    }
}

/// The text with the ranges of its options, which are those of the modules that use the values.
pub(super) fn text(topic: Option<HelpTopic>) -> String {
    let ends = |interval: Interval| format!("{}..{}", interval.low, interval.high);
    let parameter =
        |name| PARAMETERS.iter().find(|parameter| parameter.name == name).expect("in PARAMETERS").range;
    let ranges = [
        ("%grid%", ends(parameter("grid"))),
        ("%alpha%", parameter("alpha").to_string()),
        ("%jitter%", ends(parameter("jitter_variance"))),
        ("%probability%", ends(parameter("spike_probability"))),
        ("%steps%", ends(Params::STEPS)),
        ("%window%", format!("{}..{}", WINDOW_FRAMES.start(), WINDOW_FRAMES.end())),
        ("%kelvin%", ends(TEMPERATURE)),
    ];
    ranges.iter().fold(template(topic).to_owned(), |text, (mark, range)| text.replace(mark, range))
}

/// The options of a command, as its page lists them, without the dashes.
pub(super) fn options(topic: HelpTopic) -> impl Iterator<Item = &'static str> {
    let words = template(Some(topic)).split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter_map(|word| word.strip_prefix("--")).filter(|option| !option.is_empty())
}

const ALL: &str = "\
myceliumd: a mycelium field on a gateway, its features as a stream, an outbox that loses nothing

Usage: myceliumd [COMMAND] [OPTIONS]

  run          simulate, serve and deliver until stopped (the default command)
  check        validate a configuration; print the effective settings and the memory budget
  init         print a configuration with every key and its default as a comment
  status       what a running daemon does and what troubles it, in words
  health       health of a running daemon; for health checks
  key          new: create an API key; show: print the key that the daemon has created
  outbox       records to be delivered and dead letters: list, verify, dead, replay, drop
  push         send lines of JSON as events; returns once they are durable
  signals      features and spikes of a measured signal in a table (CSV)
  simulate     run a field now and print its features
  features     print the features of a stored history or frame (NPY)
  nernst       equilibrium potential of an ion
  completions  print the completions for bash, zsh or fish
  man          print the manual page

  -h, --help     help, also of each command: myceliumd simulate --help
  -V, --version  version

First steps:
  myceliumd                                   starts with defaults and creates a key
  curl -s localhost:8600/healthz
  curl -s -H \"X-API-Key: $(myceliumd key show)\" localhost:8600/v1/features

Exit codes: 0 ok, 1 unhealthy, 64 usage, 65 bad data file, 70 bug, 74 input/output, 78 bad configuration
";

const RUN: &str = "\
Usage: myceliumd [run] [OPTIONS]

Simulates a field, serves its features over HTTP and delivers them to webhooks, until SIGTERM or Ctrl-C.

  --config FILE    configuration in TOML; without it all defaults apply
  --data-dir DIR   state: outbox, keys, cursors (default: $STATE_DIRECTORY, else ./data)
  --listen ADDR    overrides api.listen (default 127.0.0.1:8600); port 0 takes a free one;
                   beyond loopback only with api.public = true

Every key of the configuration is also a variable: MYCELIUMD_SIM__GRID=96 sets sim.grid.
SIGHUP reloads keys, rate limits, the log level, webhooks, breakers, the certificate, and the addresses of
connectors.
";

const CHECK: &str = "\
Usage: myceliumd check [--config FILE]

Validates the configuration and the environment, reports every mistake at once, and prints the effective
settings, each with where it was set, followed by the memory budget. The output is itself a valid
configuration. Exit code 78 if something is wrong.
";

const INIT: &str = "\
Usage: myceliumd init [--out FILE]

Prints a configuration in which every key is a comment with its default, its range and its meaning. Remove the
# of what you want to change. A file that exists is not overwritten.

  --out FILE  write it there instead, for instance to myceliumd.toml
";

const STATUS: &str = "\
Usage: myceliumd status [URL] [--json] [--key-file FILE]

Prints in words what a running daemon does: its field, its outbox, and each webhook and connector with its
last error. Exit code 0 if all is well, 1 if something is failing or the daemon does not respond.

  URL              as of health, without a path
  --json           print the response of GET /v1/status as it is
  --key-file FILE  a key of scope read (api.key in $CREDENTIALS_DIRECTORY, $STATE_DIRECTORY or ./data)
";

const COMPLETIONS: &str = "\
Usage: myceliumd completions bash|zsh|fish

Prints the completions of a shell. To use them now:
  bash  source <(myceliumd completions bash)
  zsh   source <(myceliumd completions zsh)
  fish  myceliumd completions fish | source
";

const MAN: &str = "\
Usage: myceliumd man

Prints the manual page in troff: myceliumd man | man -l -
";

const SIMULATE: &str = "\
Usage: myceliumd simulate [OPTIONS]

Runs a field as fast as possible and prints one line of JSON:
  {\"steps\":..,\"growth_events\":..,\"turing_activations\":..,\"clamping_events\":..,\"features\":{..}}

Field
  --grid N                  cells along one edge, %grid% (64)
  --steps N                 %steps% (1000)
  --seed S                  start of every random sequence (42)
  --model NAME              excitable, turing, gray_scott, or mfn, the step of
                            MyceliumFractalNet 4.1 (excitable)
  --precision f32|f64       (f32)
  --boundary NAME           periodic, neumann or dirichlet (periodic)
  --alpha A                 diffusion number of the potential, %alpha%
  --no-turing               leave activator and inhibitor untouched; V only diffuses
  --jitter-variance V       noise on every cell, V^2 per step, %jitter% (0)
  --spike-probability P     spontaneous spikes, %probability%
  --preset NAME             gray_scott: alpha, beta, epsilon, theta or lambda (epsilon)
  --set NAME=NUMBER         any other number of [sim], such as turing.rate=0.03
Files
  --init STATE.npy          start from V (volts), activator, inhibitor: shape (3, N, N)
  --spikes EVENTS.csv       step,row,col,volts with steps from 0; replaces spontaneous spikes
  --state OUT.npy           the last state, shape (3, N, N)
  --history OUT.npy         V after steps K, 2K, ..: shape (T, N, N)
Features
  --every K                 steps between frames (1)
  --threshold RULE          otsu, fixed:MILLIVOLTS or quantile:Q (otsu)
  --connectivity 4|8        which cells touch (4)
  --window W                frames the temporal features look back over, %window% (64)
  --compat 4.1              definitions of MyceliumFractalNet 4.1
  --format json|csv|ndjson  csv and ndjson print a line for every K-th step (json)
Many runs
  --sweep FILE.toml         one row per combination of its lists: models, grids, alphas, seeds
  --out FILE.csv            table of the sweep; rows that it has already are not run again

Examples:
  myceliumd simulate --model turing --steps 20000
  myceliumd simulate --grid 128 --steps 20000 --every 100 --format csv > run.csv
  echo 'grids = [32, 64]' > sweep.toml
  myceliumd simulate --sweep sweep.toml --steps 2000 --out table.csv
";

const FEATURES: &str = "\
Usage: myceliumd features FILE.npy [OPTIONS]

Prints the features of a stored history (T, N, N) or frame (N, N) in volts, <f4 or <f8, as one line of JSON:
  {\"frames\":T,\"features\":{..}}
Spatial features are those of the last frame. lyapunov and spiral_tips need the
running field and are null here.

  --each                one line per frame
  --threshold RULE      otsu, fixed:MILLIVOLTS or quantile:Q (otsu)
  --boundary NAME       periodic: clusters and boxes join across the seam; neumann, dirichlet: not (periodic)
  --connectivity 4|8    which cells touch (4)
  --window W            frames the temporal features look back over, %window% (64)
  --compat 4.1          definitions of MyceliumFractalNet 4.1

Cells that are not finite are refused with exit code 65.
";

const NERNST: &str = "\
Usage: myceliumd nernst --z Z --out MOLAR --in MOLAR [--temperature K]

Prints the equilibrium potential of an ion, inside against outside: {\"potential_mV\":..}

  --z Z             valence: -2, -1, 1 or 2
  --out MOLAR       concentration outside, mol/L, above 0
  --in MOLAR        concentration inside, mol/L, above 0
  --temperature K   kelvin, %kelvin% (310)
  --compat 4.1      concentrations below 1e-6 mol/L count as 1e-6, as in MyceliumFractalNet 4.1

Example: potassium, 5 mM outside and 140 mM inside:
  myceliumd nernst --z 1 --out 0.005 --in 0.140
";

const OUTBOX: &str = "\
Usage: myceliumd outbox list|verify|dead|replay|drop [ID ... | --all] [OPTIONS]

list, verify and dead only read and may run while the daemon runs; before replay and drop, stop it. A running
daemon does the same at /v1/outbox.

  list      stored records, and how many each endpoint still has to receive
  verify    read every record; exit code 0 sound, 65 damaged, with the places
  dead      dead letters: records that a receiver has rejected, one JSON object per line
  replay    send dead letters again: those with these ids, or with --all every one
  drop      discard dead letters: those with these ids, or with --all every one

  --all             every dead letter
  --data-dir DIR    state directory (default: $STATE_DIRECTORY, else ./data)
  --config FILE     configuration: list marks endpoints that are not in it
";

const KEY: &str = "\
Usage: myceliumd key new [--name NAME] [--scope read|write|admin]
       myceliumd key show [--data-dir DIR]

new creates an API key of 256 random bits and prints it with its SHA-256 and the lines for the configuration.
Save that key now: it is not stored. show prints the key that the daemon has created because the configuration
names none; in a container: docker exec NAME /myceliumd key show, under systemd: sudo myceliumd key show
--data-dir /var/lib/private/myceliumd.

  --name NAME     name in logs and rate limits (the scope's)
  --scope SCOPE   read, write or admin; each includes the one before (admin)
  --data-dir DIR  state directory (default: $STATE_DIRECTORY, else ./data)
";

const HEALTH: &str = "\
Usage: myceliumd health [URL] [--verbose] [--deliveries] [--key-file FILE]

Requests /healthz of a running daemon; exit code 0 if it is healthy, 1 if it is not or does not respond.

  URL              http://HOST:PORT[/PATH] (http://127.0.0.1:8600/healthz; the port follows
                   $MYCELIUMD_API__LISTEN, https $MYCELIUMD_API__TLS__CERT_FILE);
                   https:// for addresses of this machine only, whatever their certificate;
                   unix:PATH for the Unix socket of the daemon (api.unix_socket), the way in where
                   api.tls.client_ca_file demands certificates of clients: this command has none
  -v, --verbose    print the response, and with a key the whole status: uptime, step, outbox, endpoints
  --deliveries     exit code 1 also if an endpoint is disabled or failing; needs a key
  --key-file FILE  a key of scope read (api.key in $CREDENTIALS_DIRECTORY, $STATE_DIRECTORY or ./data)
";

const PUSH: &str = "\
Usage: myceliumd push [--type TYPE] [--socket PATH | --url URL] [--key-file FILE] [FILE | -]

Sends NDJSON, one event a line, to a running daemon and makes it durable; a pipe is read until its end.
A line with `specversion` is a CloudEvent, any other is the `data` of an event of the given type.
Exit code 0 only if all are durable; otherwise the message names the last durable line.

  --type TYPE      type of lines that are no CloudEvents, such as com.example.door
  --socket PATH    the Unix socket of the daemon (api.unix_socket)
  --url URL        http://HOST:PORT (http://127.0.0.1:8600; the port follows $MYCELIUMD_API__LISTEN)
  --key-file FILE  a key of scope write (api.key in $CREDENTIALS_DIRECTORY, $STATE_DIRECTORY or ./data)
";

const SIGNALS: &str = "\
Usage: myceliumd signals FILE.csv|- --time COLUMN --column COLUMN [--set KEY=VALUE] [--events]

Prints the features of each window of one column of a table as a line of JSON, by the estimators of the
daemon: the same samples give the same numbers. Columns by the names of the first line, or by number from 0 if
that has none. Lines that cannot be read are left out and counted.

  --time COLUMN     column of the times of the samples
  --column COLUMN   column of the values
  --events          print spikes and raw samples too, each line with the type of its event
  --set KEY=VALUE   window_s=60 scale=1 offset=0 low= high= deadband= raw=false expected_ms=
                    permutation_order=3 permutation_delay=1 periods_s=P,P,P,P
                    spikes.window_s=1200 spikes.threshold=26mad spikes.dead_s=300 spikes.polarity=both
                    (one of them turns the detection of spikes on)
                    time_format=rfc3339, unix_s or unix_ms

Example:
  myceliumd signals log.csv --time time --column mV --set window_s=600 --set spikes.threshold=26mad --events
";

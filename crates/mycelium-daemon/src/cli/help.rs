//! Help texts, one screen each.

use super::command::HelpTopic;
use crate::nernst::TEMPERATURE;
use mycelium_core::features::WINDOW_FRAMES;
use mycelium_core::range::Interval;
use mycelium_core::sim::{PARAMETERS, Params};

/// The text with the ranges of its options, which are those of the modules that use the values.
pub(super) fn text(topic: HelpTopic) -> String {
    let text = match topic {
        HelpTopic::All => ALL,
        HelpTopic::Run => RUN,
        HelpTopic::Check => CHECK,
        HelpTopic::Simulate => SIMULATE,
        HelpTopic::Features => FEATURES,
        HelpTopic::Nernst => NERNST,
        HelpTopic::Outbox => OUTBOX,
        HelpTopic::Key => KEY,
        HelpTopic::Health => HEALTH,
        HelpTopic::Push => PUSH,
    };
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
    ranges.iter().fold(text.to_owned(), |text, (mark, range)| text.replace(mark, range))
}

const ALL: &str = "\
myceliumd: a mycelium field on a gateway, its features as a stream, an outbox that loses nothing

Usage: myceliumd [COMMAND] [OPTIONS]

  run        simulate, serve and deliver until stopped (the default command)
  check      validate a configuration; print the effective settings and the memory budget
  simulate   run a field now and print its features
  features   print the features of a stored history or frame (NPY)
  nernst     equilibrium potential of an ion
  outbox     records to be delivered and dead letters: list, verify, dead, replay, drop
  key new    create an API key
  health     health of a running daemon; for health checks
  push       send lines of JSON as events; returns once they are durable

  -h, --help     help, also of each command: myceliumd simulate --help
  -V, --version  version

First steps:
  myceliumd                                   starts with defaults and creates a key
  curl -s localhost:8600/healthz
  curl -s -H \"X-API-Key: $(cat data/api.key)\" localhost:8600/v1/features

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
Usage: myceliumd outbox list|verify|dead|replay|drop [ID ...] [OPTIONS]

list, verify and dead only read and may run while the daemon runs; before replay and drop, stop it. A running
daemon does the same at /v1/outbox.

  list      stored records, and how many each endpoint still has to receive
  verify    read every record; exit code 0 sound, 65 damaged, with the places
  dead      dead letters: records that a receiver has rejected, one JSON object per line
  replay    send dead letters again: all, or those with these ids
  drop      discard dead letters: all, or those with these ids

  --data-dir DIR    state directory (default: $STATE_DIRECTORY, else ./data)
  --config FILE     configuration: list marks endpoints that are not in it
";

const KEY: &str = "\
Usage: myceliumd key new [--name NAME] [--scope read|write|admin]

Creates an API key of 256 random bits and prints it with its SHA-256 and the lines for the configuration.
Save the key now: it is not stored.

  --name NAME     name in logs and rate limits (the scope's)
  --scope SCOPE   read, write or admin; each includes the one before (admin)
";

const HEALTH: &str = "\
Usage: myceliumd health [URL] [--verbose] [--key-file FILE]

Requests /healthz of a running daemon; exit code 0 if it is healthy, 1 if it is not or does not respond.

  URL              http://HOST:PORT[/PATH] (http://127.0.0.1:8600/healthz; the port follows
                   $MYCELIUMD_API__LISTEN, https $MYCELIUMD_API__TLS__CERT_FILE);
                   https:// for addresses of this machine only, whatever their certificate
  -v, --verbose    print the response, and with a key the whole status: uptime, step, outbox, endpoints
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

//! Arguments to a command, the command to an exit code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use mycelium_daemon::cli::{self, ExitStatus, Failure, RunArgs};
use mycelium_daemon::supervisor::{self, DaemonError, StartOptions};

fn main() -> ExitCode {
    cli::exit_on_panic();
    cli::main(std::env::args_os().skip(1), run)
}

fn run(args: RunArgs) -> Result<(), Failure> {
    let overrides = args.overrides();
    let options = StartOptions { config: args.config, data_dir: args.data_dir, overrides };
    supervisor::run(&options).map_err(|error| match error {
        DaemonError::Config(problems) => Failure::config(&problems),
        error @ (DaemonError::Endpoint(_) | DaemonError::Tls(_)) => Failure::new(ExitStatus::Config, error),
        other => Failure::new(ExitStatus::Io, other),
    })
}

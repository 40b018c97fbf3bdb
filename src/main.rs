//! Arguments to a command, the command to an exit code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use mycelium_daemon::cli::{self, Code, Failure, Run};
use mycelium_daemon::supervisor::{self, Error, Start};

fn main() -> ExitCode {
    cli::exit_on_panic();
    cli::main(std::env::args_os().skip(1), run)
}

fn run(wish: Run) -> Result<(), Failure> {
    let options = wish.options();
    let start = Start { config: wish.config, data_dir: wish.data_dir, options };
    supervisor::run(&start).map_err(|error| match error {
        Error::Config(problems) => Failure::config(&problems),
        error @ (Error::Webhook(_) | Error::Tls(_)) => Failure::new(Code::Config, error),
        other => Failure::new(Code::Io, other),
    })
}

//! The command line: arguments to a [`Command`] (pure), then the command to an exit code.
//!
//! Answers go to standard output, everything else to standard error. A reader that goes away ends a command
//! quietly. Files are written beside their name and renamed, so that nobody finds half of one.

mod check;
mod command;
mod failure;
mod features;
mod files;
mod health;
mod help;
mod key;
mod nernst;
mod outbox;
mod parse;
mod progress;
mod secure;
mod series;
mod simulate;
mod spikes;
mod sweep;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

pub use command::{
    Command, Features, Format, Health, KeyNew, Nernst, Outbox, OutboxAction, Run, Simulate, Topic,
};
pub use failure::{Code, Failure, exit_on_panic};
pub use outbox::data_dir;
pub use parse::parse;

/// What `--version` prints.
pub const VERSION: &str = concat!("myceliumd ", env!("CARGO_PKG_VERSION"));

/// Parses and runs; `run` starts the daemon, which lives above this module.
pub fn main(
    args: impl IntoIterator<Item = OsString>,
    run: impl FnOnce(Run) -> Result<(), Failure>,
) -> ExitCode {
    let done = parse(args).and_then(|command| {
        let mut out = files::Answer::default();
        match command {
            Command::Run(wish) => run(wish),
            other => once(other, &mut out),
        }?;
        out.finish()
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Commands that answer and end.
fn once(command: Command, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        Command::Check { config } => check::check(config.as_deref(), out),
        Command::Simulate(wish) => simulate::simulate(&wish, out),
        Command::Features(wish) => features::features(&wish, out),
        Command::Nernst(wish) => nernst::nernst(&wish, out),
        Command::KeyNew(wish) => key::new(&wish, out),
        Command::Health(wish) => health::health(&wish, out),
        Command::Version => Ok(writeln!(out, "{VERSION}")?),
        Command::Help(topic) => Ok(out.write_all(help::text(topic).as_bytes())?),
        Command::Outbox(wish) => outbox::outbox(&wish, out),
        Command::Run(_) => unreachable!("handled by the caller"),
    }
}

//! The command line: arguments to a [`CliCommand`] (pure), then the command to an exit code.
//!
//! Results go to standard output, everything else to standard error. A closed standard output ends a command without an
//! error. Files are written under a temporary name and renamed, so that an incomplete file is never visible.

mod check;
mod command;
mod failure;
mod features;
mod files;
mod health;
mod help;
mod in_order;
mod init;
mod key;
mod nernst;
mod outbox;
mod parse;
mod progress;
mod push;
mod push_transport;
mod series;
mod signals;
mod simulate;
mod socket_client;
mod spikes;
mod status;
mod sweep;
mod texts;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

pub use command::{
    CliCommand, FeaturesArgs, HealthArgs, HelpTopic, KeyNewArgs, KeyShowArgs, NernstArgs, OutboxAction,
    OutboxArgs, PushArgs, RunArgs, SeriesFormat, Shell, SignalsArgs, SimulateArgs, StatusArgs,
};
pub use failure::{ExitStatus, Failure, exit_on_panic};
pub use parse::{parse, topic_of};

/// What `--version` prints.
pub const VERSION: &str = concat!("myceliumd ", env!("CARGO_PKG_VERSION"));

/// Parses the arguments and runs the command; `run` starts the daemon, which this module does not know.
pub fn main(
    args: impl IntoIterator<Item = OsString>,
    run: impl FnOnce(RunArgs) -> Result<(), Failure>,
) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let topic = topic_of(&args);
    let result = parse(args).and_then(|command| {
        let mut out = files::Stdout::default();
        match command {
            CliCommand::Run(args) => run(args),
            other => run_command(other, &mut out),
        }?;
        out.finish()
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.advise(topic).report(),
    }
}

/// Runs any command but `run`.
fn run_command(command: CliCommand, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        CliCommand::Check { config } => check::check(config.as_deref(), out),
        CliCommand::Simulate(args) => match &args.sweep {
            Some(file) => sweep::sweep(file, &args, out),
            None => simulate::simulate(&args, out),
        },
        CliCommand::Features(args) => features::features(&args, out),
        CliCommand::Nernst(args) => nernst::nernst(&args, out),
        CliCommand::KeyNew(args) => key::new(&args, out),
        CliCommand::KeyShow(args) => key::show(&args, out),
        CliCommand::Status(args) => status::status(&args, out),
        CliCommand::Init { out: file } => init::init(file.as_deref(), out),
        CliCommand::Completions(shell) => Ok(out.write_all(texts::completions(shell).as_bytes())?),
        CliCommand::Man => Ok(out.write_all(texts::MAN.unpack().as_bytes())?),
        CliCommand::Health(args) => health::health(&args, out),
        CliCommand::Push(args) => push::push(&args, out),
        CliCommand::Signals(args) => signals::signals(&args, out),
        CliCommand::Version => Ok(writeln!(out, "{VERSION}")?),
        CliCommand::Help(topic) => Ok(out.write_all(help::text(topic).as_bytes())?),
        CliCommand::Outbox(args) => outbox::outbox(&args, out),
        CliCommand::Run(_) => unreachable!("handled by the caller"),
    }
}

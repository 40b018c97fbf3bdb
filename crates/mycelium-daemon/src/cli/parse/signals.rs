//! PURE. Arguments of `signals`.

use lexopt::Arg::{Long, Short, Value};
use lexopt::Parser;

use super::{Parsed, owner_error, text, unexpected, usage};
use crate::cli::command::{CliCommand, HelpTopic, SignalsArgs};
use crate::cli::failure::Failure;
use crate::formats::time_format::TimeFormat;
use mycelium_core::range::OutOfRange;
use mycelium_core::signals::{RawSignalSettings, SignalSettings};

pub(super) fn signals(parser: &mut Parser) -> Parsed<CliCommand> {
    let (mut file, mut time, mut column) = (None, None, None);
    let (mut raw, mut time_format, mut events) = (RawSignalSettings::default(), TimeFormat::default(), false);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(Some(HelpTopic::Signals))),
            Long("time") => time = Some(text(parser, "time")?),
            Long("column") => column = Some(text(parser, "column")?),
            Long("events") => events = true,
            Long("set") => set(&text(parser, "set")?, &mut raw, &mut time_format)?,
            Value(value) if file.is_none() => file = Some(value.into()),
            other => return Err(unexpected(other, HelpTopic::Signals)),
        }
    }
    let missing = |what| Failure::usage(format_args!("signals needs {what}"));
    let settings = SignalSettings::checked(&raw).map_err(|bad| in_options(&bad))?;
    Ok(CliCommand::Signals(Box::new(SignalsArgs {
        file: file.ok_or_else(|| missing("a CSV file, or - for standard input"))?,
        time: time.ok_or_else(|| missing("--time, the column of times"))?,
        time_format,
        column: column.ok_or_else(|| missing("--column, the column of values"))?,
        settings,
        events,
    })))
}

/// `KEY=VALUE` of `--set`.
fn set(pair: &str, raw: &mut RawSignalSettings, time_format: &mut TimeFormat) -> Parsed<()> {
    let Some((key, value)) = pair.split_once('=') else {
        return Err(Failure::usage(format_args!("--set {pair:?} is not KEY=VALUE")));
    };
    let set = match key {
        "time_format" => value.parse().map(|format| *time_format = format),
        _ => raw.set(key, value),
    };
    set.map_err(|why| owner_error("set", &OutOfRange { value: format!("{}={}", why.key, why.value), ..why }))
}

/// Every refused value in one message.
fn in_options(bad: &[OutOfRange]) -> Failure {
    let all: Vec<_> = bad.iter().map(|why| format!("--set {why}")).collect();
    Failure::usage(all.join("; "))
}

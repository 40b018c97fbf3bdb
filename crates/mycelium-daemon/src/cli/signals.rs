//! `signals`: windows and spikes of one column of a table, by the estimators of the daemon.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use mycelium_core::signals::{Accepted, SignalChannel, SignalOutput};

use super::command::SignalsArgs;
use super::failure::Failure;
use super::files::warn;
use crate::formats::csv::fields;
use crate::formats::json::JsonObject;
use crate::formats::signals::{
    SAMPLES_TYPE, SPIKE_TYPE, WINDOW_TYPE, sample_members, spike_members, window_members,
};

/// Longest line of a table.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// Lines and samples that were left out.
#[derive(Debug, Default)]
struct LeftOut {
    lines: u64,
    /// Number and reason of the first line.
    first: Option<(u64, String)>,
    late: u64,
}

impl LeftOut {
    fn line(&mut self, number: u64, why: String) {
        self.lines += 1;
        self.first.get_or_insert((number, why));
    }

    fn report(&self) {
        if let Some((number, why)) = &self.first {
            let lines = left(self.lines, "line is", "lines are");
            warn(format_args!("{lines} left out; the first is line {number}: {why}"));
        }
        if self.late > 0 {
            let late = left(self.late, "sample is", "samples are");
            warn(format_args!("{late} older than the window before it, and in no feature"));
        }
    }
}

fn left(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Where time and value are.
#[derive(Clone, Copy, Debug)]
struct SignalColumns {
    time: usize,
    value: usize,
}

pub(super) fn signals(args: &SignalsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    if args.file == Path::new("-") {
        return table(args, io::stdin().lock(), out);
    }
    let file = File::open(&args.file).map_err(|error| Failure::io("open", &args.file, &error))?;
    table(args, BufReader::with_capacity(1 << 16, file), out)
}

fn table(args: &SignalsArgs, mut input: impl BufRead, out: &mut dyn Write) -> Result<(), Failure> {
    let mut channel = SignalChannel::new(args.settings);
    let mut printer = SignalPrinter { args, out, line: String::new(), result: Ok(()) };
    let (mut left_out, mut columns, mut bytes) = (LeftOut::default(), None, Vec::new());
    for number in 1.. {
        bytes.clear();
        let read = input.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut bytes);
        if read.map_err(|error| Failure::io("read", &args.file, &error))? == 0 {
            break;
        }
        if bytes.len() as u64 > MAX_LINE_BYTES {
            let why = format_args!("line {number} is longer than {MAX_LINE_BYTES} bytes: not a table");
            return Err(Failure::data(&args.file, why));
        }
        let first = columns.is_none();
        let line = match parsed(&bytes, first) {
            Ok(line) => line,
            Err(why) => {
                left_out.line(number, why);
                continue;
            }
        };
        if line.iter().all(|field| field.is_empty()) {
            continue;
        }
        if first {
            columns = Some(located(args, &line)?);
            if line.iter().all(|field| field.parse::<f64>().is_err()) {
                continue;
            }
        }
        let Some(columns) = columns else { continue };
        match sample(args, columns, &line) {
            Err(why) => left_out.line(number, why),
            Ok((t_ms, value)) => match channel.push(t_ms, value, &mut |output| printer.print(output)) {
                Accepted::Taken | Accepted::Unchanged => {}
                Accepted::Late => left_out.late += 1,
                Accepted::Future => left_out.line(number, "its time is after the year 9999".to_owned()),
                Accepted::NotFinite => left_out.line(number, "its value is not a finite number".to_owned()),
            },
        }
        std::mem::replace(&mut printer.result, Ok(()))?;
    }
    channel.close(&mut |output| printer.print(output));
    printer.result?;
    left_out.report();
    Ok(())
}

/// The fields of a line.
fn parsed(bytes: &[u8], first: bool) -> Result<Vec<Cow<'_, str>>, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to()))?;
    let text = if first { text.trim_start_matches('\u{feff}') } else { text };
    fields(text.trim_end_matches(['\n', '\r'])).ok_or_else(|| "a quote is misplaced".to_owned())
}

/// The columns by the names of the first line, or by number from 0.
fn located(args: &SignalsArgs, line: &[Cow<'_, str>]) -> Result<SignalColumns, Failure> {
    let find = |option, column: &String| {
        let by_number = || column.parse().ok().filter(|&at: &usize| at < line.len());
        line.iter().position(|name| name == column).or_else(by_number).ok_or_else(|| {
            let names = line.join(", ");
            Failure::data(&args.file, format_args!("--{option} {column:?} is no column; there are {names}"))
        })
    };
    Ok(SignalColumns { time: find("time", &args.time)?, value: find("column", &args.column)? })
}

/// Time and value of a line.
fn sample(args: &SignalsArgs, columns: SignalColumns, line: &[Cow<'_, str>]) -> Result<(i64, f64), String> {
    let field = |column: usize, name: &str| {
        line.get(column).filter(|field| !field.is_empty()).ok_or_else(|| format!("{name} is missing"))
    };
    let (time, value) = (field(columns.time, &args.time)?, field(columns.value, &args.column)?);
    let refused = |name: &str, text: &str, accepted| format!("{name} is {text:?}, which is not {accepted}");
    let format = args.time_format;
    let t_ms = format.parse(time).ok_or_else(|| refused(&args.time, time, format.name()))?;
    let value = value.parse().map_err(|_| refused(&args.column, value, "a number"))?;
    Ok((t_ms, value))
}

/// Prints outputs as lines of JSON.
struct SignalPrinter<'a> {
    args: &'a SignalsArgs,
    out: &'a mut dyn Write,
    line: String,
    /// The first error; what follows it is not printed.
    result: io::Result<()>,
}

impl SignalPrinter<'_> {
    fn print(&mut self, output: SignalOutput<'_>) {
        let kind = match output {
            SignalOutput::Window(_) => WINDOW_TYPE,
            SignalOutput::Spike(_) => SPIKE_TYPE,
            SignalOutput::Samples(_) => SAMPLES_TYPE,
        };
        if self.result.is_err() || !self.args.events && kind != WINDOW_TYPE {
            return;
        }
        self.line.clear();
        let mut object = JsonObject::new(&mut self.line);
        let members = |object: &mut JsonObject<'_>| {
            object.string("input", &self.args.column);
            match output {
                SignalOutput::Window(window) => window_members(object, window),
                SignalOutput::Spike(spike) => spike_members(object, spike),
                SignalOutput::Samples(block) => sample_members(object, block),
            }
        };
        if self.args.events {
            members(&mut object.string("type", kind).object("data"));
        } else {
            members(&mut object);
        }
        drop(object);
        self.line.push('\n');
        self.result = self.out.write_all(self.line.as_bytes());
    }
}

//! PURE. From arguments to a [`CliCommand`].

mod daemon;
mod field;
mod signals;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Arg, Parser, ValueExt};

use self::daemon::{health, key, outbox, push, status};
use self::field::{compat, parse_features, simulate};
use self::signals::signals;
use super::command::{CliCommand, HelpTopic, NernstArgs, RunArgs, Shell};
use super::failure::Failure;
use super::help;
use crate::config::suggest;
use crate::nernst;
use mycelium_core::features::Compat;
use mycelium_core::range::{OutOfRange, one_of};

type Parsed<T> = Result<T, Failure>;

/// The command that `args`, without the name of the program, begin with; `None` if that is none.
pub fn topic_of(args: &[OsString]) -> Option<HelpTopic> {
    let first = args.first()?.to_str()?;
    if first.starts_with('-') { Some(HelpTopic::Run) } else { first.parse().ok() }
}

/// `args` without the name of the program.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Parsed<CliCommand> {
    let mut parser = Parser::from_args(args);
    let first = parser.next().map_err(usage)?;
    let name = match first {
        None => return Ok(CliCommand::Run(RunArgs::default())),
        Some(Value(name)) => name,
        Some(Long("help") | Short('h')) => return Ok(CliCommand::Help(None)),
        Some(Long("version") | Short('V')) => return Ok(CliCommand::Version),
        Some(Long(option)) => {
            let option = option.to_owned();
            return run(&mut parser, Some(&option));
        }
        Some(other) => return Err(unexpected(other, HelpTopic::Run)),
    };
    if name == "help" {
        return help(&mut parser);
    }
    match topic(&name)? {
        HelpTopic::Run => run(&mut parser, None),
        HelpTopic::Check => check(&mut parser),
        HelpTopic::Init => init(&mut parser),
        HelpTopic::Status => status(&mut parser),
        HelpTopic::Health => health(&mut parser),
        HelpTopic::Key => key(&mut parser),
        HelpTopic::Outbox => outbox(&mut parser),
        HelpTopic::Push => push(&mut parser),
        HelpTopic::Signals => signals(&mut parser),
        HelpTopic::Simulate => simulate(&mut parser),
        HelpTopic::Features => parse_features(&mut parser),
        HelpTopic::Nernst => parse_nernst(&mut parser),
        HelpTopic::Completions => completions(&mut parser),
        HelpTopic::Man => man(&mut parser),
    }
}

/// The command of this name.
fn topic(name: &OsStr) -> Parsed<HelpTopic> {
    if let Some(topic) = name.to_str().and_then(|name| name.parse().ok()) {
        return Ok(topic);
    }
    let known = name.to_str().and_then(|name| suggest(name, HelpTopic::NAMES.iter().copied()));
    Err(Failure::usage(match known {
        Some(known) => format!("{name:?} is not a command; did you mean {known}?"),
        None => format!("{name:?} is not a command; there are {}", HelpTopic::NAMES.join(", ")),
    }))
}

/// An argument that the command does not take.
fn unexpected(argument: Arg<'_>, topic: HelpTopic) -> Failure {
    let known = match &argument {
        Long(option) => suggest(option, help::options(topic)),
        Short(_) | Value(_) => None,
    };
    let failure = usage(argument.unexpected());
    match known {
        Some(known) => Failure::usage(format_args!("{}; did you mean --{known}?", failure.lines[0])),
        None => failure,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn usage(error: lexopt::Error) -> Failure {
    Failure::usage(lower(&error.to_string()))
}

/// Messages of lexopt start with a capital; those of this program do not.
fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn text(parser: &mut Parser, option: &str) -> Parsed<String> {
    let value = parser.value().map_err(usage)?;
    value.into_string().map_err(|value| Failure::usage(format_args!("--{option} {value:?} is not UTF-8")))
}

fn path(parser: &mut Parser, option: &str) -> Parsed<PathBuf> {
    let value = parser.value().map_err(usage)?;
    if value.is_empty() {
        return Err(Failure::usage(format_args!("--{option} is empty; it must name a file")));
    }
    Ok(value.into())
}

/// Of types whose error names the accepted values.
fn named<T: FromStr<Err = OutOfRange>>(parser: &mut Parser, option: &str) -> Parsed<T> {
    text(parser, option)?.parse().map_err(|why| owner_error(option, &why))
}

fn owner_error(option: &str, why: &OutOfRange) -> Failure {
    Failure::usage(format_args!("--{option} is {}; it must be {}", why.value, why.accepted))
}

fn number<T: FromStr>(parser: &mut Parser, option: &str, accepted: &str) -> Parsed<T> {
    let text = text(parser, option)?;
    text.parse().map_err(|_| Failure::usage(format_args!("--{option} is {text:?}; it must be {accepted}")))
}

fn integer(parser: &mut Parser, option: &str, low: u64, high: u64) -> Parsed<u64> {
    let accepted = format!("a whole number from {low} to {high}");
    let n: u64 = number(parser, option, &accepted)?;
    if (low..=high).contains(&n) {
        return Ok(n);
    }
    Err(Failure::usage(format_args!("--{option} is {n}; it must be {accepted}")))
}

fn run(parser: &mut Parser, first: Option<&str>) -> Parsed<CliCommand> {
    let mut args = RunArgs::default();
    let mut option = first.map(str::to_owned);
    loop {
        match option.as_deref() {
            Some("config") => args.config = Some(path(parser, "config")?),
            Some("data-dir") => args.data_dir = Some(path(parser, "data-dir")?),
            Some("listen") => args.listen = Some(text(parser, "listen")?),
            Some(other) => return Err(unexpected(Long(other), HelpTopic::Run)),
            None => {}
        }
        option = match parser.next().map_err(usage)? {
            None => return Ok(CliCommand::Run(args)),
            Some(Long("help") | Short('h')) => return Ok(CliCommand::Help(Some(HelpTopic::Run))),
            Some(Long(name)) => Some(name.to_owned()),
            Some(other) => return Err(unexpected(other, HelpTopic::Run)),
        };
    }
}

fn check(parser: &mut Parser) -> Parsed<CliCommand> {
    let mut config = None;
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("config") => config = Some(path(parser, "config")?),
            Long("help") | Short('h') => return Ok(CliCommand::Help(Some(HelpTopic::Check))),
            other => return Err(unexpected(other, HelpTopic::Check)),
        }
    }
    Ok(CliCommand::Check { config })
}

fn parse_nernst(parser: &mut Parser) -> Parsed<CliCommand> {
    let (mut z, mut outside, mut inside) = (None, None, None);
    let (mut kelvin, mut compat_41) = (nernst::DEFAULT_TEMPERATURE, false);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(Some(HelpTopic::Nernst))),
            Long("z") => z = Some(number(parser, "z", "-2, -1, 1 or 2")?),
            Long("out") => outside = Some(number(parser, "out", "mol/L, finite and above 0")?),
            Long("in") => inside = Some(number(parser, "in", "mol/L, finite and above 0")?),
            Long("temperature") => kelvin = number(parser, "temperature", "kelvin, from 273 to 373")?,
            Long("compat") => compat_41 = compat(parser)? == Compat::V41,
            other => return Err(unexpected(other, HelpTopic::Nernst)),
        }
    }
    let missing = |option| Failure::usage(format_args!("nernst needs --{option}"));
    let z: i32 = z.ok_or_else(|| missing("z"))?;
    let outside: f64 = outside.ok_or_else(|| missing("out"))?;
    let inside: f64 = inside.ok_or_else(|| missing("in"))?;
    let make = if compat_41 { nernst::Ion::clamped_v41 } else { nernst::Ion::new };
    let ion = make(z, outside, inside, kelvin).map_err(|why| {
        let option = match why.key.as_str() {
            "z_valence" => "z",
            "concentration_out_molar" => "out",
            "concentration_in_molar" => "in",
            _ => "temperature",
        };
        owner_error(option, &why)
    })?;
    Ok(CliCommand::Nernst(NernstArgs { ion }))
}

fn help(parser: &mut Parser) -> Parsed<CliCommand> {
    match parser.next().map_err(usage)? {
        None => Ok(CliCommand::Help(None)),
        Some(Value(name)) => Ok(CliCommand::Help(Some(topic(&name)?))),
        Some(other) => Err(usage(other.unexpected())),
    }
}

fn init(parser: &mut Parser) -> Parsed<CliCommand> {
    let mut out = None;
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(Some(HelpTopic::Init))),
            Long("out") => out = Some(path(parser, "out")?),
            other => return Err(unexpected(other, HelpTopic::Init)),
        }
    }
    Ok(CliCommand::Init { out })
}

/// The URL of a daemon, checked.
fn target(url: &OsStr) -> Parsed<String> {
    let url = url.to_str().ok_or_else(|| Failure::usage(format_args!("URL {url:?} is not UTF-8")))?;
    super::health::Target::parse(url)?;
    Ok(url.to_owned())
}

fn completions(parser: &mut Parser) -> Parsed<CliCommand> {
    match parser.next().map_err(usage)? {
        Some(Long("help") | Short('h')) => Ok(CliCommand::Help(Some(HelpTopic::Completions))),
        Some(Value(shell)) => {
            let shell = shell.string().map_err(usage)?.parse();
            let refused = |why: OutOfRange| {
                Failure::usage(format_args!("shell is {}; it must be {}", why.value, why.accepted))
            };
            Ok(CliCommand::Completions(shell.map_err(refused)?))
        }
        Some(other) => Err(unexpected(other, HelpTopic::Completions)),
        None => Err(Failure::usage(format_args!("completions needs {}", one_of(Shell::NAMES)))),
    }
}

fn man(parser: &mut Parser) -> Parsed<CliCommand> {
    match parser.next().map_err(usage)? {
        None => Ok(CliCommand::Man),
        Some(Long("help") | Short('h')) => Ok(CliCommand::Help(Some(HelpTopic::Man))),
        Some(other) => Err(unexpected(other, HelpTopic::Man)),
    }
}

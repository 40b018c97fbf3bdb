//! PURE. From arguments to a [`CliCommand`].

mod field;

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Parser, ValueExt};

use self::field::{compat, parse_features, simulate};
use super::command::{
    CliCommand, HealthArgs, HelpTopic, KeyNewArgs, NernstArgs, OutboxAction, OutboxArgs, PushArgs, RunArgs,
};
use super::failure::Failure;
use crate::api::Scope;
use crate::nernst;
use mycelium_core::features::Compat;
use mycelium_core::range::{OutOfRange, one_of};
use mycelium_outbox::SafeName;

type Parsed<T> = Result<T, Failure>;

/// `args` without the name of the program.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Parsed<CliCommand> {
    let mut parser = Parser::from_args(args);
    let first = parser.next().map_err(usage)?;
    let name = match first {
        None => return Ok(CliCommand::Run(RunArgs::default())),
        Some(Value(name)) => name,
        Some(Long("help") | Short('h')) => return Ok(CliCommand::Help(HelpTopic::All)),
        Some(Long("version") | Short('V')) => return Ok(CliCommand::Version),
        Some(Long(option)) => {
            let option = option.to_owned();
            return run(&mut parser, Some(&option));
        }
        Some(other) => return Err(usage(other.unexpected())),
    };
    match name.to_str() {
        Some("run") => run(&mut parser, None),
        Some("check") => check(&mut parser),
        Some("simulate") => simulate(&mut parser),
        Some("features") => parse_features(&mut parser),
        Some("nernst") => parse_nernst(&mut parser),
        Some("outbox") => outbox(&mut parser),
        Some("key") => key(&mut parser),
        Some("health") => health(&mut parser),
        Some("push") => push(&mut parser),
        Some("help") => help(&mut parser),
        _ => {
            let commands = "run, check, simulate, features, nernst, outbox, key, health and push";
            Err(Failure::usage(format_args!("{name:?} is not a command; there are {commands}")))
        }
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
            Some(other) => return Err(usage(Long(other).unexpected())),
            None => {}
        }
        option = match parser.next().map_err(usage)? {
            None => return Ok(CliCommand::Run(args)),
            Some(Long("help") | Short('h')) => return Ok(CliCommand::Help(HelpTopic::Run)),
            Some(Long(name)) => Some(name.to_owned()),
            Some(other) => return Err(usage(other.unexpected())),
        };
    }
}

fn check(parser: &mut Parser) -> Parsed<CliCommand> {
    let mut config = None;
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("config") => config = Some(path(parser, "config")?),
            Long("help") | Short('h') => return Ok(CliCommand::Help(HelpTopic::Check)),
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(CliCommand::Check { config })
}

fn parse_nernst(parser: &mut Parser) -> Parsed<CliCommand> {
    let (mut z, mut outside, mut inside) = (None, None, None);
    let (mut kelvin, mut compat_41) = (nernst::DEFAULT_TEMPERATURE, false);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(HelpTopic::Nernst)),
            Long("z") => z = Some(number(parser, "z", "-2, -1, 1 or 2")?),
            Long("out") => outside = Some(number(parser, "out", "mol/L, finite and above 0")?),
            Long("in") => inside = Some(number(parser, "in", "mol/L, finite and above 0")?),
            Long("temperature") => kelvin = number(parser, "temperature", "kelvin, from 273 to 373")?,
            Long("compat") => compat_41 = compat(parser)? == Compat::V41,
            other => return Err(usage(other.unexpected())),
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

fn outbox(parser: &mut Parser) -> Parsed<CliCommand> {
    let action = match parser.next().map_err(usage)? {
        Some(Long("help") | Short('h')) => return Ok(CliCommand::Help(HelpTopic::Outbox)),
        Some(Value(name)) => {
            let why = |why: OutOfRange| {
                Failure::usage(format_args!("outbox {} is not known; it must be {}", why.value, why.accepted))
            };
            name.string().map_err(usage)?.parse().map_err(why)?
        }
        Some(other) => return Err(usage(other.unexpected())),
        None => {
            return Err(Failure::usage(format_args!("outbox needs {}", one_of(OutboxAction::NAMES))));
        }
    };
    let mut args = OutboxArgs { action, config: None, data_dir: None, ids: Vec::new() };
    let takes_ids = matches!(action, OutboxAction::Replay | OutboxAction::Drop);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(HelpTopic::Outbox)),
            Long("config") => args.config = Some(path(parser, "config")?),
            Long("data-dir") => args.data_dir = Some(path(parser, "data-dir")?),
            Value(id) if takes_ids => {
                let text = id.string().map_err(usage)?;
                let refused = || Failure::usage(format_args!("{text:?} is not the id of a dead letter"));
                args.ids.push(text.parse().map_err(|_| refused())?);
            }
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(CliCommand::Outbox(args))
}

/// A name that is also valid in the configuration.
fn name(parser: &mut Parser, option: &str) -> Parsed<String> {
    let text = text(parser, option)?;
    if SafeName::is_valid(&text) {
        return Ok(text);
    }
    Err(Failure::usage(format_args!("--{option} is {text:?}; it must be {}", SafeName::ACCEPTED)))
}

fn key(parser: &mut Parser) -> Parsed<CliCommand> {
    match parser.next().map_err(usage)? {
        Some(Value(action)) if action == "new" => {}
        Some(Long("help") | Short('h')) => return Ok(CliCommand::Help(HelpTopic::Key)),
        _ => return Err(Failure::usage("key needs `new`")),
    }
    let mut args = KeyNewArgs { name: "admin".to_owned(), scope: Scope::Admin };
    let mut has_name = false;
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(HelpTopic::Key)),
            Long("name") => {
                args.name = name(parser, "name")?;
                has_name = true;
            }
            Long("scope") => args.scope = named(parser, "scope")?,
            other => return Err(usage(other.unexpected())),
        }
    }
    if !has_name {
        args.scope.name().clone_into(&mut args.name);
    }
    Ok(CliCommand::KeyNew(args))
}

fn health(parser: &mut Parser) -> Parsed<CliCommand> {
    let mut args = HealthArgs { url: None, verbose: false, key_file: None };
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(HelpTopic::Health)),
            Long("verbose") | Short('v') => args.verbose = true,
            Long("key-file") => args.key_file = Some(path(parser, "key-file")?),
            Value(url) if args.url.is_none() => {
                let url = url.string().map_err(usage)?;
                super::health::Target::parse(&url)?;
                args.url = Some(url);
            }
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(CliCommand::Health(args))
}

fn push(parser: &mut Parser) -> Parsed<CliCommand> {
    let mut args = PushArgs::default();
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(HelpTopic::Push)),
            Long("type") => args.event_type = Some(text(parser, "type")?),
            Long("socket") => args.socket = Some(path(parser, "socket")?),
            Long("url") => {
                let url = text(parser, "url")?;
                super::health::Target::parse(&url)?;
                args.url = Some(url);
            }
            Long("key-file") => args.key_file = Some(path(parser, "key-file")?),
            Value(file) if args.file.is_none() => args.file = Some(file.into()),
            other => return Err(usage(other.unexpected())),
        }
    }
    if args.socket.is_some() && args.url.is_some() {
        return Err(Failure::usage("push takes --socket or --url, not both"));
    }
    Ok(CliCommand::Push(args))
}

fn help(parser: &mut Parser) -> Parsed<CliCommand> {
    let topic = match parser.next().map_err(usage)? {
        None => HelpTopic::All,
        Some(Value(name)) => match name.to_str() {
            Some("run") => HelpTopic::Run,
            Some("check") => HelpTopic::Check,
            Some("simulate") => HelpTopic::Simulate,
            Some("features") => HelpTopic::Features,
            Some("nernst") => HelpTopic::Nernst,
            Some("outbox") => HelpTopic::Outbox,
            Some("key") => HelpTopic::Key,
            Some("health") => HelpTopic::Health,
            Some("push") => HelpTopic::Push,
            _ => return Err(Failure::usage(format_args!("{name:?} is not a command"))),
        },
        Some(other) => return Err(usage(other.unexpected())),
    };
    Ok(CliCommand::Help(topic))
}

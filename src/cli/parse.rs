//! Arguments to a [`Command`]. Pure: reads no file, no environment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Parser, ValueExt};

use super::command::{
    Command, Features, Format, Health, KeyNew, Nernst, Outbox, OutboxAction, Run, Simulate, Topic,
};
use super::failure::Failure;
use crate::api::Scope;
use crate::bounds::OutOfRange;
use crate::features::{self, Compat, Connectivity, Threshold};
use crate::nernst;
use crate::sim::{Boundary, Model, Params, Precision, RawParams};

type Parsed<T> = Result<T, Failure>;

/// `args` without the name of the program.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Parsed<Command> {
    let mut parser = Parser::from_args(args);
    let first = parser.next().map_err(usage)?;
    let name = match first {
        None => return Ok(Command::Run(Run::default())),
        Some(Value(name)) => name,
        Some(Long("help") | Short('h')) => return Ok(Command::Help(Topic::All)),
        Some(Long("version") | Short('V')) => return Ok(Command::Version),
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
        Some("features") => stored(&mut parser),
        Some("nernst") => potential(&mut parser),
        Some("outbox") => outbox(&mut parser),
        Some("key") => key(&mut parser),
        Some("health") => health(&mut parser),
        Some("help") => help(&mut parser),
        _ => {
            let commands = "run, check, simulate, features, nernst, outbox, key and health";
            Err(Failure::usage(format_args!("{name:?} is not a command; there are {commands}")))
        }
    }
}

fn usage(error: lexopt::Error) -> Failure {
    Failure::usage(lower(&error.to_string()))
}

/// Messages of the parser start with an English capital; ours do not.
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

/// Texts that know what they accept.
fn named<T: FromStr<Err = OutOfRange>>(parser: &mut Parser, option: &str) -> Parsed<T> {
    text(parser, option)?.parse().map_err(|why| misfit(option, &why))
}

fn misfit(option: &str, why: &OutOfRange) -> Failure {
    Failure::usage(format_args!("--{option} is {}; it must be {}", why.value, why.accepted))
}

fn number<T: FromStr>(parser: &mut Parser, option: &str, accepted: &str) -> Parsed<T> {
    let text = text(parser, option)?;
    text.parse().map_err(|_| Failure::usage(format_args!("--{option} is {text:?}; it must be {accepted}")))
}

fn integer(parser: &mut Parser, option: &str, low: u64, high: u64) -> Parsed<u64> {
    let accepted = format!("an integer from {low} to {high}");
    let n: u64 = number(parser, option, &accepted)?;
    if (low..=high).contains(&n) {
        return Ok(n);
    }
    Err(Failure::usage(format_args!("--{option} is {n}; it must be {accepted}")))
}

fn run(parser: &mut Parser, first: Option<&str>) -> Parsed<Command> {
    let mut wish = Run::default();
    let mut option = first.map(str::to_owned);
    loop {
        match option.as_deref() {
            Some("config") => wish.config = Some(path(parser, "config")?),
            Some("data-dir") => wish.data_dir = Some(path(parser, "data-dir")?),
            Some("listen") => wish.listen = Some(text(parser, "listen")?),
            Some(other) => return Err(usage(Long(other).unexpected())),
            None => {}
        }
        option = match parser.next().map_err(usage)? {
            None => return Ok(Command::Run(wish)),
            Some(Long("help") | Short('h')) => return Ok(Command::Help(Topic::Run)),
            Some(Long(name)) => Some(name.to_owned()),
            Some(other) => return Err(usage(other.unexpected())),
        };
    }
}

fn check(parser: &mut Parser) -> Parsed<Command> {
    let mut config = None;
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("config") => config = Some(path(parser, "config")?),
            Long("help") | Short('h') => return Ok(Command::Help(Topic::Check)),
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(Command::Check { config })
}

/// Options that `simulate` and `features` share.
struct Definitions {
    compat: Compat,
    threshold: Threshold,
    connectivity: Connectivity,
    window: usize,
}

impl Default for Definitions {
    fn default() -> Self {
        Self {
            compat: Compat::Edge,
            threshold: Threshold::Otsu,
            connectivity: Connectivity::Four,
            window: 64,
        }
    }
}

impl Definitions {
    /// Whether `option` was one of these.
    fn take(&mut self, parser: &mut Parser, option: &str) -> Parsed<bool> {
        match option {
            "compat" => self.compat = compat(parser)?,
            "threshold" => self.threshold = named(parser, option)?,
            "connectivity" => {
                self.connectivity = match text(parser, option)?.as_str() {
                    "4" => Connectivity::Four,
                    "8" => Connectivity::Eight,
                    other => {
                        return Err(Failure::usage(format_args!(
                            "--connectivity is {other:?}; it must be 4 | 8"
                        )));
                    }
                }
            }
            "window" => {
                let (low, high) = (*features::WINDOW.start() as u64, *features::WINDOW.end() as u64);
                self.window = integer(parser, option, low, high)? as usize;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn compat(parser: &mut Parser) -> Parsed<Compat> {
    match text(parser, "compat")?.as_str() {
        "4.1" => Ok(Compat::V41),
        other => Err(Failure::usage(format_args!("--compat is {other:?}; it must be 4.1"))),
    }
}

fn simulate(parser: &mut Parser) -> Parsed<Command> {
    let mut wish = Simulate {
        params: RawParams::default(),
        grid_given: false,
        steps: 1000,
        seed: 42,
        init: None,
        spikes: None,
        state: None,
        history: None,
        every: 1,
        compat: Compat::Edge,
        threshold: Threshold::Otsu,
        connectivity: Connectivity::Four,
        window: 64,
        format: Format::Json,
        sweep: None,
        out: None,
    };
    let mut definitions = Definitions::default();
    let steps = Params::STEPS;
    while let Some(arg) = parser.next().map_err(usage)? {
        let name = match arg {
            Long("help") | Short('h') => return Ok(Command::Help(Topic::Simulate)),
            Long(name) => name.to_owned(),
            other => return Err(usage(other.unexpected())),
        };
        match name.as_str() {
            "steps" => wish.steps = integer(parser, &name, steps.low as u64, steps.high as u64)?,
            "every" => wish.every = integer(parser, &name, 1, steps.high as u64)?,
            "seed" => wish.seed = integer(parser, &name, 0, u64::MAX)?,
            "init" => wish.init = Some(path(parser, &name)?),
            "spikes" => wish.spikes = Some(path(parser, &name)?),
            "state" => wish.state = Some(path(parser, &name)?),
            "history" => wish.history = Some(path(parser, &name)?),
            "format" => wish.format = format(parser)?,
            "sweep" => wish.sweep = Some(path(parser, &name)?),
            "out" => wish.out = Some(path(parser, &name)?),
            other if definitions.take(parser, other)? => {}
            other => parameter(parser, other, &mut wish)?,
        }
    }
    wish.compat = definitions.compat;
    wish.threshold = definitions.threshold;
    wish.connectivity = definitions.connectivity;
    wish.window = definitions.window;
    if wish.init.is_none() || wish.grid_given {
        Params::try_from(wish.params.clone()).map_err(|why| misfit(&why.key.replace('_', "-"), &why))?;
    }
    Ok(Command::Simulate(Box::new(wish)))
}

/// Options that are parameters of the field.
fn parameter(parser: &mut Parser, option: &str, wish: &mut Simulate) -> Parsed<()> {
    let params = &mut wish.params;
    let key = match option {
        "model" => return named::<Model>(parser, option).map(|model| params.model = model),
        "precision" => return named::<Precision>(parser, option).map(|p| params.precision = p),
        "boundary" => return named::<Boundary>(parser, option).map(|b| params.boundary = b),
        "no-turing" => {
            params.turing_enabled = false;
            return Ok(());
        }
        "set" => return assignment(parser, wish),
        "grid" => {
            wish.grid_given = true;
            "grid"
        }
        "alpha" => "alpha",
        "jitter-variance" => "jitter_variance",
        "spike-probability" => "spike_probability",
        other => return Err(usage(Long(other).unexpected())),
    };
    let value: f64 = number(parser, option, "a number")?;
    wish.params.set(key, value).map_err(|why| misfit(option, &why))
}

/// `--set turing.rate=0.03`: any number of the table `[sim]`.
fn assignment(parser: &mut Parser, wish: &mut Simulate) -> Parsed<()> {
    let text = text(parser, "set")?;
    let refused = || {
        Failure::usage(format_args!("--set is {text:?}; it must be NAME=NUMBER, such as turing.rate=0.03"))
    };
    let (key, value) = text.split_once('=').ok_or_else(refused)?;
    let value: f64 = value.parse().map_err(|_| refused())?;
    wish.grid_given |= key == "grid";
    wish.params.set(key, value).map_err(|why| Failure::usage(format_args!("--set: {why}")))
}

fn format(parser: &mut Parser) -> Parsed<Format> {
    match text(parser, "format")?.as_str() {
        "json" => Ok(Format::Json),
        "csv" => Ok(Format::Csv),
        "ndjson" => Ok(Format::Ndjson),
        other => Err(Failure::usage(format_args!("--format is {other:?}; it must be json | csv | ndjson"))),
    }
}

fn stored(parser: &mut Parser) -> Parsed<Command> {
    let mut definitions = Definitions::default();
    let (mut file, mut each, mut boundary) = (None, false, Boundary::Periodic);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(Command::Help(Topic::Features)),
            Long("each") => each = true,
            Long("boundary") => boundary = named(parser, "boundary")?,
            Value(name) if file.is_none() => file = Some(PathBuf::from(name)),
            Long(name) => {
                let name = name.to_owned();
                if !definitions.take(parser, &name)? {
                    return Err(usage(Long(&name).unexpected()));
                }
            }
            other => return Err(usage(other.unexpected())),
        }
    }
    let file = file.ok_or_else(|| Failure::usage("features needs the name of an NPY file"))?;
    let Definitions { compat, threshold, connectivity, window } = definitions;
    Ok(Command::Features(Features { file, each, boundary, compat, threshold, connectivity, window }))
}

fn potential(parser: &mut Parser) -> Parsed<Command> {
    let (mut z, mut outside, mut inside) = (None, None, None);
    let (mut kelvin, mut compat_41) = (nernst::DEFAULT_TEMPERATURE, false);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(Command::Help(Topic::Nernst)),
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
        misfit(option, &why)
    })?;
    Ok(Command::Nernst(Nernst { ion }))
}

fn outbox(parser: &mut Parser) -> Parsed<Command> {
    let actions = "list, verify, dead, replay or drop";
    let action = match parser.next().map_err(usage)? {
        Some(Long("help") | Short('h')) => return Ok(Command::Help(Topic::Outbox)),
        Some(Value(name)) => match name.to_str() {
            Some("list") => OutboxAction::List,
            Some("verify") => OutboxAction::Verify,
            Some("dead") => OutboxAction::Dead,
            Some("replay") => OutboxAction::Replay,
            Some("drop") => OutboxAction::Drop,
            _ => {
                return Err(Failure::usage(format_args!(
                    "outbox {name:?} is not known; it must be {actions}"
                )));
            }
        },
        Some(other) => return Err(usage(other.unexpected())),
        None => return Err(Failure::usage(format_args!("outbox needs one of {actions}"))),
    };
    let mut wish = Outbox { action, config: None, data_dir: None, ids: Vec::new() };
    let takes_ids = matches!(action, OutboxAction::Replay | OutboxAction::Drop);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(Command::Help(Topic::Outbox)),
            Long("config") => wish.config = Some(path(parser, "config")?),
            Long("data-dir") => wish.data_dir = Some(path(parser, "data-dir")?),
            Value(id) if takes_ids => {
                let text = id.string().map_err(usage)?;
                let refused = || Failure::usage(format_args!("{text:?} is not the id of a dead record"));
                wish.ids.push(text.parse().map_err(|_| refused())?);
            }
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(Command::Outbox(wish))
}

/// Names as the configuration has them.
fn name(parser: &mut Parser, option: &str) -> Parsed<String> {
    let text = text(parser, option)?;
    if crate::config::keys::is_name(&text) {
        return Ok(text);
    }
    let accepted = "1 to 64 characters of [A-Za-z0-9._-]";
    Err(Failure::usage(format_args!("--{option} is {text:?}; it must be {accepted}")))
}

fn key(parser: &mut Parser) -> Parsed<Command> {
    match parser.next().map_err(usage)? {
        Some(Value(action)) if action == "new" => {}
        Some(Long("help") | Short('h')) => return Ok(Command::Help(Topic::Key)),
        _ => return Err(Failure::usage("key needs `new`")),
    }
    let mut wish = KeyNew { name: "admin".to_owned(), scope: Scope::Admin };
    let mut named = false;
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(Command::Help(Topic::Key)),
            Long("name") => {
                wish.name = name(parser, "name")?;
                named = true;
            }
            Long("scope") => wish.scope = scope(parser)?,
            other => return Err(usage(other.unexpected())),
        }
    }
    if !named {
        wish.name = wish.scope.name().to_owned();
    }
    Ok(Command::KeyNew(wish))
}

fn scope(parser: &mut Parser) -> Parsed<Scope> {
    match text(parser, "scope")?.as_str() {
        "read" => Ok(Scope::Read),
        "write" => Ok(Scope::Write),
        "admin" => Ok(Scope::Admin),
        other => Err(Failure::usage(format_args!("--scope is {other:?}; it must be read | write | admin"))),
    }
}

fn health(parser: &mut Parser) -> Parsed<Command> {
    let mut wish = Health { url: None, verbose: false };
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(Command::Help(Topic::Health)),
            Long("verbose") | Short('v') => wish.verbose = true,
            Value(url) if wish.url.is_none() => {
                let url = url.string().map_err(usage)?;
                super::health::Target::parse(&url)?;
                wish.url = Some(url);
            }
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(Command::Health(wish))
}

fn help(parser: &mut Parser) -> Parsed<Command> {
    let topic = match parser.next().map_err(usage)? {
        None => Topic::All,
        Some(Value(name)) => match name.to_str() {
            Some("run") => Topic::Run,
            Some("check") => Topic::Check,
            Some("simulate") => Topic::Simulate,
            Some("features") => Topic::Features,
            Some("nernst") => Topic::Nernst,
            Some("outbox") => Topic::Outbox,
            Some("key") => Topic::Key,
            Some("health") => Topic::Health,
            _ => return Err(Failure::usage(format_args!("{name:?} is not a command"))),
        },
        Some(other) => return Err(usage(other.unexpected())),
    };
    Ok(Command::Help(topic))
}

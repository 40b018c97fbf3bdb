//! PURE. Arguments of `simulate` and `features`.

use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};
use lexopt::Parser;

use super::{Parsed, integer, named, number, owner_error, path, text, unexpected, usage};
use crate::cli::command::{CliCommand, FeaturesArgs, HelpTopic, SeriesFormat, SimulateArgs};
use crate::cli::failure::Failure;
use crate::config::suggest;
use mycelium_core::features::{self, Compat, FeatureProfile};
use mycelium_core::sim::{self, Boundary, GrayScottPreset, Model, Params, Precision, RawParams};

/// Options that `simulate` and `features` share; whether `option` is one of them.
fn profile_option(parser: &mut Parser, option: &str, profile: &mut FeatureProfile) -> Parsed<bool> {
    match option {
        "compat" => profile.compat = compat(parser)?,
        "threshold" => profile.threshold = named(parser, option)?,
        "connectivity" => profile.connectivity = named(parser, option)?,
        "window" => {
            let (low, high) =
                (*features::WINDOW_FRAMES.start() as u64, *features::WINDOW_FRAMES.end() as u64);
            profile.window = integer(parser, option, low, high)? as usize;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn compat(parser: &mut Parser) -> Parsed<Compat> {
    let text = text(parser, "compat")?;
    if text == Compat::V41_NAME {
        return Ok(Compat::V41);
    }
    Err(Failure::usage(format_args!("--compat is {text:?}; it must be {}", Compat::V41_NAME)))
}

pub(super) fn simulate(parser: &mut Parser) -> Parsed<CliCommand> {
    let mut args = SimulateArgs {
        params: RawParams::default(),
        grid_given: false,
        steps: 1000,
        seed: 42,
        init: None,
        spikes: None,
        state: None,
        history: None,
        every: 1,
        profile: FeatureProfile::DEFAULT,
        format: SeriesFormat::Json,
        sweep: None,
        out: None,
    };
    let mut format_given = false;
    let steps = Params::STEPS;
    while let Some(arg) = parser.next().map_err(usage)? {
        let name = match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(Some(HelpTopic::Simulate))),
            Long(name) => name.to_owned(),
            other => return Err(unexpected(other, HelpTopic::Simulate)),
        };
        match name.as_str() {
            "steps" => args.steps = integer(parser, &name, steps.low as u64, steps.high as u64)?,
            "every" => args.every = integer(parser, &name, 1, steps.high as u64)?,
            "seed" => args.seed = integer(parser, &name, 0, u64::MAX)?,
            "init" => args.init = Some(path(parser, &name)?),
            "spikes" => args.spikes = Some(path(parser, &name)?),
            "state" => args.state = Some(path(parser, &name)?),
            "history" => args.history = Some(path(parser, &name)?),
            "format" => {
                args.format = named(parser, &name)?;
                format_given = true;
            }
            "sweep" => args.sweep = Some(path(parser, &name)?),
            "out" => args.out = Some(path(parser, &name)?),
            other if profile_option(parser, other, &mut args.profile)? => {}
            other => parameter(parser, other, &mut args)?,
        }
    }
    check_combinations(&args, format_given)?;
    if args.init.is_none() || args.grid_given {
        Params::try_from(args.params.clone()).map_err(|why| owner_error(&why.key.replace('_', "-"), &why))?;
    }
    Ok(CliCommand::Simulate(Box::new(args)))
}

/// Rejects options that have no effect without, or together with, others.
fn check_combinations(args: &SimulateArgs, format_given: bool) -> Parsed<()> {
    if args.sweep.is_none() && args.out.is_some() {
        return Err(Failure::usage("--out needs --sweep: it names the table of a sweep"));
    }
    if args.history.is_some() && args.history == args.state {
        return Err(Failure::usage("--history and --state name the same file: one would replace the other"));
    }
    if args.history.is_some() && args.every > args.steps {
        return Err(Failure::usage(format_args!(
            "--every is {}; it must be at most --steps, which is {}: no frame would be written to --history",
            args.every, args.steps
        )));
    }
    let single =
        [("history", args.history.is_some()), ("state", args.state.is_some()), ("format", format_given)];
    match single.iter().find(|(_, given)| *given && args.sweep.is_some()) {
        Some((name, _)) => Err(Failure::usage(format_args!(
            "--sweep and --{name} cannot be used together: a sweep writes one row of CSV per run"
        ))),
        None => Ok(()),
    }
}

/// Options that are parameters of the field.
fn parameter(parser: &mut Parser, option: &str, args: &mut SimulateArgs) -> Parsed<()> {
    let params = &mut args.params;
    let key = match option {
        "model" => return named::<Model>(parser, option).map(|model| params.model = model),
        "precision" => return named::<Precision>(parser, option).map(|p| params.precision = p),
        "boundary" => return named::<Boundary>(parser, option).map(|b| params.boundary = b),
        "preset" => {
            return named::<GrayScottPreset>(parser, option).map(|preset| params.gray_scott_preset = preset);
        }
        "no-turing" => {
            params.turing_enabled = false;
            return Ok(());
        }
        "set" => return assignment(parser, args),
        "grid" => {
            args.grid_given = true;
            "grid"
        }
        "alpha" => "alpha",
        "jitter-variance" => "jitter_variance",
        "spike-probability" => "spike_probability",
        other => return Err(unexpected(Long(other), HelpTopic::Simulate)),
    };
    let value: f64 = number(parser, option, "a number")?;
    args.params.set(key, value).map_err(|why| owner_error(option, &why))
}

/// `--set turing.rate=0.03`: any number of the table `[sim]`.
fn assignment(parser: &mut Parser, args: &mut SimulateArgs) -> Parsed<()> {
    let text = text(parser, "set")?;
    let refused = || {
        Failure::usage(format_args!("--set is {text:?}; it must be NAME=NUMBER, such as turing.rate=0.03"))
    };
    let (key, value) = text.split_once('=').ok_or_else(refused)?;
    let value: f64 = value.parse().map_err(|_| refused())?;
    if !sim::PARAMETERS.iter().any(|parameter| parameter.name == key) {
        let names = sim::PARAMETERS.iter().map(|parameter| parameter.name);
        return Err(Failure::usage(match suggest(key, names) {
            Some(name) => format!("--set: unknown parameter `{key}`; did you mean `{name}`?"),
            None => format!("--set: unknown parameter `{key}`; see the table [sim] in docs/CONFIG.md"),
        }));
    }
    args.grid_given |= key == "grid";
    args.params.set(key, value).map_err(|why| Failure::usage(format_args!("--set: {why}")))
}

pub(super) fn parse_features(parser: &mut Parser) -> Parsed<CliCommand> {
    let mut profile = FeatureProfile::DEFAULT;
    let (mut file, mut each) = (None, false);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(Some(HelpTopic::Features))),
            Long("each") => each = true,
            Long("boundary") => {
                profile.torus = named::<Boundary>(parser, "boundary")? == Boundary::Periodic;
            }
            Value(name) if file.is_none() => file = Some(PathBuf::from(name)),
            Long(name) => {
                let name = name.to_owned();
                if !profile_option(parser, &name, &mut profile)? {
                    return Err(unexpected(Long(&name), HelpTopic::Features));
                }
            }
            other => return Err(unexpected(other, HelpTopic::Features)),
        }
    }
    let file = file.ok_or_else(|| Failure::usage("features needs the name of an NPY file"))?;
    Ok(CliCommand::Features(FeaturesArgs { file, each, profile }))
}

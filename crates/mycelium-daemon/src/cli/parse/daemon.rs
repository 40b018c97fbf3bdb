//! PURE. Arguments of the commands that concern a running daemon or its state directory.

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Parser, ValueExt};

use super::{Parsed, named, path, target, text, unexpected, usage};
use crate::api::Scope;
use crate::cli::command::{
    CliCommand, HealthArgs, HelpTopic, KeyNewArgs, KeyShowArgs, OutboxAction, OutboxArgs, PushArgs,
    StatusArgs,
};
use crate::cli::failure::Failure;
use mycelium_core::range::{OutOfRange, one_of};
use mycelium_outbox::SafeName;

pub(super) fn status(parser: &mut Parser) -> Parsed<CliCommand> {
    let mut args = StatusArgs::default();
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(Some(HelpTopic::Status))),
            Long("json") => args.json = true,
            Long("key-file") => args.key_file = Some(path(parser, "key-file")?),
            Value(url) if args.url.is_none() => args.url = Some(target(&url)?),
            other => return Err(unexpected(other, HelpTopic::Status)),
        }
    }
    Ok(CliCommand::Status(args))
}

pub(super) fn health(parser: &mut Parser) -> Parsed<CliCommand> {
    let mut args = HealthArgs::default();
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(Some(HelpTopic::Health))),
            Long("verbose") | Short('v') => args.verbose = true,
            Long("deliveries") => args.deliveries = true,
            Long("key-file") => args.key_file = Some(path(parser, "key-file")?),
            Value(url) if args.url.is_none() => args.url = Some(target(&url)?),
            other => return Err(unexpected(other, HelpTopic::Health)),
        }
    }
    Ok(CliCommand::Health(args))
}

pub(super) fn key(parser: &mut Parser) -> Parsed<CliCommand> {
    match parser.next().map_err(usage)? {
        Some(Value(action)) if action == "new" => key_new(parser),
        Some(Value(action)) if action == "show" => key_show(parser),
        Some(Long("help") | Short('h')) => Ok(CliCommand::Help(Some(HelpTopic::Key))),
        _ => Err(Failure::usage("key needs `new` or `show`")),
    }
}

fn key_new(parser: &mut Parser) -> Parsed<CliCommand> {
    let mut args = KeyNewArgs { name: "admin".to_owned(), scope: Scope::Admin };
    let mut has_name = false;
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(Some(HelpTopic::Key))),
            Long("name") => {
                args.name = name(parser, "name")?;
                has_name = true;
            }
            Long("scope") => args.scope = named(parser, "scope")?,
            other => return Err(unexpected(other, HelpTopic::Key)),
        }
    }
    if !has_name {
        args.scope.name().clone_into(&mut args.name);
    }
    Ok(CliCommand::KeyNew(args))
}

fn key_show(parser: &mut Parser) -> Parsed<CliCommand> {
    let mut args = KeyShowArgs::default();
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(Some(HelpTopic::Key))),
            Long("data-dir") => args.data_dir = Some(path(parser, "data-dir")?),
            other => return Err(unexpected(other, HelpTopic::Key)),
        }
    }
    Ok(CliCommand::KeyShow(args))
}

/// A name that is also valid in the configuration.
fn name(parser: &mut Parser, option: &str) -> Parsed<String> {
    let text = text(parser, option)?;
    if SafeName::is_valid(&text) {
        return Ok(text);
    }
    Err(Failure::usage(format_args!("--{option} is {text:?}; it must be {}", SafeName::ACCEPTED)))
}

pub(super) fn outbox(parser: &mut Parser) -> Parsed<CliCommand> {
    let action = match parser.next().map_err(usage)? {
        Some(Long("help") | Short('h')) => return Ok(CliCommand::Help(Some(HelpTopic::Outbox))),
        Some(Value(name)) => {
            let why = |why: OutOfRange| {
                Failure::usage(format_args!("outbox {} is not known; it must be {}", why.value, why.accepted))
            };
            name.string().map_err(usage)?.parse().map_err(why)?
        }
        Some(other) => return Err(unexpected(other, HelpTopic::Outbox)),
        None => {
            return Err(Failure::usage(format_args!("outbox needs {}", one_of(OutboxAction::NAMES))));
        }
    };
    let mut args = OutboxArgs { action, config: None, data_dir: None, ids: Vec::new() };
    let takes_ids = matches!(action, OutboxAction::Replay | OutboxAction::Drop);
    let mut all = false;
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(Some(HelpTopic::Outbox))),
            Long("config") => args.config = Some(path(parser, "config")?),
            Long("data-dir") => args.data_dir = Some(path(parser, "data-dir")?),
            Long("all") if takes_ids => all = true,
            Value(id) if takes_ids => {
                let text = id.string().map_err(usage)?;
                let refused = || Failure::usage(format_args!("{text:?} is not the id of a dead letter"));
                args.ids.push(text.parse().map_err(|_| refused())?);
            }
            other => return Err(unexpected(other, HelpTopic::Outbox)),
        }
    }
    if takes_ids && all != args.ids.is_empty() {
        let why =
            format!("outbox {action} needs the ids of dead letters, as `outbox dead` prints them, or --all");
        return Err(Failure::usage(why));
    }
    Ok(CliCommand::Outbox(args))
}

pub(super) fn push(parser: &mut Parser) -> Parsed<CliCommand> {
    let mut args = PushArgs::default();
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Long("help") | Short('h') => return Ok(CliCommand::Help(Some(HelpTopic::Push))),
            Long("type") => args.event_type = Some(text(parser, "type")?),
            Long("socket") => args.socket = Some(path(parser, "socket")?),
            Long("url") => args.url = Some(target(std::ffi::OsStr::new(&text(parser, "url")?))?),
            Long("key-file") => args.key_file = Some(path(parser, "key-file")?),
            Value(file) if args.file.is_none() => args.file = Some(file.into()),
            other => return Err(unexpected(other, HelpTopic::Push)),
        }
    }
    if args.socket.is_some() && args.url.is_some() {
        return Err(Failure::usage("push takes --socket or --url, not both"));
    }
    Ok(CliCommand::Push(args))
}

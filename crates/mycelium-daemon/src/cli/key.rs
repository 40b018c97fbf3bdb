//! `key new`: a key, its digest, and the lines for the configuration.

use std::io::Write;

use super::command::KeyNewArgs;
use super::failure::{ExitStatus, Failure};
use crate::api::NewKey;
use crate::formats::hex::to_hex;

pub(super) fn new(args: &KeyNewArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let key = NewKey::generate().map_err(|why| Failure::new(ExitStatus::Io, why))?;
    let (name, scope, sha256) = (&args.name, args.scope.name(), to_hex(&key.sha256));
    let key = &key.text;
    writeln!(out, "key     {key}\nsha256  {sha256}\n")?;
    writeln!(out, "Save the key now: it is not stored. For the configuration:\n")?;
    Ok(writeln!(out, "[[api.keys]]\nname = \"{name}\"\nscope = \"{scope}\"\nsha256 = \"{sha256}\"")?)
}

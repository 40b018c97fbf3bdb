//! `nernst`: one ion, one line.

use std::io::Write;

use super::command::NernstArgs;
use super::failure::Failure;
use crate::formats::json;

pub(super) fn nernst(args: &NernstArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let mut line = String::new();
    json::JsonObject::new(&mut line).number("potential_mV", args.ion.potential_volts() * 1000.0);
    Ok(writeln!(out, "{line}")?)
}

//! `key new`: a key, its digest, and the lines for the configuration. `key show`: the key that the daemon has created.

use std::io::Write;

use super::command::{KeyNewArgs, KeyShowArgs};
use super::failure::{ExitStatus, Failure};
use super::health::read_key;
use crate::api::NewKey;
use crate::config;
use crate::formats::hex::to_hex;

pub(super) fn new(args: &KeyNewArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let key = NewKey::generate().map_err(|why| Failure::new(ExitStatus::Io, why))?;
    let (name, scope, sha256) = (&args.name, args.scope.name(), to_hex(&key.sha256));
    let key = &key.text;
    writeln!(out, "key     {key}\nsha256  {sha256}\n")?;
    writeln!(out, "Save the key now: it is not stored. For the configuration:\n")?;
    Ok(writeln!(out, "[[api.keys]]\nname = \"{name}\"\nscope = \"{scope}\"\nsha256 = \"{sha256}\"")?)
}

pub(super) fn show(args: &KeyShowArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let file = config::state_dir(args.data_dir.as_deref()).join(config::API_KEY_FILE);
    match read_key(&file) {
        Ok(key) => Ok(writeln!(out, "{key}")?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let file = file.display();
            let why = format!(
                "there is no {file}: the daemon creates it at its first start unless the configuration has [[api.keys]]; \
                 name its state directory with --data-dir"
            );
            Err(Failure::new(ExitStatus::Io, why))
        }
        Err(error) => Err(Failure::io("read", &file, &error)),
    }
}

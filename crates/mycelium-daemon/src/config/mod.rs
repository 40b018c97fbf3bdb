//! The configuration: one file, the environment and options of the command line.
//!
//! Order of the files: `value`, [`keys`] (the table of all keys), `raw` (what is set, and where), `lookup` (reading by
//! key), `build` with `api`, `endpoints`, `webhooks` and `connectors` (the settings of each module), `parse` (all of that; PURE) and
//! `load` (reads files and the environment). A [`Config`] that exists is valid. An option wins over a variable, a
//! variable over the file, the file over the default.

mod api;
mod budget;
mod build;
mod connectors;
mod endpoints;
mod files;
mod key_type;
pub mod keys;
mod load;
mod lookup;
mod parse;
mod print;
mod problem;
mod raw;
mod secrets;
mod settings;
mod state_dir;
mod suggest;
mod value;
mod value_parser;
mod webhooks;

pub use api::API_KEY_FILE;
pub use budget::Budget;
pub use load::{load, unusable_certificates};
pub use parse::{ConfigOverride, LoadedConfig, Sources, parse};
pub use print::commented;
pub use problem::{ConfigProblem, Origin};
pub use raw::MAX_FILE_BYTES;
pub use secrets::{MAX_SECRET_BYTES, Reader};
pub use settings::Config;
pub use state_dir::state_dir;
pub use suggest::suggest;

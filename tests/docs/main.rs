//! Documentation, layout and wording, compared with the code.

mod config;
mod limits;
mod metrics;
mod names;
mod regressions;
mod source;
mod tidy;
mod wording;

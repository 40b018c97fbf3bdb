//! Documentation, layout and wording, compared with the code.

mod config;
mod limits;
mod metrics;
mod names;
mod source;
mod tidy;
mod wording;

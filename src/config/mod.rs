//! From TOML text and environment to a valid configuration, or to a list of everything that is wrong with it.

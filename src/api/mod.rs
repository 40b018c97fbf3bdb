//! The HTTP front: an own loop with seats, deadlines and budgets; routes, keys and rate limits decide (pure).

mod settings;

pub use settings::{Key, Rate, Scope, Settings};

//! Durable, bounded, append-only: what every feature window waits in until a receiver has taken it.

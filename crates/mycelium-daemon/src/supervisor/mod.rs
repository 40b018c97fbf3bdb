//! Starts everything in order, watches it, reloads what may change, and stops everything in order.
//!
//! Nothing depends on this module; it is the only place that knows all the others.

mod api_backend;
mod builder;
mod command_thread;
mod connectors;
mod daemon;
mod error;
mod identity;
mod keys;
mod liveness;
pub mod metrics;
mod notify;
mod outbox_metrics;
mod signals;
pub mod tracing;

use std::path::PathBuf;
use std::time::Duration;

pub use error::Error;

use crate::clock::Mono;
use crate::config::{self, ConfigOverride, LoadedConfig};
use daemon::Daemon;
use signals::{Signal, Signals};

/// Longest sleep of the main thread; also how often the clock is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// What the command line said.
#[derive(Clone, Debug, Default)]
pub struct Start {
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub overrides: Vec<ConfigOverride>,
}

impl Start {
    fn load(&self) -> Result<LoadedConfig, Error> {
        config::load(self.config.as_deref(), self.overrides.clone()).map_err(Error::Config)
    }
}

/// Runs the daemon until it is told to stop.
pub fn run(start: &Start) -> Result<(), Error> {
    let mut loaded = start.load()?;
    crate::telemetry::logs::start(loaded.config.log);
    // Signals are caught before anything starts that would have to be stopped in order.
    let mut signals = Signals::new().map_err(Error::io("catch signals"))?;
    let mut daemon = Daemon::start(&loaded, &config::state_dir(start.data_dir.as_deref()))?;
    notify::ready(&daemon.status());
    let period = notify::watchdog_period();
    let nap = period.unwrap_or(LOOK).min(LOOK);
    let end = loop {
        match signals.wait(nap).map_err(Error::io("wait for signals"))? {
            Some(Signal::Stop) => break Ok(()),
            Some(Signal::Reload) => reload(start, &mut loaded, &daemon),
            None => {}
        }
        // Without its front nobody can ask the daemon anything: what it has is written, and it is started again.
        if let Err(error) = daemon.look(Mono::now(), period.is_some()) {
            break Err(error);
        }
    };
    log::info!("stopping");
    notify::stopping();
    daemon.stop();
    log::info!("stopped");
    end
}

/// Takes over what may change while running; a bad file changes nothing.
fn reload(start: &Start, loaded: &mut LoadedConfig, daemon: &Daemon) {
    notify::reloading();
    match start.load() {
        Ok(new) => {
            for key in loaded.needs_restart(&new) {
                log::warn!("`{key}` has changed; the new value counts after a restart");
            }
            match daemon.reload(&new) {
                Ok(()) => {
                    log::info!("configuration reloaded");
                    *loaded = new;
                }
                Err(error) => log::error!("keeping the old configuration: {error}"),
            }
        }
        Err(error) => log::error!("keeping the old configuration: {error}"),
    }
    notify::ready(&daemon.status());
}

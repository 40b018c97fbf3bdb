//! Starts the parts of the daemon in order, monitors them, reloads the configuration, and stops them in order.
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

pub use error::DaemonError;

use crate::clock::Mono;
use crate::config::{self, ConfigOverride, LoadedConfig};
use daemon::Daemon;
use signals::{Signal, Signals};

/// Longest sleep of the main thread: how often it polls the clock and requests heartbeats.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// Options of the command line.
#[derive(Clone, Debug, Default)]
pub struct StartOptions {
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub overrides: Vec<ConfigOverride>,
}

impl StartOptions {
    fn load(&self) -> Result<LoadedConfig, DaemonError> {
        config::load(self.config.as_deref(), self.overrides.clone()).map_err(DaemonError::Config)
    }
}

/// Runs the daemon until a signal stops it or an essential thread ends.
pub fn run(options: &StartOptions) -> Result<(), DaemonError> {
    let mut loaded = options.load()?;
    crate::telemetry::logs::start(loaded.config.log);
    // Before anything starts: a signal from now on leads to an orderly stop.
    let mut signals = Signals::new().map_err(DaemonError::io("catch signals"))?;
    let mut daemon = Daemon::start(&loaded, &config::state_dir(options.data_dir.as_deref()))?;
    notify::ready(&daemon.status());
    let period = notify::watchdog_period();
    let interval = period.unwrap_or(POLL_INTERVAL).min(POLL_INTERVAL);
    let result = loop {
        match signals.wait(interval).map_err(DaemonError::io("wait for signals"))? {
            Some(Signal::Stop) => break Ok(()),
            Some(Signal::Reload) => reload(options, &mut loaded, &daemon),
            None => {}
        }
        // An essential thread has ended: stop in order, so that the service manager starts a whole daemon again.
        if let Err(error) = daemon.poll(Mono::now(), period.is_some()) {
            break Err(error);
        }
    };
    log::info!("stopping");
    notify::stopping();
    daemon.stop();
    log::info!("stopped");
    result
}

/// Applies the keys that can change while running; an invalid configuration changes nothing.
fn reload(options: &StartOptions, loaded: &mut LoadedConfig, daemon: &Daemon) {
    notify::reloading();
    match options.load() {
        Ok(new) => {
            for key in loaded.needs_restart(&new) {
                log::warn!("`{key}` has changed; restart to apply it");
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

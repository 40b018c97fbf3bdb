//! Signals as values for the main thread, which sleeps until one arrives or its time is over.
//!
//! The main thread does not use the reactor of the HTTP loop: it would wake for every request.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Stop,
    Reload,
}

/// Catches SIGTERM, SIGINT and SIGHUP from now on.
#[derive(Debug)]
pub struct Signals {
    wake: UnixStream,
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        let (wake, sender) = UnixStream::pair()?;
        let stop = Arc::new(AtomicBool::new(false));
        let reload = Arc::new(AtomicBool::new(false));
        for (signal, flag) in [(SIGTERM, &stop), (SIGINT, &stop), (SIGHUP, &reload)] {
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(Self { wake, stop, reload })
    }

    /// Sleeps until a signal arrives or `timeout` is over.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<Option<Signal>> {
        if let Some(signal) = self.pending() {
            return Ok(Some(signal));
        }
        self.wake.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))?;
        let mut bytes = [0; 64];
        match self.wake.read(&mut bytes) {
            Ok(_) => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(e) => return Err(e),
        }
        Ok(self.pending())
    }

    /// A stop takes precedence over a reload.
    fn pending(&self) -> Option<Signal> {
        if self.stop.load(SeqCst) {
            return Some(Signal::Stop);
        }
        self.reload.swap(false, SeqCst).then_some(Signal::Reload)
    }
}

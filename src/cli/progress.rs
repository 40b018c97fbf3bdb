//! A bar on standard error, if that is a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::clock::Mono;

/// Redrawn at most this often.
const PAUSE: Duration = Duration::from_millis(100);
/// Steps between two looks at the clock.
const STRIDE: u64 = 64;
const WIDTH: u64 = 40;

/// Draws nothing unless standard error is a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    total: u64,
    unit: &'static str,
    started: Mono,
    drawn: Option<Mono>,
    visible: bool,
}

impl Progress {
    pub(super) fn new(total: u64, unit: &'static str) -> Self {
        let visible = io::stderr().is_terminal();
        Self { total, unit, started: Mono::now(), drawn: None, visible }
    }

    pub(super) fn at(&mut self, done: u64) {
        if !self.visible || !(done.is_multiple_of(STRIDE) || self.total < STRIDE) {
            return;
        }
        let now = Mono::now();
        // Short runs are over before anybody could read a bar.
        if now.since(self.drawn.unwrap_or(self.started)) >= PAUSE {
            self.drawn = Some(now);
            self.draw(&bar(done, self.total, now.since(self.started), self.unit));
        }
    }

    /// A terminal that went away takes its bar with it.
    fn draw(&mut self, text: &str) {
        let mut err = io::stderr().lock();
        self.visible = write!(err, "\r{text}\x1b[K").and_then(|()| err.flush()).is_ok();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() && self.visible {
            self.draw("");
        }
    }
}

fn bar(done: u64, total: u64, elapsed: Duration, unit: &str) -> String {
    let share = done as f64 / total.max(1) as f64;
    let full = (share * WIDTH as f64) as usize;
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-9);
    let left = Duration::from_secs_f64((total.saturating_sub(done)) as f64 / rate.max(1e-9));
    format!(
        "[{}{}] {:3.0} % of {total} {unit}, {rate:.0}/s, {} s left",
        "#".repeat(full),
        " ".repeat(WIDTH as usize - full),
        share * 100.0,
        left.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_shows_share_rate_and_rest() {
        let text = bar(250, 1000, Duration::from_secs(5), "steps");
        assert_eq!(
            text,
            format!("[{}{}]  25 % of 1000 steps, 50/s, 15 s left", "#".repeat(10), " ".repeat(30))
        );
    }
}

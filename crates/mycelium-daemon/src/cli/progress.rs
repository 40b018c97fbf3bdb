//! A progress bar on standard error, if that is a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::clock::Mono;

/// Shortest time between two drawings.
const PAUSE: Duration = Duration::from_millis(100);
const WIDTH: u64 = 40;
/// Stride of a bar that counts steps, which take microseconds.
pub(super) const STEPS: u64 = 64;

/// Draws nothing unless standard error is a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    total: u64,
    /// Done before this bar started; does not count towards the rate.
    before: u64,
    /// What is counted, and what the rate is called.
    units: [&'static str; 2],
    /// Units between two readings of the clock.
    stride: u64,
    started: Mono,
    drawn: Option<Mono>,
    visible: bool,
}

impl Progress {
    pub(super) fn new(total: u64, before: u64, units: [&'static str; 2], stride: u64) -> Self {
        let visible = io::stderr().is_terminal();
        Self { total, before, units, stride, started: Mono::now(), drawn: None, visible }
    }

    pub(super) fn at(&mut self, done: u64) {
        if !self.visible || !done.is_multiple_of(self.stride) {
            return;
        }
        let now = Mono::now();
        if self.due(now) {
            self.drawn = Some(now);
            self.draw(&self.bar(done, now.since(self.started)));
        }
    }

    /// The first drawing is late enough that short runs show no bar.
    fn due(&self, now: Mono) -> bool {
        now.since(self.drawn.unwrap_or(self.started)) >= PAUSE
    }

    fn bar(&self, done: u64, elapsed: Duration) -> String {
        let Self { total, units: [unit, produced], .. } = *self;
        let share = done as f64 / total.max(1) as f64;
        let full = (share * WIDTH as f64) as usize;
        let rate = (done - self.before) as f64 / elapsed.as_secs_f64().max(1e-9);
        let left = Duration::try_from_secs_f64(total.saturating_sub(done) as f64 / rate.max(1e-9));
        format!(
            "[{}{}] {done} of {total} {unit}, {:.0} %, {rate:.*} {produced}/s, {} s left",
            "#".repeat(full),
            " ".repeat(WIDTH as usize - full),
            share * 100.0,
            // Otherwise a rate of few runs per minute is shown as 0.
            if rate < 10.0 { 3 } else { 0 },
            left.unwrap_or(Duration::MAX).as_secs()
        )
    }

    /// If the terminal is closed, nothing more is drawn.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(total: u64, before: u64, units: [&'static str; 2], stride: u64) -> Progress {
        Progress { visible: true, ..Progress::new(total, before, units, stride) }
    }

    #[test]
    fn the_bar_shows_share_rate_and_remaining_time() {
        let text = shown(1000, 0, ["steps"; 2], 64).bar(250, Duration::from_secs(5));
        assert_eq!(
            text,
            format!("[{}{}] 250 of 1000 steps, 25 %, 50 steps/s, 15 s left", "#".repeat(10), " ".repeat(30))
        );
    }

    /// Regression: they made the rate ten times too high.
    #[test]
    fn runs_done_before_the_start_do_not_count_for_rate_and_remaining_time() {
        let text = shown(1000, 450, ["runs", "rows"], 1).bar(500, Duration::from_secs(100));
        assert!(text.ends_with("] 500 of 1000 runs, 50 %, 0.500 rows/s, 1000 s left"), "{text}");
        let text = shown(10, 5, ["runs", "rows"], 1).bar(5, Duration::from_secs(1));
        assert!(text.ends_with(" 5 of 10 runs, 50 %, 0.000 rows/s, 5000000000 s left"), "{text}");
    }

    /// Regression: runs of ten seconds each showed nothing for 640 seconds.
    #[test]
    fn a_bar_is_drawn_at_each_stride_unless_it_was_drawn_just_before() {
        for (stride, done, want) in [(1, 1, true), (64, 1, false), (64, 64, true)] {
            let mut bar = shown(1000, 0, ["runs", "rows"], stride);
            bar.started = Mono::default();
            bar.at(done);
            assert_eq!(bar.drawn.is_some(), want, "{done} with a stride of {stride}");
            let drawn = bar.drawn;
            bar.at(done);
            assert_eq!(bar.drawn, drawn, "not twice in {PAUSE:?}");
            bar.visible = false;
        }
    }
}

//! Errors of commands and their exit codes.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::command::HelpTopic;
use crate::config::ConfigProblem;
use crate::telemetry::logs::{MAX_LINE_BYTES, Shortened};
use mycelium_core::range::OutOfRange;

/// Exit codes, after `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// `health`: the daemon is not healthy.
    Unhealthy = 1,
    Usage = 64,
    Data = 65,
    /// A condition that is a bug of this program.
    Bug = 70,
    Io = 74,
    Config = 78,
}

/// From now on a panic of any thread prints its place and reason as one line to standard error and ends the process with
/// [`ExitStatus::Bug`]. Durable records are safe: the outbox can be recovered after the process ends at any point.
pub fn exit_on_panic() {
    std::panic::set_hook(Box::new(|bug| {
        let line = format_args!("myceliumd: this is a bug, please report it: {bug}");
        let line = Shortened::new(line, MAX_LINE_BYTES - 1, char::len_utf8).text.replace('\n', " ");
        // Without the lock of standard error, which a thread that blocks in a write may hold for ever.
        let _unused = rustix::io::write(io::stderr(), (line + "\n").as_bytes());
        std::process::exit(ExitStatus::Bug as i32)
    }));
}

/// The messages and the exit code of a command that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `None`: success, because standard output was closed by its reader.
    pub code: Option<ExitStatus>,
    /// One error per line, lower case, without full stop.
    pub lines: Vec<String>,
}

impl Failure {
    pub fn new(code: ExitStatus, text: impl fmt::Display) -> Self {
        Self { code: Some(code), lines: vec![text.to_string()] }
    }

    /// A wrong argument; [`Self::advise`] adds where to look.
    pub fn usage(text: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Usage, text)
    }

    /// Points to the help of the command, if an argument is wrong.
    #[must_use]
    pub fn advise(mut self, topic: Option<HelpTopic>) -> Self {
        if let (Some(ExitStatus::Usage), Some(line)) = (self.code, self.lines.last_mut()) {
            let command = topic.map_or_else(String::new, |topic| format!(" {topic}"));
            line.push_str(&format!("; see `myceliumd{command} --help`"));
        }
        self
    }

    pub fn data(file: &Path, text: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Data, format_args!("{}: {text}", file.display()))
    }

    pub fn io(verb: &str, file: &Path, error: &io::Error) -> Self {
        Self::new(ExitStatus::Io, format_args!("cannot {verb} {}: {error}", file.display()))
    }

    pub fn config(problems: &[ConfigProblem]) -> Self {
        Self { code: Some(ExitStatus::Config), lines: problems.iter().map(ToString::to_string).collect() }
    }

    /// Prints to standard error; errors of that are ignored.
    pub fn report(&self) -> ExitCode {
        use io::Write;
        let mut err = io::stderr().lock();
        for line in &self.lines {
            if writeln!(err, "myceliumd: {line}").is_err() {
                break;
            }
        }
        self.code.map_or(ExitCode::SUCCESS, |code| ExitCode::from(code as u8))
    }
}

/// Errors of standard output; a closed pipe is not an error.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: None, lines: Vec::new() };
        }
        Self::new(ExitStatus::Io, format_args!("cannot write to standard output: {error}"))
    }
}

impl From<OutOfRange> for Failure {
    fn from(why: OutOfRange) -> Self {
        Self::usage(why)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const CHILD: &str = "END_WITH_A_PANIC";

    /// Regression: the process ended by SIGABRT. The child process is this test; it holds the lock of standard error.
    /// Mutants seen red: no hook; the line written through the lock (the child hangs).
    #[test]
    fn a_panic_of_any_thread_ends_the_process_with_70_and_one_line_that_says_where_and_why() {
        if std::env::var_os(CHILD).is_some() {
            exit_on_panic();
            let held = io::stderr().lock();
            let ended = std::thread::spawn(|| panic!("first\nsecond {}", "x".repeat(60_000))).join();
            drop(held);
            unreachable!("the process has ended: {ended:?}");
        }
        let name = "cli::failure::tests::a_panic_of_any_thread_ends_the_process_with_70_and_one_line_that_says_where_and_why";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let stderr = String::from_utf8(child.stderr).unwrap();
        assert_eq!(child.status.code(), Some(ExitStatus::Bug as i32), "{stderr}");
        assert!(
            stderr.starts_with("myceliumd: this is a bug, please report it: panicked at crates/mycelium-daemon/src/cli/failure.rs:"),
            "{stderr}"
        );
        assert!(stderr.contains(": first second xxx") && stderr.lines().count() == 1, "{stderr}");
        assert!(stderr.ends_with(" bytes)\n") && stderr.len() <= MAX_LINE_BYTES, "{stderr}");
    }
}

//! Why a command failed, and with which exit code.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::config::Problem;
use mycelium_core::range::OutOfRange;

/// Exit codes, after `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// `health`: the daemon is not well.
    Unhealthy = 1,
    Usage = 64,
    Data = 65,
    /// A condition that is a bug of this program.
    Bug = 70,
    Io = 74,
    Config = 78,
}

/// From here on a panic of any thread says on one line of standard error where it was and why, and ends the process with
/// [`Code::Bug`]. What is durable stays so: the outbox survives the loss of the process at any point.
pub fn exit_on_panic() {
    std::panic::set_hook(Box::new(|bug| {
        let line = format!("myceliumd: this is a bug, please report it: {bug}").replace('\n', " ");
        // Not through the lock of standard error, which a thread that waits for its reader may hold for ever.
        let _told = rustix::io::write(io::stderr(), (line + "\n").as_bytes());
        std::process::exit(ExitStatus::Bug as i32)
    }));
}

/// What to say and how to end. An empty text ends quietly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `None`: with success, because whoever read the answer has read enough.
    pub code: Option<ExitStatus>,
    /// One finding per line, lower case, without full stop.
    pub lines: Vec<String>,
}

impl Failure {
    pub fn new(code: ExitStatus, text: impl fmt::Display) -> Self {
        Self { code: Some(code), lines: vec![text.to_string()] }
    }

    /// A wrong argument; says where help is.
    pub fn usage(text: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Usage, format_args!("{text}; see `myceliumd --help`"))
    }

    pub fn data(file: &Path, text: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Data, format_args!("{}: {text}", file.display()))
    }

    pub fn io(verb: &str, file: &Path, error: &io::Error) -> Self {
        Self::new(ExitStatus::Io, format_args!("cannot {verb} {}: {error}", file.display()))
    }

    pub fn config(problems: &[Problem]) -> Self {
        Self { code: Some(ExitStatus::Config), lines: problems.iter().map(ToString::to_string).collect() }
    }

    /// Prints to standard error; a closed one is nobody's loss.
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

/// Errors of standard output: a pipe that was closed is no failure.
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

    /// It used to end by SIGABRT. The child is this test itself; one of its threads holds the lock of standard error.
    /// Mutants seen: without the hook it is red, with the line written through the lock it hangs.
    #[test]
    fn a_panic_of_any_thread_ends_the_process_with_70_and_one_line_that_says_where_and_why() {
        if std::env::var_os(CHILD).is_some() {
            exit_on_panic();
            let held = io::stderr().lock();
            let ended = std::thread::spawn(|| panic!("first\nsecond")).join();
            drop(held);
            unreachable!("the process has ended: {ended:?}");
        }
        let name = "cli::failure::tests::a_panic_of_any_thread_ends_the_process_with_70_and_one_line_that_says_where_and_why";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8(child.stderr).unwrap();
        assert_eq!(child.status.code(), Some(ExitStatus::Bug as i32), "{said}");
        assert!(
            said.starts_with("myceliumd: this is a bug, please report it: panicked at crates/mycelium-daemon/src/cli/failure.rs:"),
            "{said}"
        );
        assert!(said.ends_with(": first second\n") && said.lines().count() == 1, "{said}");
    }
}

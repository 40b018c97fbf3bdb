//! The logger: applies the rate limit under a short lock, writes without it, and never fails.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

use super::line::Line;
use super::rate_limit::{LineRateLimit, LineSource};
use super::settings::{LogFormat, LogSettings};
use super::target::stable;
use crate::clock::{Mono, Wall};
use crate::sync::lock;

/// How lines are written to standard error.
enum Writer {
    /// A terminal, in colour.
    Terminal(SimpleLogger),
    /// A file or pipe.
    Text,
    /// The socket of journald.
    Journal,
    Json,
}

struct Logger {
    writer: Writer,
    limit: Mutex<LineRateLimit>,
    suppressed: AtomicU64,
    lost: AtomicU64,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Starts logging to standard error; a second call only changes the level.
pub fn start(settings: LogSettings) {
    let logger = LOGGER.get_or_init(|| Logger {
        writer: writer(settings.format),
        limit: Mutex::new(LineRateLimit::new()),
        suppressed: AtomicU64::new(0),
        lost: AtomicU64::new(0),
    });
    // Fails if a logger was set before, which is this one.
    drop(log::set_logger(logger));
    set_level(settings.level);
}

/// Takes effect at once, for all threads.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Lines since the start that the rate limit suppressed, and lines that could not be written.
pub fn unwritten_lines() -> (u64, u64) {
    LOGGER.get().map_or((0, 0), |logger| (logger.suppressed.load(Relaxed), logger.lost.load(Relaxed)))
}

fn writer(format: LogFormat) -> Writer {
    match format {
        LogFormat::Json => Writer::Json,
        LogFormat::Text if io::stderr().is_terminal() => Writer::Terminal(SimpleLogger::new()),
        LogFormat::Text if is_journal() => Writer::Journal,
        LogFormat::Text => Writer::Text,
    }
}

/// `JOURNAL_STREAM` names device and inode of the journal; standard error may have been redirected since.
fn is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    rustix::fs::fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

impl Log for Logger {
    /// Lines of the daemon at the configured level, lines of libraries from `error`: at `warn` the TLS library quotes
    /// what strangers send, and at `debug` the HTTP client writes whole URLs, which may hold a secret. No level enables
    /// that.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        stable(metadata.target()).is_some() || metadata.level() <= Level::Error
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let suppressed = if record.level() <= Level::Warn {
            let Some(suppressed) = lock(&self.limit).admit(source(record), Mono::now()) else {
                self.suppressed.fetch_add(1, Relaxed);
                return;
            };
            suppressed
        } else {
            0
        };
        let target = stable(record.target()).unwrap_or(record.target());
        self.write(&Line { record, target, at: Wall::now(), suppressed });
    }

    fn flush(&self) {}
}

impl Logger {
    fn write(&self, line: &Line<'_, '_>) {
        let text = match &self.writer {
            Writer::Terminal(logger) => {
                if terminal_is_open() {
                    write_to_terminal(logger, line);
                } else {
                    self.lost.fetch_add(1, Relaxed);
                }
                return;
            }
            Writer::Text => line.text(),
            Writer::Journal => line.journal(),
            Writer::Json => line.json(),
        };
        // One call per line, so that lines of several threads do not mix. An error is counted only: a full disk or a
        // closed pipe must not stop the daemon.
        if io::stderr().lock().write_all(text.as_bytes()).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// `simple_logger` is built without its clock: the time is put in front of the target.
fn write_to_terminal(logger: &SimpleLogger, line: &Line<'_, '_>) {
    let target = format!("{} {}", line.at, line.target);
    let message = line.message();
    let args = format_args!("{message}");
    logger.log(&Record::builder().args(args).level(line.record.level()).target(&target).build());
}

/// `simple_logger` panics on a closed standard error, and a terminal may hang up while the daemon goes on.
fn terminal_is_open() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let err = io::stderr();
    let mut fds = [PollFd::new(&err, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok() && !fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// The line of code, and the endpoint or connector in the fields: errors of one must not suppress those of another.
fn source(record: &Record<'_>) -> LineSource {
    let mut hasher = DefaultHasher::new();
    (record.file(), record.line(), record.target()).hash(&mut hasher);
    for key in ["endpoint", "connector"] {
        if let Some(name) = record.key_values().get(log::kv::Key::from_str(key)) {
            name.to_string().hash(&mut hasher);
        }
    }
    LineSource(hasher.finish())
}

#[cfg(test)]
mod tests {
    use log::kv::Value;

    use super::*;

    /// Two endpoints log from one line of code. Seen red with the names left out of `source`.
    #[test]
    fn the_rate_limit_of_one_endpoint_does_not_suppress_the_lines_of_another() {
        let logger = Logger {
            writer: Writer::Json,
            limit: Mutex::new(LineRateLimit::new()),
            suppressed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        };
        for key in ["endpoint", "connector"] {
            let before = logger.suppressed.load(Relaxed);
            let write = |name: &'static str| {
                let fields: &[(&str, Value<'_>)] = &[(key, Value::from(name))];
                let args = format_args!("a line of a test");
                logger.log(
                    &Record::builder()
                        .args(args)
                        .level(Level::Warn)
                        .target("mycelium_daemon::api")
                        .file(Some(key))
                        .line(Some(7))
                        .key_values(&fields)
                        .build(),
                );
                logger.suppressed.load(Relaxed) - before
            };
            let loud: Vec<u64> = (0..30).map(|_| write("loud")).collect();
            assert_eq!((loud[9], loud[29]), (0, 20), "ten of one are written");
            assert_eq!(write("quiet"), 20, "{key}: the line of the other is written");
            assert_eq!(write("loud"), 21);
        }
    }
}

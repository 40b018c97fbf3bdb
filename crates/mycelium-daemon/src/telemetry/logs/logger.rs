//! The logger: decides under a short lock, writes outside of it, and never fails.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

use super::line::{Line, short};
use super::rate_limit::{Place, Repeats};
use super::settings::{LogFormat, LogSettings};
use crate::clock::{Mono, Wall};
use crate::sync::lock;

/// Which writer suits standard error.
enum Writer {
    /// People watch: `simple_logger`.
    Terminal(SimpleLogger),
    /// A file or pipe.
    Text,
    /// journald's socket.
    Journal,
    Json,
}

struct Logger {
    writer: Writer,
    repeats: Mutex<Repeats>,
    suppressed: AtomicU64,
    lost: AtomicU64,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Starts logging to standard error; a second call only changes the level.
pub fn start(settings: LogSettings) {
    let logger = LOGGER.get_or_init(|| Logger {
        writer: writer(settings.format),
        repeats: Mutex::new(Repeats::new()),
        suppressed: AtomicU64::new(0),
        lost: AtomicU64::new(0),
    });
    // Fails when there is a logger already, which then is this one.
    drop(log::set_logger(logger));
    set_level(settings.level);
}

/// Takes effect at once, for all threads.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Lines that were counted instead of written, and lines that could not be written, since the start.
pub fn not_written() -> (u64, u64) {
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

/// systemd says in the environment which device and inode its journal has; standard error may be another.
fn is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    rustix::fs::fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

impl Log for Logger {
    /// Our own lines at the level that was asked for; what libraries say only if it matters. At `debug` the
    /// HTTP client writes whole URLs, and a webhook's URL may be a secret: no level lets that through.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mycelium") || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let repeats = if record.level() <= Level::Warn {
            let mut repeats = lock(&self.repeats);
            if let Some(suppressed) = repeats.admit(place(record), Mono::now()) {
                suppressed
            } else {
                self.suppressed.fetch_add(1, Relaxed);
                return;
            }
        } else {
            0
        };
        self.write(&Line { record, at: Wall::now(), repeats });
    }

    fn flush(&self) {}
}

impl Logger {
    fn write(&self, line: &Line<'_, '_>) {
        let text = match &self.writer {
            Writer::Terminal(logger) => {
                if terminal_is_there() {
                    on_terminal(logger, line);
                } else {
                    self.lost.fetch_add(1, Relaxed);
                }
                return;
            }
            Writer::Text => line.text(),
            Writer::Journal => line.journal(),
            Writer::Json => line.json(),
        };
        // One call per line, so that lines of threads do not mix; a full disk or a closed pipe must not stop
        // the daemon.
        if io::stderr().lock().write_all(text.as_bytes()).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// `simple_logger` has no clock here: the time goes in front of the target.
fn on_terminal(logger: &SimpleLogger, line: &Line<'_, '_>) {
    let target = format!("{} {}", line.at, short(line.record.target()));
    let message = line.message();
    let args = format_args!("{message}");
    logger.log(&Record::builder().args(args).level(line.record.level()).target(&target).build());
}

/// `simple_logger` panics when standard error is gone, and a terminal may hang up while the daemon stays.
fn terminal_is_there() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let err = io::stderr();
    let mut fds = [PollFd::new(&err, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok() && !fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// The line of code, and the endpoint or connector if it names one: trouble with one must not hide another's.
fn place(record: &Record<'_>) -> Place {
    let mut hasher = DefaultHasher::new();
    (record.file(), record.line(), record.target()).hash(&mut hasher);
    for key in ["endpoint", "connector"] {
        if let Some(name) = record.key_values().get(log::kv::Key::from_str(key)) {
            name.to_string().hash(&mut hasher);
        }
    }
    Place(hasher.finish())
}

#[cfg(test)]
mod tests {
    use log::kv::Value;

    use super::*;

    /// One line of code of which two speak; seen red with the names left out of `place`.
    #[test]
    fn an_endpoint_in_trouble_takes_no_lines_from_another_through_the_logger_itself() {
        let logger = Logger {
            writer: Writer::Json,
            repeats: Mutex::new(Repeats::new()),
            suppressed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        };
        for key in ["endpoint", "connector"] {
            let before = logger.suppressed.load(Relaxed);
            let say = |name: &'static str| {
                let fields: &[(&str, Value<'_>)] = &[(key, Value::from(name))];
                let args = format_args!("a test says this");
                logger.log(
                    &Record::builder()
                        .args(args)
                        .level(Level::Warn)
                        .target("mycelium_daemon::x")
                        .file(Some(key))
                        .line(Some(7))
                        .key_values(&fields)
                        .build(),
                );
                logger.suppressed.load(Relaxed) - before
            };
            let loud: Vec<u64> = (0..30).map(|_| say("loud")).collect();
            assert_eq!((loud[9], loud[29]), (0, 20), "ten of one are written");
            assert_eq!(say("quiet"), 20, "{key}: the other one's line is written");
            assert_eq!(say("loud"), 21);
        }
    }
}

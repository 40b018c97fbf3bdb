//! `push`: lines of JSON to the events of a running daemon, each made durable.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::command::PushArgs;
use super::failure::{ExitStatus, Failure};
use super::health::{Target, own_key_file, read_key};
use super::push_transport::{EventsReply, Transport};
use crate::clock::Mono;
use crate::events::MAX_EVENTS;
use crate::formats::json::{self, JsonObject};

/// Bytes of one line: an event may have 60 KiB.
const MAX_LINE_BYTES: usize = 60 << 10;
/// Bytes of the lines of one request; with what is added to each, its body stays below 64 KiB.
const MAX_BATCH_BYTES: usize = 40 << 10;
/// Lines that are read ahead.
const QUEUED_LINES: usize = 64;
/// How long a batch waits for more lines.
const LINGER: Duration = Duration::from_millis(5);
/// How long a batch is tried again before the command gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// Longest pause between two attempts, in seconds.
const MAX_PAUSE_SECONDS: u64 = 10;

/// One line of the input that is not empty.
struct Line {
    /// From 1.
    number: u64,
    text: String,
    is_cloud_event: bool,
}

/// What a reader thread sends.
type ReadLine = Result<Line, LineError>;

/// A line that cannot be sent.
struct LineError {
    status: ExitStatus,
    text: String,
}

pub(super) fn push(args: &PushArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let target = args.url.as_deref().map(Target::parse).transpose()?;
    let own = || own_key_file(target.as_ref());
    let key = match (&args.key_file, own()) {
        (Some(file), _) => Some(read_key(file).map_err(|error| Failure::io("read", file, &error))?),
        (None, Some(file)) => read_key(&file).ok(),
        (None, None) => None,
    };
    let transport = Transport::new(args.socket.as_deref(), target, key);
    let input = args.file.as_deref().filter(|file| *file != Path::new("-"));
    let lines = read_lines(input)?;
    let mut sender =
        BatchSender { transport, event_type: args.event_type.as_deref(), run: fastrand::u64(..), durable: 0 };
    let result = sender.send_all(&lines);
    let durable = sender.durable;
    match result {
        Ok(0) => Ok(writeln!(out, "nothing to send")?),
        Ok(events) => Ok(writeln!(out, "{events} events are durable, up to line {durable}")?),
        Err(LineError { status, text }) => {
            let last = match durable {
                0 => "no line is durable".to_owned(),
                line => format!("line {line} is the last durable one"),
            };
            Err(Failure::new(status, format_args!("{text}; {last}")))
        }
    }
}

/// Reads lines on a separate thread, so that a batch can be sent while a pipe is silent.
fn read_lines(file: Option<&Path>) -> Result<Receiver<ReadLine>, Failure> {
    let input: Box<dyn Read + Send> = match file {
        Some(file) => Box::new(File::open(file).map_err(|error| Failure::io("open", file, &error))?),
        None => Box::new(io::stdin()),
    };
    let (sender, receiver) = sync_channel(QUEUED_LINES);
    std::thread::spawn(move || {
        let mut input = BufReader::new(input);
        for number in 1.. {
            let Some(line) = next_line(&mut input, number).transpose() else { return };
            let failed = line.is_err();
            let is_blank = line.as_ref().is_ok_and(|line| line.text.is_empty());
            if !is_blank && sender.send(line).is_err() || failed {
                return;
            }
        }
    });
    Ok(receiver)
}

/// The next line without white space around it; `None` at the end.
fn next_line(input: &mut impl BufRead, number: u64) -> Result<Option<Line>, LineError> {
    let error =
        |status, why: &dyn std::fmt::Display| LineError { status, text: format!("line {number}: {why}") };
    let mut bytes = Vec::new();
    let read = input.take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut bytes);
    match read.map_err(|e| error(ExitStatus::Io, &e))? {
        0 => return Ok(None),
        n if n > MAX_LINE_BYTES => {
            return Err(error(
                ExitStatus::Data,
                &format_args!("longer than {MAX_LINE_BYTES} bytes: split the event"),
            ));
        }
        _ => {}
    }
    let text = String::from_utf8(bytes).map_err(|_| error(ExitStatus::Data, &"not valid UTF-8"))?;
    let text = text.trim();
    if !text.is_empty() {
        json::check(text).map_err(|e| error(ExitStatus::Data, &e))?;
    }
    let is_cloud_event = json::members(text).any(|member| member.key == "specversion");
    Ok(Some(Line { number, text: text.to_owned(), is_cloud_event }))
}

struct BatchSender<'a> {
    transport: Transport,
    event_type: Option<&'a str>,
    /// Makes the ids of this run different from those of others.
    run: u64,
    /// Last line that is durable with all before it; 0 before the first.
    durable: u64,
}

impl BatchSender<'_> {
    /// Sends all lines in batches, as they arrive; the number of events.
    fn send_all(&mut self, lines: &Receiver<ReadLine>) -> Result<u64, LineError> {
        let (mut events, mut next) = (0, None);
        loop {
            let Some(first) = next.take().or_else(|| lines.recv().ok()) else { return Ok(events) };
            let first = first?;
            let form = first.is_cloud_event;
            let mut bytes = first.text.len();
            let mut batch = vec![first];
            while batch.len() < MAX_EVENTS {
                match lines.recv_timeout(LINGER) {
                    Ok(Ok(line))
                        if line.is_cloud_event == form && bytes + line.text.len() <= MAX_BATCH_BYTES =>
                    {
                        bytes += line.text.len();
                        batch.push(line);
                    }
                    Ok(other) => {
                        next = Some(other);
                        break;
                    }
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
            self.send(&batch)?;
            events += batch.len() as u64;
            self.durable = batch.last().map_or(self.durable, |line| line.number);
        }
    }

    /// The body of a request and its media type. Lines without an id get one, so that they can be sent again.
    fn body(&self, batch: &[Line]) -> Result<(String, &'static str), LineError> {
        let mut text = String::with_capacity(1024);
        if batch[0].is_cloud_event {
            text.push('[');
            for line in batch {
                if text.len() > 1 {
                    text.push(',');
                }
                text.push_str(&line.text);
            }
            text.push(']');
            return Ok((text, "application/cloudevents-batch+json"));
        }
        let Some(event_type) = self.event_type else {
            let text = format!("line {} has no `specversion`: name its type with --type", batch[0].number);
            return Err(LineError { status: ExitStatus::Data, text });
        };
        let mut object = JsonObject::new(&mut text);
        let mut items = object.array("items");
        for line in batch {
            let id = format!("push-{:016x}-{}", self.run, line.number);
            items.object().string("type", event_type).string("id", &id).raw("data", &line.text);
        }
        drop(items);
        drop(object);
        Ok((text, "application/json"))
    }

    /// Returns once the batch is durable. An attempt without a definite response is repeated with the same ids.
    fn send(&mut self, batch: &[Line]) -> Result<(), LineError> {
        let (body, media) = self.body(batch)?;
        let (first, last) = (batch[0].number, batch[batch.len() - 1].number);
        let start = Mono::now();
        let mut pause = 1;
        loop {
            let (text, after) = match self.transport.post(&body, media) {
                Ok(EventsReply { status: 202, body, .. }) if is_durable(&body) => return Ok(()),
                Ok(EventsReply { status: 202, .. }) => {
                    ("the daemon has accepted it and the disk not yet".to_owned(), None)
                }
                Ok(EventsReply { status: 429 | 500.., detail, retry_after, .. }) => (detail, retry_after),
                Ok(EventsReply { status, detail, .. }) => {
                    let line = faulty_line(&detail, batch).unwrap_or(first);
                    let code =
                        if status == 401 || status == 403 { ExitStatus::Config } else { ExitStatus::Data };
                    let text = format!("line {line} was refused with {status}: {detail}");
                    return Err(LineError { status: code, text });
                }
                Err(error) => (error, None),
            };
            if Mono::now().since(start) > PATIENCE {
                let text = format!("lines {first} to {last} could not be stored: {text}");
                return Err(LineError { status: ExitStatus::Io, text });
            }
            std::thread::sleep(Duration::from_secs(after.unwrap_or(pause).clamp(1, MAX_PAUSE_SECONDS)));
            pause = (pause * 2).min(MAX_PAUSE_SECONDS);
        }
    }
}

fn is_durable(body: &str) -> bool {
    json::members(body).any(|member| member.key == "durable" && member.value == "true")
}

/// The line that a message such as "`items[3].type` .." is about.
fn faulty_line(detail: &str, batch: &[Line]) -> Option<u64> {
    let (_, rest) = detail.split_once('[')?;
    let (index, _) = rest.split_once(']')?;
    batch.get(index.parse::<usize>().ok()?).map(|line| line.number)
}

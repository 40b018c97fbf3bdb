//! Runs what may block on the disk for the HTTP loop and the main thread: commits, replays of dead letters, and the
//! record that the clock is synchronized.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::clock::Stamp;
use crate::net::WorkerControl;
use crate::telemetry::trace::RequestOrigin;
use mycelium_outbox::OutboxHandle;

/// Commands in the queue; one more is refused as busy.
const QUEUE: usize = 8;

/// What to do, and which request asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Commit now and deliver without lingering.
    Flush(RequestOrigin),
    /// Hand all dead letters to delivery again.
    Replay(RequestOrigin),
    ClockSynced(Stamp),
}

/// Sends to the queue of the thread; the thread ends with the last sender.
#[derive(Clone, Debug)]
pub struct CommandThread(SyncSender<Command>);

impl CommandThread {
    pub fn start(outbox: OutboxHandle, endpoints: Vec<WorkerControl>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        thread::Builder::new()
            .name("commands".into())
            .stack_size(128 << 10)
            .spawn(move || run(&receiver, &outbox, &endpoints))?;
        Ok(Self(sender))
    }

    /// False if the queue is full.
    pub fn send(&self, command: Command) -> bool {
        self.0.try_send(command).is_ok()
    }
}

fn run(commands: &Receiver<Command>, outbox: &OutboxHandle, endpoints: &[WorkerControl]) {
    for command in commands {
        let (origin, result) = match command {
            Command::ClockSynced(stamp) => {
                if let Err(error) = outbox.clock_synced(stamp) {
                    log::warn!("cannot record that the clock is synchronized: {error}");
                }
                continue;
            }
            Command::Flush(origin) => (origin, outbox.flush().map(|_| None)),
            Command::Replay(origin) => (origin, outbox.replay_dead_letters(Vec::new()).map(Some)),
        };
        let RequestOrigin { request_id, trace_id, span_id } = &origin;
        let (request_id, trace_id, span_id) = (&**request_id, &**trace_id, &**span_id);
        match result {
            Ok(replayed) => {
                if let Some(count) = replayed {
                    log::info!(request_id, trace_id, span_id; "dead letters handed to delivery again: {count}");
                }
                endpoints.iter().for_each(WorkerControl::flush);
            }
            Err(error) => {
                log::warn!(request_id, trace_id, span_id; "cannot do what the API asked of the outbox: {error}");
            }
        }
    }
}

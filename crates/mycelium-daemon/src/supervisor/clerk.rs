//! Does for the HTTP loop and the main thread what may wait for the disk: commits, sending dead letters again, and the note
//! that the clock is right.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use crate::clock::Stamp;
use crate::delivery::Control;
use crate::telemetry::trace::RequestOrigin;
use mycelium_outbox::handle::Handle;

/// Errands that may wait; one more is answered with "busy".
const WAITING: usize = 8;

/// What is to be done, and which request asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Commit now and send without lingering.
    Flush(RequestOrigin),
    /// Hand all dead letters to delivery again.
    Replay(RequestOrigin),
    ClockSynced(Stamp),
}

/// Where errands are left.
#[derive(Clone, Debug)]
pub struct Clerk(SyncSender<Errand>);

impl Clerk {
    pub fn start(outbox: Handle, webhooks: Vec<Control>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        thread::Builder::new()
            .name("clerk".into())
            .stack_size(128 << 10)
            .spawn(move || work(&receiver, &outbox, &webhooks))?;
        Ok(Self(sender))
    }

    /// False when too many errands wait already.
    pub fn send(&self, errand: Errand) -> bool {
        match self.0.try_send(errand) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

fn work(errands: &Receiver<Errand>, outbox: &Handle, webhooks: &[Control]) {
    for errand in errands {
        let (replay, origin) = match errand {
            Errand::ClockSynced(stamp) => {
                if let Err(error) = outbox.clock_synced(stamp) {
                    log::warn!("cannot note that the clock is synchronized: {error}");
                }
                continue;
            }
            Errand::Flush(origin) => (false, origin),
            Errand::Replay(origin) => (true, origin),
        };
        let (request_id, trace_id, span_id) = (&*origin.request_id, &*origin.trace_id, &*origin.span_id);
        let done =
            if replay { outbox.dead_replay(Vec::new()).map(Some) } else { outbox.flush().map(|_| None) };
        match done {
            Ok(replayed) => {
                if let Some(count) = replayed {
                    log::info!(request_id, trace_id, span_id; "{count} dead letters are sent again");
                }
                webhooks.iter().for_each(Control::flush);
            }
            Err(error) => {
                log::warn!(request_id, trace_id, span_id; "cannot do what the API origin of the outbox: {error}");
            }
        }
    }
}

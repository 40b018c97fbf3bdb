//! Does for the HTTP loop what may wait for the disk: commits, and sending dead letters again.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use crate::delivery::Control;
use crate::outbox::handle::Handle;

/// Errands that may wait; one more is answered with "busy".
const WAITING: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Commit now and send without lingering.
    Flush,
    /// Hand all dead letters to delivery again.
    Replay,
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
        let done = match errand {
            Errand::Flush => outbox.flush().map(|_| ()),
            Errand::Replay => outbox.dead_replay(Vec::new()).map(|count| {
                log::info!("{count} dead letters are sent again");
            }),
        };
        match done {
            Ok(()) => webhooks.iter().for_each(Control::flush),
            Err(error) => log::warn!("cannot do what the API asked of the outbox: {error}"),
        }
    }
}

//! One thread for work of one sort, started with the first piece of it: the loop never computes and never waits
//! for a disk. Simulations have one, reading dead letters has another, so that neither waits for the other.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use smol::channel::{Receiver, Sender, TrySendError, bounded};

use crate::api::http::problem::Problem;

/// Pieces of work that may wait behind the one under way.
const MAX_QUEUED: usize = 4;
/// Simulators live on the heap; their stimulus queues pass over the stack once.
const STACK: usize = 512 * 1024;

type Job = Box<dyn FnOnce() + Send>;

pub struct JobThread {
    /// Name of the thread, and what it does in the plural, for those who are turned away.
    name: &'static str,
    work: &'static str,
    queue: OnceCell<Sender<Job>>,
}

/// Work under way; dropping this calls it off.
pub struct JobHandle<T> {
    result: Receiver<T>,
    cancelled: Arc<AtomicBool>,
}

impl JobThread {
    pub const fn new(name: &'static str, work: &'static str) -> Self {
        Self { name, work, queue: OnceCell::new() }
    }

    /// Whether one more piece would be turned away.
    pub fn is_full(&self) -> bool {
        self.queue.get().is_some_and(Sender::is_full)
    }

    /// Queues work; `work` looks at its flag every so often and gives up once it is set.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
    ) -> Result<JobHandle<T>, Problem> {
        let queue = if let Some(queue) = self.queue.get() {
            queue
        } else {
            let queue = spawn(self.name)
                .map_err(|e| Problem::busy(format!("cannot start a thread for {}: {e}", self.work), 10))?;
            self.queue.get_or_init(|| queue)
        };
        let (sender, result) = bounded(1);
        let cancelled = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&cancelled);
        let job = move || {
            if !flag.load(Relaxed) {
                // The client may be gone by now; then nobody wants the result.
                drop(sender.try_send(work(&flag)));
            }
        };
        match queue.try_send(Box::new(job)) {
            Ok(()) => Ok(JobHandle { result, cancelled }),
            Err(TrySendError::Full(_)) => {
                Err(Problem::busy(format!("{} are queued up already: try again", self.work), 1))
            }
            Err(TrySendError::Closed(_)) => Err(Problem::busy(format!("{} have ended", self.work), 10)),
        }
    }
}

fn spawn(name: &str) -> std::io::Result<Sender<Job>> {
    let (sender, jobs) = bounded::<Job>(MAX_QUEUED);
    std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(move || {
        while let Ok(job) = jobs.recv_blocking() {
            job();
        }
    })?;
    Ok(sender)
}

impl<T> JobHandle<T> {
    /// `None` when the work ended without one.
    pub async fn result(self) -> Option<T> {
        self.result.recv().await.ok()
    }
}

impl<T> Drop for JobHandle<T> {
    fn drop(&mut self) {
        self.cancelled.store(true, Relaxed);
    }
}

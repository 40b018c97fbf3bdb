//! One thread for simulations on request, started with the first of them: the loop never computes.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use smol::channel::{Receiver, Sender, TrySendError, bounded};

use super::problem::Problem;

/// Simulations that may wait behind the one at work.
const MAX_QUEUED: usize = 4;
/// Simulators live on the heap; their stimulus queues pass over the stack once.
const STACK: usize = 512 * 1024;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub struct Worker {
    queue: OnceCell<Sender<Job>>,
}

/// Work under way; dropping this calls it off.
pub struct Running<T> {
    result: Receiver<T>,
    cancelled: Arc<AtomicBool>,
}

impl Worker {
    /// Queues work; `work` looks at its flag every so often and gives up once it is set.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
    ) -> Result<Running<T>, Problem> {
        let queue = if let Some(queue) = self.queue.get() {
            queue
        } else {
            let queue = spawn()
                .map_err(|e| Problem::busy(format!("cannot start a thread for simulations: {e}"), 10))?;
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
            Ok(()) => Ok(Running { result, cancelled }),
            Err(TrySendError::Full(_)) => {
                Err(Problem::busy("simulations are queued up already: try again", 1))
            }
            Err(TrySendError::Closed(_)) => Err(Problem::busy("simulations have ended", 10)),
        }
    }
}

fn spawn() -> std::io::Result<Sender<Job>> {
    let (sender, jobs) = bounded::<Job>(MAX_QUEUED);
    std::thread::Builder::new().name("simulate".to_owned()).stack_size(STACK).spawn(move || {
        while let Ok(job) = jobs.recv_blocking() {
            job();
        }
    })?;
    Ok(sender)
}

impl<T> Running<T> {
    /// `None` when the work ended without one.
    pub async fn result(self) -> Option<T> {
        self.result.recv().await.ok()
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.cancelled.store(true, Relaxed);
    }
}

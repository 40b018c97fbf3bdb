//! One thread for simulations on request, started with the first of them: the loop never computes.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use smol::channel::{Receiver, Sender, TrySendError, bounded};

use super::problem::Problem;

/// Simulations that may wait behind the one at work.
const MAX_QUEUED: usize = 4;

type Work = Box<dyn FnOnce(&AtomicBool) -> Result<String, Problem> + Send>;

struct Job {
    work: Work,
    cancelled: Arc<AtomicBool>,
    reply: Sender<Result<String, Problem>>,
}

#[derive(Default)]
pub struct Worker {
    queue: OnceCell<Sender<Job>>,
}

/// A simulation under way; dropping this cancels it.
pub struct Running {
    reply: Receiver<Result<String, Problem>>,
    cancelled: Arc<AtomicBool>,
}

impl Worker {
    /// Queues work; `work` looks at its flag every so often and gives up once it is set.
    pub fn start(
        &self,
        work: impl FnOnce(&AtomicBool) -> Result<String, Problem> + Send + 'static,
    ) -> Result<Running, Problem> {
        let queue = match self.queue.get() {
            Some(queue) => queue,
            None => {
                let queue = spawn()
                    .map_err(|e| Problem::busy(format!("cannot start a thread for simulations: {e}"), 10))?;
                self.queue.get_or_init(|| queue)
            }
        };
        let (sender, reply) = bounded(1);
        let cancelled = Arc::new(AtomicBool::new(false));
        let job = Job { work: Box::new(work), cancelled: Arc::clone(&cancelled), reply: sender };
        match queue.try_send(job) {
            Ok(()) => Ok(Running { reply, cancelled }),
            Err(TrySendError::Full(_)) => {
                Err(Problem::busy("simulations are queued up already: try again", 1))
            }
            Err(TrySendError::Closed(_)) => Err(Problem::busy("simulations have ended", 10)),
        }
    }
}

fn spawn() -> std::io::Result<Sender<Job>> {
    let (sender, jobs) = bounded::<Job>(MAX_QUEUED);
    std::thread::Builder::new().name("simulate".to_owned()).stack_size(256 * 1024).spawn(move || {
        while let Ok(job) = jobs.recv_blocking() {
            if job.cancelled.load(Relaxed) {
                continue;
            }
            // The client may be gone by now; then nobody wants the result.
            drop(job.reply.try_send((job.work)(&job.cancelled)));
        }
    })?;
    Ok(sender)
}

impl Running {
    pub async fn result(self) -> Result<String, Problem> {
        let lost = || Problem::new(500, "the simulation ended without a result");
        self.reply.recv().await.unwrap_or_else(|_| Err(lost()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancelled.store(true, Relaxed);
    }
}

//! A thread for jobs that compute or wait for a disk, which the HTTP loop must not do. It is started by its first
//! job. Simulations and the reading of dead letters have one each, so that neither waits for the other.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use smol::channel::{Receiver, Sender, TrySendError, bounded};

use crate::api::http::problem::Problem;

/// Jobs that may wait while one is running.
const MAX_QUEUED: usize = 4;
/// Jobs that may run or wait at once.
pub const MAX_JOBS: usize = MAX_QUEUED + 1;
/// Simulators live on the heap; their stimulus queues are moved through the stack once.
const STACK_BYTES: usize = 512 * 1024;

type Job = Box<dyn FnOnce() + Send>;

pub struct JobThread {
    name: &'static str,
    /// Plural of what it does, for error messages.
    jobs: &'static str,
    queue: OnceCell<Sender<Job>>,
}

/// A queued or running job; dropping this cancels it.
pub struct JobHandle<T> {
    result: Receiver<T>,
    cancelled: Arc<AtomicBool>,
}

impl JobThread {
    pub const fn new(name: &'static str, jobs: &'static str) -> Self {
        Self { name, jobs, queue: OnceCell::new() }
    }

    /// Whether the next job would be rejected.
    pub fn is_full(&self) -> bool {
        self.queue.get().is_some_and(Sender::is_full)
    }

    /// Queues a job, which has to poll its flag and return early once that is set.
    pub fn start<T: Send + 'static>(
        &self,
        run: impl FnOnce(&AtomicBool) -> T + Send + 'static,
    ) -> Result<JobHandle<T>, Problem> {
        let queue = if let Some(queue) = self.queue.get() {
            queue
        } else {
            let queue = spawn(self.name)
                .map_err(|e| Problem::busy(format!("cannot start a thread for {}: {e}", self.jobs), 10))?;
            self.queue.get_or_init(|| queue)
        };
        let (sender, result) = bounded(1);
        let cancelled = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&cancelled);
        let job = move || {
            if !flag.load(Relaxed) {
                // Fails if the client has disconnected: the result is no longer needed.
                drop(sender.try_send(run(&flag)));
            }
        };
        match queue.try_send(Box::new(job)) {
            Ok(()) => Ok(JobHandle { result, cancelled }),
            Err(TrySendError::Full(_)) => {
                Err(Problem::busy(format!("{} are queued already: try again", self.jobs), 1))
            }
            Err(TrySendError::Closed(_)) => Err(Problem::busy(format!("{} have ended", self.jobs), 10)),
        }
    }
}

fn spawn(name: &str) -> std::io::Result<Sender<Job>> {
    let (sender, jobs) = bounded::<Job>(MAX_QUEUED);
    std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(move || {
        while let Ok(job) = jobs.recv_blocking() {
            job();
        }
    })?;
    Ok(sender)
}

impl<T> JobHandle<T> {
    /// `None` if the job was cancelled before it ran.
    pub async fn result(self) -> Option<T> {
        self.result.recv().await.ok()
    }
}

impl<T> Drop for JobHandle<T> {
    fn drop(&mut self) {
        self.cancelled.store(true, Relaxed);
    }
}

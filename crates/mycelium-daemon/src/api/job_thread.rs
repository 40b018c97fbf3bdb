//! Threads for jobs that compute or wait for a disk, which the HTTP loop must not do. They are started by the first
//! job. Simulations have one for each core, the reading of dead letters has one, so that neither waits for the other.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use smol::channel::{Receiver, Sender, TrySendError, bounded};

use crate::api::http::problem::Problem;

/// Jobs that may wait while all threads are busy.
const MAX_QUEUED: usize = 4;
/// Most threads of one kind.
const MAX_THREADS: usize = 4;
/// Jobs that may run or wait at once on a machine with one core; shares of keys are parts of it.
pub const MAX_JOBS: usize = MAX_QUEUED + 1;
/// Simulators live on the heap; their stimulus queues are moved through the stack once.
const STACK_BYTES: usize = 512 * 1024;

type Job = Box<dyn FnOnce() + Send>;

pub struct JobThread {
    name: &'static str,
    /// Plural of what it does, for error messages.
    jobs: &'static str,
    /// Whether it has a thread for each core.
    parallel: bool,
    queue: OnceCell<Sender<Job>>,
}

/// A queued or running job; dropping this cancels it.
pub struct JobHandle<T> {
    result: Receiver<T>,
    cancelled: Arc<AtomicBool>,
}

impl JobThread {
    /// One thread.
    pub const fn new(name: &'static str, jobs: &'static str) -> Self {
        Self { name, jobs, parallel: false, queue: OnceCell::new() }
    }

    /// A thread for each core, at most [`MAX_THREADS`].
    pub const fn parallel(name: &'static str, jobs: &'static str) -> Self {
        Self { name, jobs, parallel: true, queue: OnceCell::new() }
    }

    fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if self.parallel { cores.min(MAX_THREADS) } else { 1 }
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
            let queue = spawn(self.name, self.threads())
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

/// Fails if not even one thread can be started.
fn spawn(name: &str, threads: usize) -> std::io::Result<Sender<Job>> {
    let (sender, jobs) = bounded::<Job>(MAX_QUEUED);
    for k in 0..threads {
        let jobs: Receiver<Job> = jobs.clone();
        let run = move || {
            while let Ok(job) = jobs.recv_blocking() {
                job();
            }
        };
        let started = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(run);
        if k == 0 {
            started?;
        }
    }
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

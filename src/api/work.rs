//! PURE. Memory of simulations on request: each takes its share of what the budget leaves, or is told that there is
//! none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::problem::Problem;

/// What simulations on request may take together, and what they have taken.
#[derive(Debug)]
pub struct Work {
    bytes: u64,
    taken: Arc<AtomicU64>,
}

/// Memory of one piece of work; given back when dropped, on whatever thread that is.
#[derive(Debug)]
pub struct Share {
    bytes: u64,
    taken: Arc<AtomicU64>,
}

impl Work {
    pub fn new(bytes: u64) -> Self {
        Self { bytes, taken: Arc::default() }
    }

    /// Only one thread takes; what others give back meanwhile makes room sooner.
    pub fn share(&self, bytes: usize) -> Result<Share, Problem> {
        let (bytes, most) = (bytes as u64, self.bytes);
        if bytes > most {
            let detail = format!(
                "this takes {bytes} bytes of memory and {most} are left for simulations on request: ask for a \
                 smaller grid or f32, or raise `memory.max_bytes`"
            );
            return Err(Problem::new(422, detail));
        }
        if self.taken.load(Relaxed) + bytes > most {
            return Err(Problem::busy("other simulations hold the memory this one needs: try again", 1));
        }
        self.taken.fetch_add(bytes, Relaxed);
        Ok(Share { bytes, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_add_up_to_more_than_there_is() {
        let work = Work::new(100);
        let status = |bytes| work.share(bytes).map(drop).map_err(|problem| problem.status);
        assert_eq!(status(101), Err(422), "never");
        let most = work.share(60).unwrap();
        assert_eq!(status(41), Err(503), "not now");
        assert_eq!(status(40), Ok(()));
        drop(most);
        assert_eq!(status(100), Ok(()));
    }
}

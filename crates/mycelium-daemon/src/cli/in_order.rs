//! Independent pieces of work on all cores, whose results are taken in order.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Condvar, Mutex};
use std::thread::{available_parallelism, scope};

use crate::sync::{lock, unpoisoned};

/// Most threads of one command.
const MAX_THREADS: usize = 16;

/// Threads that are worth starting for `pieces` pieces of work.
pub(super) fn threads(pieces: usize) -> usize {
    available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(pieces).max(1)
}

#[derive(Default)]
struct Schedule {
    next: usize,
    taken: usize,
    stopped: bool,
}

/// Calls `work` for 0 to `pieces - 1` on `threads` threads, and `take` with each result on this one, in order. The first
/// error of `take` ends it. No more than twice `threads` results are waited for or kept.
pub(super) fn in_order<T: Send, E>(
    pieces: usize,
    threads: usize,
    work: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let (schedule, moved) = (Mutex::new(Schedule::default()), Condvar::new());
    let next = || {
        let waits = |s: &mut Schedule| !s.stopped && s.next < pieces && s.next >= s.taken + 2 * threads;
        let mut now = unpoisoned(moved.wait_while(lock(&schedule), waits));
        now.next += 1;
        (!now.stopped && now.next <= pieces).then(|| now.next - 1)
    };
    scope(|scope| {
        let (sender, results) = sync_channel(threads);
        for _ in 0..threads {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                while let Some(piece) = next() {
                    if sender.send((piece, work(piece))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let take_all = || {
            for (piece, result) in results {
                early.insert(piece, result);
                let mut taken = lock(&schedule).taken;
                while let Some(result) = early.remove(&taken) {
                    take(result)?;
                    taken += 1;
                }
                lock(&schedule).taken = taken;
                moved.notify_all();
            }
            Ok(())
        };
        let outcome = take_all();
        lock(&schedule).stopped = true;
        moved.notify_all();
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn results_are_taken_in_order_whatever_piece_ends_first_and_few_are_kept() {
        for threads in [1, 3] {
            let (mut taken, started) = (Vec::new(), Mutex::new(0));
            let work = |k: usize| {
                *started.lock().unwrap() += 1;
                std::thread::sleep(Duration::from_millis(if k == 0 { 30 } else { 1 }));
                (k, *started.lock().unwrap())
            };
            let all = in_order(20, threads, work, |(k, started)| {
                assert!(
                    k > 0 || started <= 2 * threads,
                    "{started} pieces were started before the first was taken"
                );
                taken.push(k);
                Ok::<(), ()>(())
            });
            assert_eq!((all, taken), (Ok(()), (0..20).collect()), "{threads} threads");
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        let mut taken = 0;
        let failed = in_order(
            1000,
            2,
            |k| k,
            |k| {
                if k == 5 {
                    Err(k)
                } else {
                    let _: () = taken += 1;
                    Ok(())
                }
            },
        );
        assert_eq!((failed, taken), (Err(5), 5));
        assert_eq!(in_order(0, 1, |k| k, |_| Err(())), Ok(()));
    }
}

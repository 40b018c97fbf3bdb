//! PURE. Blocks that the disk did not return: which are read again, and which count as damaged.
//!
//! A failed read says little: a card, a cable or a hub may fail for a moment, and a disk that is gone refuses every read.
//! Only a block that fails again and again while the rest of the disk works counts as damaged; the records in it are
//! then skipped and reported. Until then nothing is skipped, and whoever wants to read waits.

use std::ops::Range;
use std::time::Duration;

use crate::time::Mono;

/// Bytes that one failed read costs at most: a page of the kernel.
pub(crate) const BLOCK_BYTES: u64 = 4096;
/// Failed attempts, each [`READ_RETRY`] after the one before, after which a block can count as damaged.
pub(crate) const READ_ATTEMPTS: u32 = 5;
/// Wait between two attempts to read a block.
pub(crate) const READ_RETRY: Duration = Duration::from_secs(1);
/// Blocks that are remembered; of more, the one remembered longest is forgotten and examined again.
const MAX_SUSPECTS: usize = 256;

/// Wait between two attempts to read a block while a directory is opened.
const OPENING_RETRY: Duration = Duration::from_millis(500);
/// Waits of one opening, for all blocks together: 10 s.
const OPENING_WAITS: u32 = 20;

/// What to do about a block that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadBlock {
    /// Wait so long and read it again.
    Retry(Duration),
    /// The read fails: it is repeated later.
    Later,
    /// It counts as damaged and reads as zeros.
    Damaged,
}

/// Decides about blocks that could not be read. Blocks are named by segment number and offset in its file.
pub(crate) trait BadBlocks {
    /// Whether a block in this range failed a moment ago, so that reading it must wait.
    fn must_wait(&self, segment: u64, range: Range<u64>) -> bool;
    /// A block could not be read.
    fn failed(&mut self, segment: u64, offset: u64) -> BadBlock;
    /// This range was read.
    fn succeeded(&mut self, segment: u64, range: Range<u64>);
}

#[derive(Clone, Copy, Debug)]
struct Suspect {
    segment: u64,
    offset: u64,
    failures: u32,
    last: Mono,
    /// Commits when it failed for the first time.
    commits: u64,
    damaged: bool,
}

/// The blocks that failed and were not read since.
#[derive(Debug, Default)]
pub(crate) struct SuspectBlocks(Vec<Suspect>);

impl SuspectBlocks {
    /// The file of a segment was removed.
    pub fn forget(&mut self, segment: u64) {
        self.0.retain(|suspect| suspect.segment != segment);
    }

    /// Whether some block has failed often enough to count as damaged, so that it matters whether the disk works.
    pub fn any_ripe(&self) -> bool {
        self.0.iter().any(|suspect| !suspect.damaged && suspect.failures + 1 >= READ_ATTEMPTS)
    }
}

/// The decisions of a running outbox, at one moment: it never waits on the spot.
pub(crate) struct RunningReads {
    pub suspects: SuspectBlocks,
    pub now: Mono,
    /// Commits so far. One that followed the first failure of a block shows that the disk is there.
    pub commits: u64,
    /// Whether another file of the directory can be read at this moment.
    pub disk_reads: bool,
}

impl RunningReads {
    /// As [`BadBlocks::failed`], for the start of a block.
    fn examine(&mut self, segment: u64, offset: u64) -> BadBlock {
        let suspects = &mut self.suspects.0;
        let at =
            suspects.iter().position(|s| (s.segment, s.offset) == (segment, offset)).unwrap_or_else(|| {
                if suspects.len() == MAX_SUSPECTS {
                    suspects.remove(0);
                }
                let (last, commits) = (Mono(0), self.commits);
                suspects.push(Suspect { segment, offset, failures: 0, last, commits, damaged: false });
                suspects.len() - 1
            });
        let suspect = &mut suspects[at];
        if suspect.damaged {
            return BadBlock::Damaged;
        }
        suspect.failures = suspect.failures.saturating_add(1);
        suspect.last = self.now;
        let disk_works = self.disk_reads && self.commits > suspect.commits;
        suspect.damaged = suspect.failures >= READ_ATTEMPTS && disk_works;
        if suspect.damaged { BadBlock::Damaged } else { BadBlock::Later }
    }
}

impl BadBlocks for RunningReads {
    fn must_wait(&self, segment: u64, range: Range<u64>) -> bool {
        let first = range.start / BLOCK_BYTES * BLOCK_BYTES;
        self.suspects.0.iter().any(|s| {
            s.segment == segment
                && (first..range.end).contains(&s.offset)
                && !s.damaged
                && self.now.since(s.last) < READ_RETRY
        })
    }

    fn failed(&mut self, segment: u64, offset: u64) -> BadBlock {
        self.examine(segment, offset / BLOCK_BYTES * BLOCK_BYTES)
    }

    fn succeeded(&mut self, segment: u64, range: Range<u64>) {
        let first = range.start / BLOCK_BYTES * BLOCK_BYTES;
        self.suspects.0.retain(|s| s.segment != segment || !(first..range.end).contains(&s.offset));
    }
}

/// The decisions while a directory is opened or checked: nobody waits for records yet, so it waits on the spot.
#[derive(Debug)]
pub(crate) struct OpeningReads {
    waits: u32,
    /// The block that failed last, and how often in a row.
    last: (u64, u64, u32),
    damaged: u64,
    /// Something was read after the last block that counts as damaged.
    works: bool,
}

impl Default for OpeningReads {
    fn default() -> Self {
        Self { waits: OPENING_WAITS, last: (0, 0, 0), damaged: 0, works: true }
    }
}

impl OpeningReads {
    /// Blocks that count as damaged.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Whether the disk returned anything after the last block that counts as damaged; false for a disk that refuses
    /// every read.
    pub fn disk_works(&self) -> bool {
        self.works
    }
}

impl BadBlocks for OpeningReads {
    fn must_wait(&self, _: u64, _: Range<u64>) -> bool {
        false
    }

    fn failed(&mut self, segment: u64, offset: u64) -> BadBlock {
        let same = (self.last.0, self.last.1) == (segment, offset);
        self.last = (segment, offset, if same { self.last.2 + 1 } else { 1 });
        if self.last.2 < READ_ATTEMPTS && self.waits > 0 {
            self.waits -= 1;
            return BadBlock::Retry(OPENING_RETRY);
        }
        self.damaged += 1;
        self.works = false;
        BadBlock::Damaged
    }

    fn succeeded(&mut self, _: u64, _: Range<u64>) {
        self.works = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64, reads: RunningReads, commits: u64, disk_reads: bool) -> RunningReads {
        RunningReads { now: Mono(second * 1_000_000_000), commits, disk_reads, ..reads }
    }

    #[test]
    fn a_block_counts_as_damaged_only_after_repeated_failures_of_a_disk_that_otherwise_works() {
        let none = || RunningReads {
            suspects: SuspectBlocks::default(),
            now: Mono(0),
            commits: 7,
            disk_reads: true,
        };
        let rows = [
            (9, true, BadBlock::Damaged, "the disk writes and reads elsewhere"),
            (7, true, BadBlock::Later, "no commit since: the disk may be gone"),
            (9, false, BadBlock::Later, "nothing else can be read"),
        ];
        for (commits, disk_reads, want, why) in rows {
            let mut reads = none();
            for second in 0..u64::from(READ_ATTEMPTS) - 1 {
                reads = at(second, reads, if second == 0 { 7 } else { commits }, disk_reads);
                assert_eq!(reads.failed(1, 8192), BadBlock::Later, "{why}, {second}");
                assert!(reads.must_wait(1, 9000..9001) && !reads.must_wait(1, 0..8192), "{why}, {second}");
                assert!(!reads.must_wait(2, 0..99_999), "{why}, {second}");
            }
            reads = at(60, reads, commits, disk_reads);
            assert!(!reads.must_wait(1, 8192..8193), "{why}: due again");
            assert_eq!(reads.failed(1, 8200), want, "{why}");
        }
        let mut reads = none();
        for second in 0..4 {
            reads = at(second, reads, 7 + second, true);
            assert_eq!(reads.failed(1, 0), BadBlock::Later);
        }
        reads.succeeded(1, 0..136);
        reads = at(9, reads, 99, true);
        assert_eq!(reads.failed(1, 0), BadBlock::Later, "it was read in between");
    }

    #[test]
    fn opening_waits_ten_seconds_in_all_however_many_blocks_fail() {
        let mut reads = OpeningReads::default();
        let (mut waited, mut damaged) = (Duration::ZERO, 0);
        for block in 0..100 {
            loop {
                match reads.failed(1, block) {
                    BadBlock::Retry(wait) => waited += wait,
                    BadBlock::Damaged => break damaged += 1,
                    BadBlock::Later => unreachable!("opening never fails"),
                }
            }
        }
        assert_eq!((waited, damaged, reads.damaged()), (Duration::from_secs(10), 100, 100));
        assert!(!reads.disk_works(), "nothing was read");
        reads.succeeded(1, 0..1);
        assert!(reads.disk_works());
    }
}

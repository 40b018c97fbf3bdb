//! The oldest record that is not acknowledged, and how the disk is read at a moment.

use super::Outbox;
use super::read::{FIRST_RECORD, find_record};
use crate::bad_blocks::RunningReads;
use crate::format::record::{DecodedItem, Position, RECORD_HEADER_BYTES, RecordMeta, decode_at};
use crate::format::segment::SEGMENT_HEADER_BYTES;
use crate::log::ReadPosition;
use crate::scan::read_blocks;
use crate::storage::Storage;
use crate::time::{BootId, Mono, Stamp};

impl<S: Storage> Outbox<S> {
    /// Reads of this moment.
    pub(super) fn begin_reads(&mut self, now: Mono) -> RunningReads {
        let suspects = std::mem::take(&mut self.reader.suspects);
        let disk_reads = suspects.any_ripe() && self.newest_is_readable();
        RunningReads { suspects, now, commits: self.writer.commits(), disk_reads }
    }

    /// Whether the newest segment can be read at the moment, as a sample of the disk.
    fn newest_is_readable(&self) -> bool {
        let Some(newest) = self.log.segments().back() else { return false };
        let storage = self.log.storage();
        let mut header = [0; SEGMENT_HEADER_BYTES];
        let file = storage.open(&newest.file_name(), false);
        file.is_ok_and(|file| storage.read_at(&file, 0, &mut header).is_ok())
    }

    /// Boot and time of the oldest record that some endpoint has not acknowledged; `None` when there is none, or when
    /// it cannot be read. Looked up once for each position.
    pub fn oldest(&mut self, now: Mono) -> Option<(BootId, Stamp)> {
        let slowest = self.cursors.all().iter().min_by_key(|e| e.cursor().acked)?;
        let position = slowest.cursor().acked.next();
        if position > self.writer.readable() {
            return None;
        }
        if let Some((_, boot, stamp)) = self.reader.oldest.filter(|(p, ..)| *p == position) {
            return Some((boot, stamp));
        }
        let start = slowest.start();
        let mut reads = self.begin_reads(now);
        let found = match start {
            Some(at) => self.meta_at(at, &mut reads),
            None => self.first_from(position, &mut reads),
        };
        self.reader.suspects = reads.suspects;
        let RecordMeta { boot, stamp, .. } = found?;
        self.reader.oldest = Some((position, boot, stamp));
        Some((boot, stamp))
    }

    fn meta_at(&self, at: ReadPosition, reads: &mut RunningReads) -> Option<RecordMeta> {
        let segment = self.log.segments().iter().find(|s| s.number == at.number)?;
        let file = self.log.storage().open(&segment.file_name(), false).ok()?;
        let mut bytes = [0; RECORD_HEADER_BYTES];
        read_blocks(self.log.storage(), &file, (at.number, at.offset), &mut bytes, reads).ok()?;
        match decode_at(&bytes, at.number) {
            DecodedItem::Record(header) => Some(header.meta),
            DecodedItem::Marker(_) | DecodedItem::Nothing => None,
        }
    }

    fn first_from(&mut self, position: Position, reads: &mut RunningReads) -> Option<RecordMeta> {
        let segment = self.log.segments().get(self.log.find(position))?;
        let file = self.log.storage().open(&segment.file_name(), false).ok()?;
        let scanner = &mut self.reader.scanner;
        scanner.start(segment.number, FIRST_RECORD, segment.limit());
        let found = find_record(self.log.storage(), &file, scanner, reads, |header, _| {
            (header.meta.position >= position).then_some(header.meta)
        });
        found.ok()?
    }
}

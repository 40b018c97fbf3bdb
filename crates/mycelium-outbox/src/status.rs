//! What an outbox says about itself.

use super::core::{ENDPOINTS, Outbox};
use super::endpoint::Name;
use super::fetch::Spot;
use super::gap::Reason;
use super::record::{self, Found, Header, Position};
use super::segment::{self, HEAD, Step};
use super::storage::Storage;
use crate::time::{BootId, Stamp};

/// A snapshot; small, without pointers into the outbox.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub boot: Option<BootId>,
    /// Highest sequence number of this boot whose sync returned.
    pub durable_seq: u64,
    /// Records accepted by this process, gap records among them.
    pub accepted: u64,
    /// Accepted and not yet written.
    pub held: u64,
    pub held_bytes: u64,
    pub segments: u64,
    /// Length of all segment files, spares included.
    pub bytes: u64,
    /// By [`Reason::index`]; a record several endpoints lost counts once.
    pub dropped: [u64; Reason::ALL.len()],
    pub skipped_bytes: u64,
    pub commits: u64,
    pub dead: u64,
    pub dead_bytes: u64,
    pub dead_dropped: u64,
    /// Nothing may be written before a receiver takes something.
    pub full: bool,
    /// Why writing does not work at the moment.
    pub degraded: Option<String>,
    /// Boot and time of the oldest record some endpoint has not taken; filled in by the thread.
    pub oldest: Option<(BootId, Stamp)>,
    /// Records that can be fetched and are not taken by the endpoint furthest behind; without an endpoint, all
    /// that are kept.
    pub pending: u64,
    pub endpoints: heapless::Vec<EndpointStatus, ENDPOINTS>,
}

/// How far one endpoint is behind.
#[derive(Clone, Debug, Default)]
pub struct EndpointStatus {
    pub name: Name,
    pub acked: Position,
    pub frozen: bool,
    /// Records that can be fetched and were not acknowledged.
    pub lag: u64,
    /// About how many bytes of segments these take.
    pub lag_bytes: u64,
    pub replay: bool,
}

impl<S: Storage> Outbox<S> {
    pub fn status(&self) -> Status {
        let endpoints: heapless::Vec<EndpointStatus, ENDPOINTS> =
            (0..self.endpoints.len()).map(|at| self.endpoint_status(at)).collect();
        let pending = match endpoints.iter().map(|e| e.lag).max() {
            Some(most) => most,
            None => self.log.segments.front().map_or(0, |oldest| self.behind(oldest.first.previous())),
        };
        Status {
            boot: Some(self.owner.boot),
            durable_seq: self.durable_seq,
            accepted: self.accepted(),
            held: self.held.len() as u64,
            held_bytes: self.held.bytes(),
            segments: self.log.segments.len() as u64,
            bytes: self.log.bytes(),
            dropped: self.dropped,
            skipped_bytes: self.skipped_bytes,
            commits: self.commits,
            dead: self.dead.len() as u64,
            dead_bytes: self.dead.bytes(),
            dead_dropped: self.dead.dropped,
            full: self.full,
            degraded: self.degraded().map(str::to_owned),
            oldest: None,
            pending,
            endpoints,
        }
    }

    /// Boot and time of the oldest record some endpoint has not taken; `None` when there is none, or when it
    /// cannot be read. Looked up once for each position.
    pub fn oldest(&mut self) -> Option<(BootId, Stamp)> {
        let behind = self.endpoints.iter().min_by_key(|e| e.cursor.acked)?;
        let position = behind.cursor.acked.next();
        if position > self.readable {
            return None;
        }
        if let Some((_, boot, stamp)) = self.oldest.filter(|(p, ..)| *p == position) {
            return Some((boot, stamp));
        }
        let header = match behind.start {
            Some(spot) => self.header_at(spot)?,
            None => self.first_behind(position)?,
        };
        self.oldest = Some((position, header.boot, header.stamp));
        Some((header.boot, header.stamp))
    }

    fn header_at(&self, spot: Spot) -> Option<Header> {
        let segment = self.log.segments.iter().find(|s| s.number == spot.number)?;
        let file = self.log.storage.open(&segment::file_name(segment.file), false).ok()?;
        let mut bytes = [0; record::HEADER];
        self.log.storage.read_at(&file, spot.offset, &mut bytes).ok()?;
        match record::look(&bytes, spot.number) {
            Found::Record(header) => Some(header),
            Found::Mark(_) | Found::Nothing => None,
        }
    }

    fn first_behind(&mut self, position: Position) -> Option<Header> {
        let segment = self.log.segments.get(self.log.find(position))?;
        let file = self.log.storage.open(&segment::file_name(segment.file), false).ok()?;
        self.walk.start(segment.number, HEAD as u64, segment.limit());
        loop {
            match self.walk.next(&self.log.storage, &file).ok()? {
                Step::Record { header, .. } if header.position >= position => return Some(header),
                Step::Record { .. } | Step::Mark { .. } => {}
                Step::End { .. } => return None,
            }
        }
    }

    /// Records behind `acked` that may be handed out. Positions no record ever had, left unused behind torn
    /// ends, are none.
    fn behind(&self, acked: Position) -> u64 {
        let behind = self.readable.0.saturating_sub(acked.0);
        let unused: u64 = self
            .log
            .segments
            .iter()
            .filter(|s| s.resumes_after >= acked && s.first <= self.readable)
            .map(|s| s.first.previous().0.saturating_sub(s.resumes_after.0))
            .sum();
        behind.saturating_sub(unused)
    }

    fn endpoint_status(&self, at: usize) -> EndpointStatus {
        let e = &self.endpoints[at];
        let acked = e.cursor.acked;
        let lag = self.behind(acked);
        EndpointStatus {
            name: e.name.clone(),
            acked,
            frozen: e.cursor.is_frozen(),
            lag,
            lag_bytes: if lag == 0 { 0 } else { self.bytes_behind(acked) },
            replay: self.dead.has_replay(&e.name),
        }
    }

    fn bytes_behind(&self, acked: Position) -> u64 {
        let at = self.log.find(acked.next());
        let (first, rest) = (self.log.segments.get(at), self.log.segments.iter().skip(at + 1));
        let whole: u64 = rest.map(super::log::Segment::limit).sum();
        let Some(first) = first else { return whole };
        let end = self.log.segments.get(at + 1).map_or(self.readable, |s| s.resumes_after);
        let records = (end.next().0).saturating_sub(first.first.0).max(1);
        let left = end.0.saturating_sub(acked.0).min(records);
        whole + first.limit() * left / records
    }
}

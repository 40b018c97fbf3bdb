//! A durable, bounded, append-only queue on files, with a cursor for each reader ("endpoint").
//!
//! Records are appended, written and synced in groups, fetched by each endpoint in batches and acknowledged; a segment
//! file is removed once every endpoint has acknowledged it. It is made for devices that lose power at any moment, whose
//! disk fills up or wears out, whose clock is wrong at boot, and whose receivers are away for days.
//!
//! # Guarantees
//! - A record counts as durable once its `fdatasync` has returned; from then on it is delivered to every endpoint
//!   unchanged and in order. Delivery is at least once: a batch is frozen before it is sent, and after a crash exactly
//!   that batch is fetched again, with the same event ids.
//! - One fault costs at most the records it touches; whatever is lost is reported by a gap record ([`Gap`]).
//! - Memory is bounded: at most [`MAX_RECORDS_IN_MEMORY`] records wait while the disk refuses writes. Disk use is bounded by
//!   [`OutboxPolicy::max_bytes`], and [`OverflowPolicy`] says what happens there.
//! - Directories of every earlier version are read; those of a later one are refused unchanged.
//!
//! # Use
//! [`start`] opens a directory and runs the outbox on its own thread; an [`OutboxHandle`] is then used from any thread:
//!
//! ```
//! use std::time::Duration;
//!
//! use mycelium_outbox::time::{BootId, Mono, Stamp, Wall};
//! use mycelium_outbox::{OutboxOptions, OutboxPolicy, RecordBatch, RecordKind, SafeName, WriterIdentity, start};
//!
//! /// The application's own kind of record; see [`RecordKind`] for the codes that are taken.
//! const MEASUREMENT: RecordKind = RecordKind(1);
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let data = std::env::temp_dir().join(format!("mycelium-outbox-doc-{}", std::process::id()));
//! let now = Stamp { mono: Mono::now(), wall: Wall::now(), synced: true };
//! let options = OutboxOptions {
//!     policy: OutboxPolicy::default(),
//!     identity: WriterIdentity { device: SafeName::new("edge-1").unwrap(), boot: BootId(42), stamp: now },
//!     endpoints: vec![SafeName::new("hub").unwrap()],
//!     on_commit: None,
//!     on_status: None,
//! };
//! let outbox = start(&data, options)?;
//! outbox.handle.append(MEASUREMENT, now, b"21.5")?;
//! assert!(outbox.handle.flush()?);
//!
//! let hub = outbox.handle.endpoint("hub").unwrap();
//! let mut batch = RecordBatch::default();
//! outbox.handle.fetch(hub, 100, 1 << 20, &mut batch)?;
//! outbox.handle.freeze(hub, batch.through, batch.epoch)?;
//! for record in &batch.records {
//!     assert_eq!(record.event_id(), "edge-1-000000000000002a-1");
//!     assert_eq!(batch.payload(record), b"21.5"); // send it
//! }
//! outbox.handle.ack(hub, batch.through)?;
//!
//! assert!(outbox.handle.shutdown(Mono::now() + Duration::from_secs(10)));
//! # std::fs::remove_dir_all(data)?;
//! # Ok(())
//! # }
//! ```
//!
//! Another process that shares the directory must be kept out by a lock; [`state_dir::StateDir`] is one. [`check`] reads
//! a directory without running it.
//!
//! # Structure
//! [`format`](mod@format) encodes and decodes every file (pure; `docs/FORMAT.md` has the bytes), [`storage`] is the
//! disk. [`Outbox`] decides, without a thread or a clock: `log` appends to segments, `recovery` opens them, `cursors`,
//! `dead_letter_store`, `gap_ledger`, `clock_correction`, `faults`, `bad_blocks` and `writer` own one fact each. `thread` runs it,
//! [`OutboxHandle`] is the interface to the thread.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bad_blocks;
mod batch;
pub mod check;
mod clock_correction;
mod cursors;
mod dead_letter_store;
mod error;
mod faults;
pub mod format;
mod gap_ledger;
mod group;
mod handle;
mod log;
mod outbox;
mod pending;
mod policy;
mod recovery;
mod requests;
mod scan;
mod seen;
pub mod state_dir;
mod status;
pub mod storage;
mod thread;
pub mod time;
mod writer;

pub use batch::{BatchRecord, RecordBatch};
pub use cursors::MAX_ENDPOINTS;
pub use dead_letter_store::MAX_DEAD_LETTERS;
pub use error::{AppendError, OutboxError};
pub use format::clock_sync::ClockSync;
pub use format::cursor::Cursor;
pub use format::dead_letter::{DeadLetter, DeadLetterRecord};
pub use format::gap::{Gap, GapReason};
pub use format::name::SafeName;
pub use format::record::{MAX_PAYLOAD_BYTES, Position, RecordKind, RecordMeta};
pub use group::{GroupReceipt, MAX_QUEUED_GROUP_BYTES, MAX_QUEUED_GROUP_RECORDS, OnGroup, RecordGroup};
pub use handle::{OutboxHandle, WaitOutcome};
pub use log::WriterIdentity;
pub use outbox::Outbox;
pub use policy::{
    Durability, MAX_RECORDS_IN_MEMORY, OutboxPolicy, OverflowPolicy, PolicyError, UnknownPolicyName,
};
pub use seen::{MAX_SEEN_KEYS, RecordKey, SEEN_KEYS_BYTES};
pub use status::{EndpointStatus, OutboxStatus};
pub use thread::{OnCommit, OnStatus, OutboxOptions, RunningOutbox, start};

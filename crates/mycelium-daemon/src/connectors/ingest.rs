//! From the data of a source to readings in the field.

use std::sync::Arc;

use super::csv::{CsvColumns, CsvRow};
use super::extract::{self, Extraction, Reading, RejectReason};
use super::follower::{FilePiece, Flow, PollProgress};
use super::limits::{MAX_BODY_BYTES, MAX_LINE_BYTES};
use super::line_splitter::FileLine;
use super::report::Report;
use super::settings::Connector;
use super::spool::SpoolFile;
use super::value_file::MAX_VALUE_BYTES;
use crate::clock::Mono;
use crate::net::breaker::CallResult;
use crate::snapshots::Snapshots;

/// The field takes no more readings before its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldBusy;

/// Takes all readings of one piece of data, or none.
pub type ReadingSink = Box<dyn FnMut(&[Reading]) -> Result<(), FieldBusy> + Send>;

pub(super) struct Ingest {
    pub(super) report: Report,
    pub(super) sink: ReadingSink,
    pub(super) snapshots: Arc<Snapshots>,
}

impl Ingest {
    /// Hands readings to the field, all or none.
    fn offer(&mut self, connector: &Connector, place: &str, extraction: &Extraction) -> Flow {
        let empty = extraction.readings.is_empty();
        if !empty && (self.sink)(&extraction.readings).is_err() {
            return Flow::Backpressure;
        }
        let now = self.snapshots.stamp(Mono::now());
        self.report.extracted(connector, place, extraction, now);
        if empty { Flow::Rejected } else { Flow::Taken }
    }

    /// The response of a sensor. One that is not JSON counts as its failure: it may be the login page of a proxy.
    pub(super) fn response(
        &mut self,
        connector: &Connector,
        body: &[u8],
    ) -> Result<PollProgress, (CallResult, String)> {
        let extraction = extract::json(body, &connector.inputs).map_err(|why| {
            self.report.reject("the response", RejectReason::Malformed, &why);
            (CallResult::Failure, format!("the response is not JSON: {why}"))
        })?;
        if self.offer(connector, "the response", &extraction) == Flow::Backpressure {
            self.report.busy(extraction.readings.len());
        }
        Ok(PollProgress::default())
    }

    /// The content of a file with one number.
    pub(super) fn value(&mut self, connector: &Connector, bytes: &[u8]) -> PollProgress {
        const PLACE: &str = "the file";
        if bytes.len() > MAX_VALUE_BYTES {
            let detail = format!("longer than {MAX_VALUE_BYTES} bytes");
            self.report.reject(PLACE, RejectReason::TooLong, &detail);
            return PollProgress::default();
        }
        match extract::value_file(bytes) {
            Ok(value) => {
                let mut extraction = Extraction::default();
                for (k, input) in connector.inputs.iter().enumerate() {
                    extraction.take(k, input, Ok(value), |_| None);
                }
                if self.offer(connector, PLACE, &extraction) == Flow::Backpressure {
                    self.report.busy(extraction.readings.len());
                }
            }
            Err(why) => {
                let detail = match why {
                    RejectReason::Malformed => "the checksum of the sensor is wrong",
                    RejectReason::Missing => "it has no value",
                    _ => "it holds no finite number alone",
                };
                self.report.reject(PLACE, why, detail);
            }
        }
        PollProgress::default()
    }

    pub(super) fn piece(
        &mut self,
        connector: &Connector,
        columns: &mut Option<CsvColumns>,
        piece: FilePiece<'_>,
    ) -> Flow {
        let (line, offset, first) = match piece {
            FilePiece::Head(head) => {
                if let Some(columns) = columns
                    && let Ok(CsvRow::Header(named)) = columns.read(head, true, &connector.inputs)
                {
                    *columns = named;
                }
                return Flow::Taken;
            }
            FilePiece::Line { line, offset, first } => (line, offset, first),
        };
        let place = || format!("the line at byte {offset}");
        let line = match line {
            FileLine::Whole(line) if !line.trim_ascii().is_empty() => line,
            FileLine::Whole(_) | FileLine::Skipped => return Flow::Taken,
            FileLine::TooLong => {
                let detail = format!("longer than {MAX_LINE_BYTES} bytes");
                self.report.reject(&place(), RejectReason::TooLong, &detail);
                return Flow::Taken;
            }
        };
        let extracted = match columns {
            None => extract::json(line, &connector.inputs),
            Some(columns) => {
                if first {
                    *columns = CsvColumns::by_number(&connector.inputs);
                }
                match columns.read(line, first, &connector.inputs) {
                    Ok(CsvRow::Header(named)) => {
                        *columns = named;
                        return Flow::Taken;
                    }
                    Ok(CsvRow::Data(extraction)) => Ok(*extraction),
                    Err(why) => Err(why),
                }
            }
        };
        self.take(connector, &place(), extracted)
    }

    pub(super) fn file(&mut self, connector: &Connector, name: &str, file: SpoolFile<'_>) -> Flow {
        let (reason, detail) = match file {
            SpoolFile::Bytes(bytes) => {
                return self.take(connector, name, extract::json(bytes, &connector.inputs));
            }
            SpoolFile::TooLong => (RejectReason::TooLong, format!("longer than {MAX_BODY_BYTES} bytes")),
            SpoolFile::Unreadable(error) => (RejectReason::Malformed, error.to_string()),
        };
        self.report.reject(name, reason, &detail);
        Flow::Rejected
    }

    fn take(&mut self, connector: &Connector, place: &str, extracted: Result<Extraction, String>) -> Flow {
        match extracted {
            Ok(extraction) => self.offer(connector, place, &extraction),
            Err(why) => {
                self.report.reject(place, RejectReason::Malformed, &why);
                Flow::Rejected
            }
        }
    }
}

//! PURE. Names of the files in an outbox directory.

use super::name::SafeName;

/// The file of dead letters.
pub const DEAD_LETTER_FILE: &str = "dead.log";

/// The replacement of [`DEAD_LETTER_FILE`] while it is written.
pub const DEAD_LETTER_REPLACEMENT: &str = "dead.tmp";

/// A file that is created and removed at each start, to prove that the directory is writable.
pub const PROBE_FILE: &str = "probe.tmp";

/// `0000000000000007.seg`: segment `number`.
pub fn segment_file_name(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// `0000000000000007.free`: a file without records, whose blocks the next segment reuses.
pub fn spare_file_name(number: u64) -> String {
    format!("{number:016x}.free")
}

/// `hub.cursor`: the cursor of endpoint `hub`.
pub fn cursor_file_name(endpoint: &str) -> String {
    format!("{endpoint}.cursor")
}

/// Name under which a damaged file is kept: `dead.log.damaged.1`, `dead.log.damaged.2` and so on.
pub fn quarantine_name(name: &str, count: u64) -> String {
    format!("{name}.damaged.{count}")
}

/// What a file of the directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind<'a> {
    /// A segment of this number.
    Segment(u64),
    /// A file whose blocks the next segment may reuse.
    Spare(u64),
    /// The cursor of this endpoint.
    Cursor(&'a str),
    /// The dead letters.
    DeadLetters,
    /// Left over from a replacement that was interrupted; without meaning.
    Temporary,
    /// Not a live file of an outbox; quarantined files are among these.
    Foreign,
}

impl<'a> FileKind<'a> {
    /// Classifies `name`; never fails, what matches nothing is [`FileKind::Foreign`].
    pub fn from_name(name: &'a str) -> Self {
        match name.rsplit_once('.') {
            Some((stem, "seg")) => hex(stem).map_or(Self::Foreign, Self::Segment),
            Some((stem, "free")) => hex(stem).map_or(Self::Foreign, Self::Spare),
            Some((stem, "cursor")) if SafeName::new(stem).is_some() => Self::Cursor(stem),
            _ if name == DEAD_LETTER_FILE => Self::DeadLetters,
            _ if name == DEAD_LETTER_REPLACEMENT || name == PROBE_FILE => Self::Temporary,
            _ => Self::Foreign,
        }
    }
}

fn hex(stem: &str) -> Option<u64> {
    let lower = stem.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if stem.len() == 16 && lower { u64::from_str_radix(stem, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_a_file_is() {
        let rows = [
            ("0000000000000007.seg", FileKind::Segment(7), "a segment"),
            ("000000000000000A.seg", FileKind::Foreign, "upper case is not ours"),
            ("7.seg", FileKind::Foreign, "names have equal length"),
            ("00000000000000ff.free", FileKind::Spare(255), "a spare"),
            ("hub.cursor", FileKind::Cursor("hub"), "a cursor"),
            ("dead.log", FileKind::DeadLetters, "dead letters"),
            ("dead.tmp", FileKind::Temporary, "an interrupted replacement"),
            ("probe.tmp", FileKind::Temporary, "an interrupted start"),
            ("hub.cursor.damaged.2", FileKind::Foreign, "quarantined"),
            ("hub.cursor.damaged", FileKind::Foreign, "quarantined by version 0.1"),
            ("notes.txt", FileKind::Foreign, "somebody else's"),
        ];
        for (name, want, why) in rows {
            assert_eq!(FileKind::from_name(name), want, "{why}");
        }
    }
}

//! Spikes from CSV: `step,row,col,volts`, with or without that header.

use std::fmt;
use std::io::{self, BufRead};

use mycelium_core::sim::{STIMULUS_VOLTS, Spike};

/// Spikes of one file; they are kept in memory, 32 bytes each.
const MAX_SPIKES: usize = 1 << 20;
/// Longest line.
const MAX_LINE_BYTES: u64 = 256;

/// An error of a file of spikes, with its line.
#[derive(Debug)]
pub(super) enum Error {
    Io(io::Error),
    Line { line: usize, text: String },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Line { line, text } => write!(f, "line {line}: {text}"),
        }
    }
}

impl std::error::Error for Error {}

/// All spikes of `source` for a field of `grid` cells along one edge, in the order of the file.
pub(super) fn read(mut source: impl BufRead, grid: usize) -> Result<Vec<Spike>, Error> {
    let mut spikes = Vec::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let mut limited = io::Read::take(&mut source, MAX_LINE_BYTES + 1);
        if limited.read_until(b'\n', &mut bytes).map_err(Error::Io)? == 0 {
            break;
        }
        let refused = |text: String| Error::Line { line, text };
        if bytes.len() as u64 > MAX_LINE_BYTES {
            return Err(refused(format!(
                "longer than {MAX_LINE_BYTES} bytes; it must be step,row,col,volts"
            )));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| refused("not UTF-8".to_owned()))?;
        let text = if line == 1 { text.trim_start_matches('\u{feff}') } else { text }.trim();
        let is_header = line == 1 && text.replace(' ', "").eq_ignore_ascii_case("step,row,col,volts");
        if text.is_empty() || is_header {
            continue;
        }
        if spikes.len() == MAX_SPIKES {
            return Err(refused(format!("more than {MAX_SPIKES} spikes; split the run with --init")));
        }
        spikes.push(spike(text, grid).map_err(refused)?);
    }
    Ok(spikes)
}

fn spike(text: &str, grid: usize) -> Result<Spike, String> {
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let [step, row, col, volts] = fields[..] else {
        return Err(format!("{} fields; it must be step,row,col,volts", fields.len()));
    };
    let cell = |name: &str, text: &str| match text.parse::<usize>() {
        Ok(k) if k < grid => Ok(k),
        _ => Err(format!("`{name}` is {text:?}; it must be a whole number from 0 to {}", grid - 1)),
    };
    let steps = || format!("`step` is {step:?}; it must be a whole number of at least 0");
    let number = || format!("`volts` is {volts:?}; it must be a number {STIMULUS_VOLTS}");
    let parsed: f64 = volts.parse().map_err(|_| number())?;
    Ok(Spike {
        step: step.parse().map_err(|_| steps())?,
        row: cell("row", row)?,
        col: cell("col", col)?,
        volts: STIMULUS_VOLTS.check("volts", parsed).map_err(|_| number())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_are_read_with_or_without_a_header_and_blank_lines() {
        let want = [
            Spike { step: 0, row: 1, col: 2, volts: 0.02 },
            Spike { step: 7, row: 15, col: 0, volts: -1e-3 },
        ];
        let rows = [
            ("step,row,col,volts\n0,1,2,0.02\n7,15,0,-1e-3\n", "a header"),
            ("0,1,2,0.02\n7,15,0,-0.001", "no header, no last line end"),
            (
                "\u{feff}Step, Row, Col, Volts\r\n0, 1, 2, 0.02\r\n\r\n7,15,0,-1e-3\r\n",
                "as a spreadsheet saves it",
            ),
        ];
        for (text, why) in rows {
            assert_eq!(read(text.as_bytes(), 16).unwrap(), want, "{why}");
        }
        assert_eq!(read(&b""[..], 16).unwrap(), [], "no spikes at all");
    }

    #[test]
    fn a_bad_line_is_named_with_what_would_be_accepted() {
        let rows: [(&[u8], &str); 9] = [
            (b"0,1,2\n", "line 1: 3 fields; it must be step,row,col,volts"),
            (b"0,1,2,3,4\n", "line 1: 5 fields; it must be step,row,col,volts"),
            (b"0,1,2,0.1\n-1,1,2,0.1\n", "line 2: `step` is \"-1\"; it must be a whole number of at least 0"),
            (b"0,16,2,0.1\n", "line 1: `row` is \"16\"; it must be a whole number from 0 to 15"),
            (b"0,1,x,0.1\n", "line 1: `col` is \"x\"; it must be a whole number from 0 to 15"),
            (b"0,1,2,nan\n", "line 1: `volts` is \"nan\"; it must be a number from -10 to 10"),
            (b"0,1,2,1e300\n", "line 1: `volts` is \"1e300\"; it must be a number from -10 to 10"),
            (b"0,1,2,\xff\n", "line 1: not UTF-8"),
            (&[b'1'; 300], "line 1: longer than 256 bytes; it must be step,row,col,volts"),
        ];
        for (bytes, want) in rows {
            assert_eq!(read(bytes, 16).unwrap_err().to_string(), want);
        }
    }
}

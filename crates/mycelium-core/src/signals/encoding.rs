//! PURE. The bytes of windows, spikes and sample blocks: little-endian, as specified in `docs/FORMAT.md`.
//!
//! Each begins with its version. `None` is NaN.

use std::fmt;

use super::spike::SignalSpike;
use super::window::{MAX_BLOCK_SAMPLES, SIGNAL_VALUE_COUNT, SampleBlock, SignalWindow};

/// The version that is written and read.
const VERSION: u16 = 1;
/// Bytes before the values: version, start, length, four counts, two times, number of values.
const WINDOW_HEAD_BYTES: usize = 2 + 8 + 4 + 4 * 4 + 2 * 8 + 1;
const SPIKE_BYTES: usize = 2 + 8 + 3 * 8 + 1;
/// Bytes before the samples: version, first time, number of samples.
const BLOCK_HEAD_BYTES: usize = 2 + 8 + 2;
/// Bytes of one sample of a block.
const SAMPLE_BYTES: usize = 4 + 8;

/// Why bytes are not an output of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalDecodeError {
    /// Too short, or longer than its contents; the number of bytes.
    Length(usize),
    /// A version that this program does not read.
    Version(u16),
    /// A block whose times go back, or a polarity that does not exist.
    Contents,
}

impl fmt::Display for SignalDecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(n) => write!(f, "not the length of a signal record: {n} bytes"),
            Self::Version(v) => write!(f, "signal record of version {v}, this program reads up to {VERSION}"),
            Self::Contents => f.write_str("a signal record with bad contents"),
        }
    }
}

impl std::error::Error for SignalDecodeError {}

/// Bytes that are left to read.
struct Bytes<'a> {
    rest: &'a [u8],
    all: usize,
}

impl<'a> Bytes<'a> {
    /// Checks the version.
    fn new(bytes: &'a [u8]) -> Result<Self, SignalDecodeError> {
        let mut read = Self { rest: bytes, all: bytes.len() };
        match u16::from_le_bytes(read.take()?) {
            VERSION => Ok(read),
            other => Err(SignalDecodeError::Version(other)),
        }
    }

    fn take<const K: usize>(&mut self) -> Result<[u8; K], SignalDecodeError> {
        let (head, tail) = self.rest.split_first_chunk().ok_or(SignalDecodeError::Length(self.all))?;
        self.rest = tail;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, SignalDecodeError> {
        self.take().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, SignalDecodeError> {
        self.take().map(i64::from_le_bytes)
    }

    fn f64(&mut self) -> Result<f64, SignalDecodeError> {
        self.take().map(f64::from_le_bytes)
    }

    fn end(&self) -> Result<(), SignalDecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(SignalDecodeError::Length(self.all)) }
    }
}

impl SignalWindow {
    /// Bytes of an encoded window.
    pub const ENCODED_BYTES: usize = WINDOW_HEAD_BYTES + SIGNAL_VALUE_COUNT * 8;

    /// Appends [`Self::ENCODED_BYTES`] bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.start_ms.to_le_bytes());
        for count in [self.length_ms, self.count, self.missing, self.late, self.saturated] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.extend_from_slice(&self.first_time.to_le_bytes());
        out.extend_from_slice(&self.last_time.to_le_bytes());
        out.push(SIGNAL_VALUE_COUNT as u8);
        self.for_each_value(|_, value| out.extend_from_slice(&value.unwrap_or(f64::NAN).to_le_bytes()));
    }

    /// The inverse of [`encode`](Self::encode). Values that an older window does not have are `None`.
    pub fn decode(bytes: &[u8]) -> Result<Self, SignalDecodeError> {
        let mut read = Bytes::new(bytes)?;
        let mut window = Self {
            start_ms: read.i64()?,
            length_ms: read.u32()?,
            count: read.u32()?,
            missing: read.u32()?,
            late: read.u32()?,
            saturated: read.u32()?,
            first_time: read.i64()?,
            last_time: read.i64()?,
            ..Self::default()
        };
        let [mut known] = read.take()?;
        if usize::from(known) > SIGNAL_VALUE_COUNT || read.rest.len() != usize::from(known) * 8 {
            return Err(SignalDecodeError::Length(bytes.len()));
        }
        window.for_each_mut(&mut |_, value| {
            if known > 0 {
                known -= 1;
                *value = read.f64().ok().filter(|value| !value.is_nan());
            }
        });
        Ok(window)
    }
}

impl SignalSpike {
    /// Bytes of an encoded spike.
    pub const ENCODED_BYTES: usize = SPIKE_BYTES;

    /// Appends [`Self::ENCODED_BYTES`] bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.time_ms.to_le_bytes());
        for value in [self.amplitude, self.width_s, self.baseline] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.push(u8::from(self.positive));
    }

    /// The inverse of [`encode`](Self::encode).
    pub fn decode(bytes: &[u8]) -> Result<Self, SignalDecodeError> {
        let mut read = Bytes::new(bytes)?;
        let time_ms = read.i64()?;
        let (amplitude, width_s, baseline) = (read.f64()?, read.f64()?, read.f64()?);
        let positive = match read.take()? {
            [0] => false,
            [1] => true,
            _ => return Err(SignalDecodeError::Contents),
        };
        read.end()?;
        Ok(Self { time_ms, amplitude, width_s, positive, baseline })
    }
}

impl SampleBlock {
    /// Largest encoding of a block.
    pub const MAX_ENCODED_BYTES: usize = BLOCK_HEAD_BYTES + MAX_BLOCK_SAMPLES * SAMPLE_BYTES;

    /// Appends at most [`Self::MAX_ENCODED_BYTES`] bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.t0_ms().to_le_bytes());
        out.extend_from_slice(&(self.values().len() as u16).to_le_bytes());
        self.dt_ms().iter().for_each(|dt| out.extend_from_slice(&dt.to_le_bytes()));
        self.values().iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    }

    /// The inverse of [`encode`](Self::encode).
    pub fn decode(bytes: &[u8]) -> Result<Self, SignalDecodeError> {
        let mut read = Bytes::new(bytes)?;
        let t0_ms = read.i64()?;
        let len = usize::from(u16::from_le_bytes(read.take()?));
        if len > MAX_BLOCK_SAMPLES || read.rest.len() != len * SAMPLE_BYTES {
            return Err(SignalDecodeError::Length(bytes.len()));
        }
        let (mut times, mut values) = read.rest.split_at(len * 4);
        let mut block = Self::EMPTY;
        while let (Some((dt, later)), Some((value, others))) =
            (times.split_first_chunk(), values.split_first_chunk())
        {
            let t_ms = t0_ms.checked_add(i64::from(u32::from_le_bytes(*dt)));
            let first_is_at_t0 = block.values().is_empty() && t_ms != Some(t0_ms);
            let fits = t_ms.is_some_and(|t_ms| block.push(t_ms, f64::from_le_bytes(*value)));
            if first_is_at_t0 || !fits {
                return Err(SignalDecodeError::Contents);
            }
            (times, values) = (later, others);
        }
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes);
        bytes
    }

    /// Every prefix, a byte more and another version are refused.
    fn refuses_others<T: fmt::Debug>(bytes: &[u8], decode: fn(&[u8]) -> Result<T, SignalDecodeError>) {
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let long = [bytes, &[0]].concat();
        assert_eq!(decode(&long).unwrap_err(), SignalDecodeError::Length(long.len()));
        let newer = [&[9, 0], &bytes[2..]].concat();
        assert_eq!(decode(&newer).unwrap_err(), SignalDecodeError::Version(9));
    }

    fn window() -> SignalWindow {
        let mut window = SignalWindow {
            start_ms: -60_000,
            length_ms: 60_000,
            count: 5,
            missing: 1,
            late: 2,
            saturated: 3,
            first_time: -59_999,
            last_time: -1,
            ..SignalWindow::default()
        };
        let mut k = 0;
        window.for_each_mut(&mut |_, value| {
            k += 1;
            *value = (k % 3 != 0).then_some(f64::from(k));
        });
        window
    }

    #[test]
    fn windows_spikes_and_blocks_decode_to_themselves_and_other_bytes_are_refused() {
        let bytes = encoded(|out| window().encode(out));
        assert_eq!(bytes.len(), SignalWindow::ENCODED_BYTES);
        assert_eq!(SignalWindow::decode(&bytes), Ok(window()));
        refuses_others(&bytes, SignalWindow::decode);

        let spike =
            SignalSpike { time_ms: -7, amplitude: 0.5, width_s: 90.0, positive: false, baseline: -1.0 };
        let mut bytes = encoded(|out| spike.encode(out));
        assert_eq!(bytes.len(), SignalSpike::ENCODED_BYTES);
        assert_eq!(SignalSpike::decode(&bytes), Ok(spike));
        refuses_others(&bytes, SignalSpike::decode);
        *bytes.last_mut().unwrap() = 2;
        assert_eq!(SignalSpike::decode(&bytes), Err(SignalDecodeError::Contents));

        let mut block = SampleBlock::EMPTY;
        assert_eq!(SampleBlock::decode(&encoded(|out| block.encode(out))), Ok(block.clone()));
        while block.push(1_000 + 7 * block.values().len() as i64, -1.5) {}
        let mut bytes = encoded(|out| block.encode(out));
        assert_eq!(bytes.len(), SampleBlock::MAX_ENCODED_BYTES);
        assert_eq!(SampleBlock::decode(&bytes), Ok(block));
        refuses_others(&bytes, SampleBlock::decode);
        bytes[BLOCK_HEAD_BYTES + 8] = 1;
        assert_eq!(SampleBlock::decode(&bytes), Err(SignalDecodeError::Contents), "times go back");
    }

    #[test]
    fn values_that_an_older_window_does_not_have_are_none() {
        let mut bytes = encoded(|out| window().encode(out));
        bytes[WINDOW_HEAD_BYTES - 1] = 2;
        bytes.truncate(WINDOW_HEAD_BYTES + 16);
        let read = SignalWindow::decode(&bytes).unwrap();
        assert_eq!((read.min, read.max, read.mean, read.sd), (Some(1.0), Some(2.0), None, None));
    }

    #[test]
    fn names_of_values_are_unique_and_none_is_left_out() {
        let mut names = Vec::new();
        window().for_each_value(|name, _| names.push(name));
        assert_eq!(names.len(), SIGNAL_VALUE_COUNT);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SIGNAL_VALUE_COUNT);
    }
}

//! The header of an NPY file: a Python dict literal with exactly three keys.

use std::fmt::Write as _;

use mycelium_core::field::GRID_SIDE;

use super::NpyError;

/// Most axes that are accepted.
const MAX_AXES: usize = 3;

/// Type of the cells, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    F4,
    F8,
}

impl Dtype {
    pub const fn text(self) -> &'static str {
        match self {
            Self::F4 => "<f4",
            Self::F8 => "<f8",
        }
    }

    /// Bytes of a cell.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F4 => 4,
            Self::F8 => 8,
        }
    }
}

/// The checked header; whether the shape is accepted is decided by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpyHeader {
    pub dtype: Dtype,
    pub shape: heapless::Vec<u64, MAX_AXES>,
}

impl NpyHeader {
    /// Parses the text after the length field.
    pub fn parse(text: &[u8]) -> Result<Self, NpyError> {
        let mut cursor = Cursor { text, at: 0 };
        let (mut dtype, mut order, mut shape) = (None, None, None);
        cursor.want(b'{', "`{`")?;
        while !cursor.skip(b'}') {
            let at = cursor.at;
            let first = match cursor.string()? {
                "descr" => dtype.replace(cursor.value(Cursor::dtype)?).is_none(),
                "fortran_order" => order.replace(cursor.value(Cursor::boolean)?).is_none(),
                "shape" => shape.replace(cursor.value(Cursor::tuple)?).is_none(),
                _ => return Err(NpyError::NpyHeader { at, wanted: "'descr', 'fortran_order' or 'shape'" }),
            };
            if !first {
                return Err(NpyError::NpyHeader { at, wanted: "each key once" });
            }
            if !cursor.skip(b',') {
                cursor.want(b'}', "`,` or `}`")?;
                break;
            }
        }
        cursor.end()?;
        let missing = |wanted| NpyError::NpyHeader { at: text.len(), wanted };
        let dtype = dtype.ok_or(missing("the key 'descr'"))?;
        let shape = shape.ok_or(missing("the key 'shape'"))?;
        if order.ok_or(missing("the key 'fortran_order'"))? {
            return Err(NpyError::FortranOrder);
        }
        Ok(Self { dtype, shape })
    }

    /// `(3, 64, 64)`, as Python writes it.
    pub fn shape_text(&self) -> String {
        shape_text(&self.shape)
    }

    /// Side of the planes, if the last two axes are equal and within [`GRID_SIDE`].
    pub(super) fn side(&self) -> Option<usize> {
        match self.shape[..] {
            [.., rows, columns] if rows == columns => {
                usize::try_from(rows).ok().filter(|side| GRID_SIDE.contains(side))
            }
            _ => None,
        }
    }
}

/// `shape` as a Python tuple literal.
pub(super) fn shape_text(shape: &[u64]) -> String {
    let mut text = "(".to_owned();
    for (k, axis) in shape.iter().enumerate() {
        let _infallible = write!(text, "{}{axis}", if k == 0 { "" } else { ", " });
    }
    text.push_str(if shape.len() == 1 { ",)" } else { ")" });
    text
}

/// A parser of the literal.
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(|b| *b == b' ') {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn want(&mut self, byte: u8, wanted: &'static str) -> Result<(), NpyError> {
        if self.skip(byte) { Ok(()) } else { Err(NpyError::NpyHeader { at: self.at, wanted }) }
    }

    fn value<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, NpyError>) -> Result<T, NpyError> {
        self.want(b':', "`:`")?;
        read(self)
    }

    /// A quoted string of printable ASCII without escapes.
    fn string(&mut self) -> Result<&'a str, NpyError> {
        let wanted = NpyError::NpyHeader { at: self.at, wanted: "a quoted string" };
        let Some(quote @ (b'\'' | b'"')) = self.peek() else { return Err(wanted) };
        let from = self.at + 1;
        let inside = |b: &u8| *b != quote && *b != b'\\' && (b' '..=b'~').contains(b);
        let len = self.text[from..].iter().take_while(|b| inside(b)).count();
        self.at = from + len;
        self.want(quote, "the end of a quoted string")?;
        std::str::from_utf8(&self.text[from..from + len]).map_err(|_| wanted)
    }

    /// A supported type. A list is a structured type, which the error says.
    fn dtype(&mut self) -> Result<Dtype, NpyError> {
        if self.peek() == Some(b'[') {
            return Err(NpyError::Dtype("of records".to_owned()));
        }
        match self.string()? {
            "<f4" => Ok(Dtype::F4),
            "<f8" => Ok(Dtype::F8),
            other => Err(NpyError::Dtype(format!("'{}'", other.chars().take(32).collect::<String>()))),
        }
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        self.peek();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(NpyError::NpyHeader { at: self.at, wanted: "True or False" })
    }

    fn number(&mut self) -> Result<u64, NpyError> {
        let wanted = "a whole number below 2^63";
        self.peek();
        let from = self.at;
        let mut value = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at).copied() {
            let next = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0')));
            value = next.filter(|v| *v < 1 << 63).ok_or(NpyError::NpyHeader { at: from, wanted })?;
            self.at += 1;
        }
        if self.at == from { Err(NpyError::NpyHeader { at: from, wanted }) } else { Ok(value) }
    }

    fn tuple(&mut self) -> Result<heapless::Vec<u64, MAX_AXES>, NpyError> {
        let mut shape = heapless::Vec::new();
        self.want(b'(', "`(`")?;
        while !self.skip(b')') {
            let at = self.at;
            shape
                .push(self.number()?)
                .map_err(|_| NpyError::NpyHeader { at, wanted: "at most three axes" })?;
            if !self.skip(b',') {
                // Python reads `(5)` as a number, not as a tuple.
                if shape.len() == 1 {
                    return Err(NpyError::NpyHeader { at: self.at, wanted: "`,`" });
                }
                self.want(b')', "`,` or `)`")?;
                break;
            }
        }
        Ok(shape)
    }

    /// Padding and one line feed up to the end.
    fn end(&mut self) -> Result<(), NpyError> {
        self.peek();
        if &self.text[self.at..] == b"\n" {
            return Ok(());
        }
        Err(NpyError::NpyHeader { at: self.at, wanted: "padding and a line feed" })
    }
}

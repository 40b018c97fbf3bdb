//! PURE. Lines of CSV (RFC 4180 without line breaks inside quotes): columns by name or number.

use std::borrow::Cow;

use super::sample::{Picked, Reject, number};
use super::settings::Input;

/// Columns that are looked at; names and numbers beyond are missing.
const MAX_COLUMNS: usize = 256;

/// Which column each input reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(Vec<Option<usize>>);

/// What a line was.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// Names of columns.
    Header(Columns),
    Data(Box<Picked>),
}

/// The fields of a line; `None` when a quote is out of place.
fn fields(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut found = Vec::new();
    let mut rest = line.strip_suffix('\r').unwrap_or(line);
    loop {
        let (field, behind) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_field(quoted)?
        } else {
            let (field, behind) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            if field.contains('"') {
                return None;
            }
            (Cow::Borrowed(field.trim()), behind)
        };
        if found.len() < MAX_COLUMNS {
            found.push(field);
        }
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None => return behind.is_empty().then_some(found),
        }
    }
}

/// A field behind its opening quote, and what follows its closing one.
fn quoted_field(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut doubled = false;
    loop {
        at += bytes[at..].iter().position(|&b| b == b'"')?;
        if bytes.get(at + 1) != Some(&b'"') {
            break;
        }
        doubled = true;
        at += 2;
    }
    let field = &text[..at];
    let field = if doubled { Cow::Owned(field.replace("\"\"", "\"")) } else { Cow::Borrowed(field) };
    Some((field, &text[at + 1..]))
}

impl Columns {
    /// Columns by the numbers in the pointers, counted from 0, until a header gives names.
    pub fn by_number(inputs: &[Input]) -> Self {
        Self(inputs.iter().map(|input| own_token(input).and_then(|t| t.parse().ok())).collect())
    }

    fn by_name(inputs: &[Input], header: &[Cow<'_, str>]) -> Self {
        let column = |input: &Input| {
            let token = own_token(input)?;
            header.iter().position(|name| *name == token).or_else(|| token.parse().ok())
        };
        Self(inputs.iter().map(column).collect())
    }

    /// Reads a line. The first line of a file is a header when none of its fields is a number.
    pub fn read(&self, line: &[u8], first: bool, inputs: &[Input]) -> Result<Row, String> {
        let text = std::str::from_utf8(line).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to()))?;
        let text = if first { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        let fields = fields(text).ok_or("a quote is out of place")?;
        if first && fields.iter().all(|field| number(field).is_err()) {
            return Ok(Row::Header(Self::by_name(inputs, &fields)));
        }
        let mut picked = Picked::default();
        for (k, (input, column)) in inputs.iter().zip(&self.0).enumerate() {
            let field = column.and_then(|column| fields.get(column)).filter(|field| !field.is_empty());
            picked.take(k, input, field.ok_or(Reject::Missing).and_then(|field| number(field)));
        }
        Ok(Row::Data(Box::new(picked)))
    }
}

/// A column is one part of a pointer.
fn own_token(input: &Input) -> Option<&str> {
    match input.pointer.tokens() {
        [token] => Some(token),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::json::JsonPointer;

    fn inputs(pointers: &[&str]) -> Vec<Input> {
        let input = |(index, pointer): (usize, &&str)| Input {
            name: format!("i{index}"),
            index,
            pointer: JsonPointer::parse(pointer).unwrap(),
            drive: None,
        };
        pointers.iter().enumerate().map(input).collect()
    }

    fn values(columns: &Columns, line: &str, inputs: &[Input]) -> Vec<f64> {
        match columns.read(line.as_bytes(), false, inputs).unwrap() {
            Row::Data(picked) => picked.readings.iter().map(|reading| reading.value).collect(),
            Row::Header(_) => panic!("{line} is data"),
        }
    }

    #[test]
    fn columns_are_found_by_the_names_of_the_header_or_by_number() {
        let inputs = inputs(&["/temp, air", "/humidity", "/0"]);
        let plain = Columns::by_number(&inputs);
        assert_eq!(values(&plain, "1,2,3", &inputs), [1.0], "no names are known yet");
        let Row::Header(named) =
            plain.read("\u{feff}time,humidity,\"temp, air\"\r".as_bytes(), true, &inputs).unwrap()
        else {
            panic!("a header has no numbers")
        };
        assert_eq!(values(&named, "9, 55.5 ,\"21\"\r", &inputs), [21.0, 55.5, 9.0]);
        let Row::Data(first) = plain.read(b"7,8", true, &inputs).unwrap() else {
            panic!("a first line with numbers is data")
        };
        assert_eq!(first.readings[0].value, 7.0);
    }

    #[test]
    fn quotes_and_gaps_are_read_as_the_standard_says() {
        let rows = [
            ("a,b", Some(vec!["a", "b"]), "plain"),
            ("\"a\"\"b\",c", Some(vec!["a\"b", "c"]), "a doubled quote"),
            ("\"a,b\",", Some(vec!["a,b", ""]), "a comma inside, an empty field at the end"),
            ("", Some(vec![""]), "an empty line has one empty field"),
            ("a\"b,c", None, "a quote in the middle"),
            ("\"a", None, "an open quote"),
            ("\"a\"b,c", None, "something behind a closing quote"),
        ];
        for (line, want, why) in rows {
            let got = fields(line);
            let got = got.as_ref().map(|fields| fields.iter().map(AsRef::as_ref).collect::<Vec<&str>>());
            assert_eq!(got, want, "{why}");
        }
        let inputs = inputs(&["/0", "/1", "/2"]);
        let Ok(Row::Data(picked)) = Columns::by_number(&inputs).read(b"x,,3", false, &inputs) else {
            panic!("behind the first line all is data")
        };
        assert_eq!(picked.rejects, [(0, Reject::NotANumber), (1, Reject::Missing)]);
        assert!(fields(&",".repeat(5000)).unwrap().len() == MAX_COLUMNS, "bounded");
    }
}

//! PURE. Inputs from CSV lines; columns by name or number.

use std::borrow::Cow;

use super::extract::{Extraction, RejectReason, number};
use super::settings::ConnectorInput;
use crate::formats::csv::fields;
use crate::formats::json::JsonPointer;

/// Which columns each input reads: value and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvColumns(Vec<[Option<usize>; 2]>);

/// A parsed line.
#[derive(Clone, Debug, PartialEq)]
pub enum CsvRow {
    /// Names of the columns.
    Header(CsvColumns),
    Data(Box<Extraction>),
}

impl CsvColumns {
    /// Columns by the numbers in the pointers, counted from 0; used until a header is read.
    pub fn by_number(inputs: &[ConnectorInput]) -> Self {
        Self::located(inputs, |token| token.parse().ok())
    }

    fn by_name(inputs: &[ConnectorInput], header: &[Cow<'_, str>]) -> Self {
        Self::located(inputs, |token| {
            header.iter().position(|name| *name == token).or_else(|| token.parse().ok())
        })
    }

    fn located(inputs: &[ConnectorInput], column: impl Fn(&str) -> Option<usize>) -> Self {
        let at = |pointer: Option<&JsonPointer>| pointer.and_then(only_token).and_then(&column);
        let of =
            |input: &ConnectorInput| [at(Some(&input.pointer)), at(input.time.as_ref().map(|t| &t.pointer))];
        Self(inputs.iter().map(of).collect())
    }

    /// Parses a line. It is a header if none of its fields is a number and it is the first of a file or names an input.
    pub fn read(&self, line: &[u8], first: bool, inputs: &[ConnectorInput]) -> Result<CsvRow, String> {
        let text = std::str::from_utf8(line).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to()))?;
        let text = if first { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        let fields = fields(text).ok_or("a quote is misplaced")?;
        let names_an_input = || {
            inputs
                .iter()
                .any(|input| only_token(&input.pointer).is_some_and(|name| fields.iter().any(|f| f == name)))
        };
        if fields.iter().all(|field| number(field).is_err()) && (first || names_an_input()) {
            return Ok(CsvRow::Header(Self::by_name(inputs, &fields)));
        }
        let mut extraction = Extraction::default();
        let field = |column: Option<usize>| fields.get(column?).filter(|field| !field.is_empty());
        for (k, (input, &[value, time])) in inputs.iter().zip(&self.0).enumerate() {
            let found = field(value).ok_or(RejectReason::Missing).and_then(|field| number(field));
            extraction.take(k, input, found, |written| written.format.parse(field(time)?));
        }
        Ok(CsvRow::Data(Box::new(extraction)))
    }
}

/// The pointer of a column has exactly one token.
fn only_token(pointer: &JsonPointer) -> Option<&str> {
    match pointer.tokens() {
        [token] => Some(token),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(pointers: &[&str]) -> Vec<ConnectorInput> {
        let input = |(index, pointer): (usize, &&str)| ConnectorInput {
            name: format!("i{index}"),
            index,
            pointer: JsonPointer::parse(pointer).unwrap(),
            time: None,
            stimulation: None,
        };
        pointers.iter().enumerate().map(input).collect()
    }

    fn values(columns: &CsvColumns, line: &str, inputs: &[ConnectorInput]) -> Vec<f64> {
        match columns.read(line.as_bytes(), false, inputs).unwrap() {
            CsvRow::Data(extraction) => extraction.readings.iter().map(|reading| reading.value).collect(),
            CsvRow::Header(_) => panic!("{line} is data"),
        }
    }

    #[test]
    fn columns_are_found_by_the_names_of_the_header_or_by_number() {
        let inputs = inputs(&["/temp, air", "/humidity", "/0"]);
        let plain = CsvColumns::by_number(&inputs);
        assert_eq!(values(&plain, "1,2,3", &inputs), [1.0], "no names are known yet");
        let CsvRow::Header(named) =
            plain.read("\u{feff}time,humidity,\"temp, air\"\r".as_bytes(), true, &inputs).unwrap()
        else {
            panic!("a header has no numbers")
        };
        assert_eq!(values(&named, "9, 55.5 ,\"21\"\r", &inputs), [21.0, 55.5, 9.0]);
        let CsvRow::Header(changed) = named.read(b"humidity,\"temp, air\",time", false, &inputs).unwrap()
        else {
            panic!("a writer that starts again may order its columns in another way")
        };
        assert_eq!(values(&changed, "55.5,21,9", &inputs), [21.0, 55.5, 55.5]);
        let text = named.read(b"sensor,is,broken", false, &inputs).unwrap();
        assert!(
            matches!(text, CsvRow::Data(e) if e.rejects.len() == 3),
            "words that name no input are no header"
        );
        let CsvRow::Data(first) = plain.read(b"7,8", true, &inputs).unwrap() else {
            panic!("a first line with numbers is data")
        };
        assert_eq!(first.readings[0].value, 7.0);
    }

    #[test]
    fn empty_fields_are_missing() {
        let inputs = inputs(&["/0", "/1", "/2"]);
        let Ok(CsvRow::Data(extraction)) = CsvColumns::by_number(&inputs).read(b"x,,3", false, &inputs)
        else {
            panic!("every line after the first is data")
        };
        assert_eq!(extraction.rejects, [(0, RejectReason::NotANumber), (1, RejectReason::Missing)]);
    }
}

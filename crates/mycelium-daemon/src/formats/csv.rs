//! PURE. CSV lines (RFC 4180 without line breaks inside quotes).

use std::borrow::Cow;

/// Columns that are parsed; later ones are left out.
const MAX_COLUMNS: usize = 256;

/// The fields of a line; `None` if a quote is misplaced.
pub fn fields(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut found = Vec::new();
    let mut rest = line.strip_suffix('\r').unwrap_or(line);
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_field(quoted)?
        } else {
            let (field, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            if field.contains('"') {
                return None;
            }
            (Cow::Borrowed(field.trim()), after)
        };
        if found.len() < MAX_COLUMNS {
            found.push(field);
        }
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(found),
        }
    }
}

/// A field after its opening quote, and what follows its closing quote.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_empty_fields_follow_rfc_4180() {
        let rows = [
            ("a,b", Some(vec!["a", "b"]), "plain"),
            ("\"a\"\"b\",c", Some(vec!["a\"b", "c"]), "a doubled quote"),
            ("\"a,b\",", Some(vec!["a,b", ""]), "a comma inside, an empty field at the end"),
            ("", Some(vec![""]), "an empty line has one empty field"),
            ("a\"b,c", None, "a quote in the middle"),
            ("\"a", None, "an open quote"),
            ("\"a\"b,c", None, "text after a closing quote"),
        ];
        for (line, want, why) in rows {
            let got = fields(line);
            let got = got.as_ref().map(|fields| fields.iter().map(AsRef::as_ref).collect::<Vec<&str>>());
            assert_eq!(got, want, "{why}");
        }
        assert!(fields(&",".repeat(5000)).unwrap().len() == MAX_COLUMNS, "bounded");
    }
}

//! PURE. From text or TOML to a value that its key accepts.

use toml_span::value::{Table, ValueInner};

use super::keys::{self, KeySpec, Kind};
use super::value::Value;

/// Why a key does not accept a value, for an error message: "is `found`; it must be `accepted`".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RejectedValue {
    pub(super) found: String,
    pub(super) accepted: String,
}

/// Of a variable or an option of the command line.
pub(super) fn parse_text(key: &KeySpec, text: &str) -> Result<Value, RejectedValue> {
    let parsed = match key.kind {
        Kind::Integer { .. } => text.parse().ok().map(Value::Integer),
        Kind::Number(_) => text.parse().ok().map(Value::Number),
        Kind::Flag => text.parse().ok().map(Value::Flag),
        Kind::Choice(_) | Kind::Text { .. } | Kind::NumberOrText { .. } => Some(Value::Text(text.to_owned())),
        Kind::TextList { .. } => {
            Some(Value::TextList(text.split(',').map(|t| t.trim().to_owned()).collect()))
        }
        Kind::NumberList { .. } => {
            let numbers: Option<Vec<_>> = text.split(',').map(|t| t.trim().parse().ok()).collect();
            numbers.map(Value::NumberList)
        }
        Kind::StringMap { .. } => None,
    };
    checked(key, parsed.ok_or_else(|| rejected(key, quoted(key, text)))?)
}

/// Of a file.
pub(super) fn parse_toml(key: &KeySpec, value: &toml_span::Value<'_>) -> Result<Value, RejectedValue> {
    let parsed = match (key.kind, value.as_ref()) {
        (Kind::Integer { .. }, ValueInner::Integer(n)) => Value::Integer(*n),
        (Kind::Number(_), ValueInner::Integer(n)) => Value::Number(*n as f64),
        (Kind::Number(_), ValueInner::Float(x)) => Value::Number(*x),
        (Kind::Flag, ValueInner::Boolean(flag)) => Value::Flag(*flag),
        (Kind::Choice(_) | Kind::Text { .. } | Kind::NumberOrText { .. }, ValueInner::String(text)) => {
            Value::Text(text.to_string())
        }
        (Kind::NumberOrText { .. }, ValueInner::Float(x)) => Value::Text(x.to_string()),
        (Kind::NumberList { .. }, ValueInner::Array(items)) => {
            let numbers: Option<Vec<_>> = items.iter().map(toml_span::Value::as_float).collect();
            Value::NumberList(numbers.ok_or_else(|| rejected(key, "an array of other things".to_owned()))?)
        }
        // A choice of numerals, such as 4 or 8, is also accepted without quotes.
        (Kind::Choice(_) | Kind::NumberOrText { .. }, ValueInner::Integer(n)) => Value::Text(n.to_string()),
        (Kind::TextList { .. }, ValueInner::Array(items)) => {
            let texts: Option<Vec<_>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            Value::TextList(texts.ok_or_else(|| rejected(key, "an array of other things".to_owned()))?)
        }
        (Kind::StringMap { .. }, ValueInner::Table(table)) => Value::StringMap(header_fields(key, table)?),
        (_, other) => return Err(rejected(key, shown(key, other))),
    };
    checked(key, parsed)
}

fn checked(key: &KeySpec, value: Value) -> Result<Value, RejectedValue> {
    let accepted = match (&value, key.kind) {
        (Value::Integer(n), Kind::Integer { low, high }) => (low..=high).contains(n),
        (Value::Number(x), Kind::Number(interval)) => interval.check(key.path, *x).is_ok(),
        (Value::Text(text), Kind::Choice(names)) => names.contains(&text.as_str()),
        (Value::Text(text), Kind::Text { is_valid, .. } | Kind::NumberOrText { is_valid, .. }) => {
            is_valid(text)
        }
        (Value::NumberList(numbers), Kind::NumberList { interval, max }) => {
            numbers.len() <= max && numbers.iter().all(|&x| interval.check(key.path, x).is_ok())
        }
        (Value::TextList(texts), Kind::TextList { max, is_valid, .. }) => {
            texts.len() <= max && texts.iter().all(|text| is_valid(text))
        }
        (Value::Flag(_), Kind::Flag) | (Value::StringMap(_), Kind::StringMap { .. }) => true,
        _ => false,
    };
    if accepted {
        return Ok(value);
    }
    let found = match &value {
        Value::Text(text) => quoted(key, text),
        other => other.to_string(),
    };
    Err(rejected(key, found))
}

fn rejected(key: &KeySpec, found: String) -> RejectedValue {
    RejectedValue { found, accepted: key.kind.requirement() }
}

/// A text for an error message: shortened, and never a secret.
fn quoted(key: &KeySpec, text: &str) -> String {
    const MAX_SHOWN_CHARS: usize = 80;
    if keys::is_secret(key) {
        return "a secret that is not shown".to_owned();
    }
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((cut, _)) => format!("{:?}.. ({} bytes)", &text[..cut], text.len()),
        None => format!("{text:?}"),
    }
}

fn shown(key: &KeySpec, value: &ValueInner<'_>) -> String {
    match value {
        ValueInner::String(text) => quoted(key, text),
        ValueInner::Integer(n) => n.to_string(),
        ValueInner::Float(x) => x.to_string(),
        ValueInner::Boolean(flag) => flag.to_string(),
        ValueInner::Array(_) | ValueInner::Table(_) => type_name(value).to_owned(),
    }
}

/// The type of a value in a file, with its article.
pub(super) fn type_name(value: &ValueInner<'_>) -> &'static str {
    match value {
        ValueInner::String(_) => "a string",
        ValueInner::Integer(_) => "an integer",
        ValueInner::Float(_) => "a number",
        ValueInner::Boolean(_) => "a boolean",
        ValueInner::Array(_) => "an array",
        ValueInner::Table(_) => "a table",
    }
}

/// Bounded in number and length, and nothing that could end a line of a request.
fn header_fields(key: &KeySpec, table: &Table<'_>) -> Result<Vec<(String, String)>, RejectedValue> {
    const MAX_HEADERS: usize = 16;
    const MAX_NAME_BYTES: usize = 128;
    const MAX_VALUE_BYTES: usize = 2048;
    if table.len() > MAX_HEADERS {
        return Err(rejected(key, format!("{} entries", table.len())));
    }
    let is_name = |name: &str| {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_token)
    };
    let is_value = |text: &&str| {
        text.len() <= MAX_VALUE_BYTES && text.bytes().all(|b| b == b'\t' || (b' '..0x7f).contains(&b))
    };
    table
        .iter()
        .map(|(name, value)| match value.as_str().filter(is_value) {
            Some(text) if is_name(&name.name) => Ok((name.name.to_string(), text.to_owned())),
            _ => Err(rejected(key, format!("a table with an invalid entry {:?}", name.name))),
        })
        .collect()
}

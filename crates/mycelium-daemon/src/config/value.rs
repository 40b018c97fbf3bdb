//! One value of a key, checked against the key's kind.

use std::fmt;

use super::keys::{Key, Kind};

/// A checked value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Integer(i64),
    Number(f64),
    Flag(bool),
    Text(String),
    Texts(Vec<(String, String)>),
}

/// Why a value is not one of its key: what was found and what would be accepted, both for printing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) found: String,
    pub(super) accepted: String,
}

impl Value {
    /// From the environment, a flag, or the table's default.
    pub(super) fn from_text(key: &Key, text: &str) -> Result<Self, Refused> {
        let parsed = match key.kind {
            Kind::Integer { .. } => text.parse().ok().map(Self::Integer),
            Kind::Number(_) => text.parse().ok().map(Self::Number),
            Kind::Flag => text.parse().ok().map(Self::Flag),
            Kind::Choice(_) | Kind::Text { .. } => Some(Self::Text(text.to_owned())),
            Kind::Texts { .. } => None,
        };
        parsed.ok_or_else(|| refused(key, quoted(key, text)))?.checked(key)
    }

    /// From a file.
    pub(super) fn from_toml(key: &Key, value: &toml_span::Value<'_>) -> Result<Self, Refused> {
        use toml_span::value::ValueInner as Toml;
        let parsed = match (key.kind, value.as_ref()) {
            (Kind::Integer { .. }, Toml::Integer(n)) => Self::Integer(*n),
            (Kind::Number(_), Toml::Integer(n)) => Self::Number(*n as f64),
            (Kind::Number(_), Toml::Float(x)) => Self::Number(*x),
            (Kind::Flag, Toml::Boolean(flag)) => Self::Flag(*flag),
            (Kind::Choice(_) | Kind::Text { .. }, Toml::String(text)) => Self::Text(text.to_string()),
            // A choice of numerals, such as 4 | 8, is also taken without quotes.
            (Kind::Choice(_), Toml::Integer(n)) => Self::Text(n.to_string()),
            (Kind::Texts { .. }, Toml::Table(table)) => Self::Texts(texts(key, table)?),
            (_, other) => return Err(refused(key, shown(key, other))),
        };
        parsed.checked(key)
    }

    fn checked(self, key: &Key) -> Result<Self, Refused> {
        let fits = match (&self, key.kind) {
            (Self::Integer(n), Kind::Integer { low, high }) => (low..=high).contains(n),
            (Self::Number(x), Kind::Number(interval)) => interval.check(key.path, *x).is_ok(),
            (Self::Text(text), Kind::Choice(names)) => names.contains(&text.as_str()),
            (Self::Text(text), Kind::Text { fits, .. }) => fits(text),
            (Self::Flag(_), Kind::Flag) | (Self::Texts(_), Kind::Texts { .. }) => true,
            _ => false,
        };
        if fits {
            return Ok(self);
        }
        let found = match &self {
            Self::Text(text) => quoted(key, text),
            other => other.to_string(),
        };
        Err(refused(key, found))
    }
}

/// As in a TOML file; secrets are the caller's business.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(n) => write!(f, "{n}"),
            Self::Number(x) => write!(f, "{x}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => f.write_str(&toml_string(text)),
            Self::Texts(texts) => {
                let pairs: Vec<_> =
                    texts.iter().map(|(k, v)| format!("{} = {}", toml_string(k), toml_string(v))).collect();
                write!(f, "{{ {} }}", pairs.join(", "))
            }
        }
    }
}

/// A basic string; its escapes are those of JSON.
pub(super) fn toml_string(text: &str) -> String {
    let mut out = String::new();
    crate::formats::json::write_string(&mut out, text);
    out
}

fn refused(key: &Key, found: String) -> Refused {
    let accepted = match key.kind {
        Kind::Integer { .. } | Kind::Number(_) => format!("{} {}", article(key), key.kind.accepted()),
        _ => key.kind.accepted(),
    };
    Refused { found, accepted }
}

fn article(key: &Key) -> &'static str {
    match key.kind {
        Kind::Integer { .. } => "a whole number",
        _ => "a number",
    }
}

/// A text for an error message: shortened, and never a secret.
fn quoted(key: &Key, text: &str) -> String {
    const SHOWN: usize = 80;
    if key.is_secret() {
        return "a secret that is not shown".to_owned();
    }
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{:?}.. ({} bytes)", &text[..cut], text.len()),
        None => format!("{text:?}"),
    }
}

fn shown(key: &Key, value: &toml_span::value::ValueInner<'_>) -> String {
    use toml_span::value::ValueInner as Toml;
    match value {
        Toml::String(text) => quoted(key, text),
        Toml::Integer(n) => n.to_string(),
        Toml::Float(x) => x.to_string(),
        Toml::Boolean(flag) => flag.to_string(),
        Toml::Array(_) => "an array".to_owned(),
        Toml::Table(_) => "a table".to_owned(),
    }
}

/// Header fields: few, short, and nothing that could end a line.
fn texts(key: &Key, table: &toml_span::value::Table<'_>) -> Result<Vec<(String, String)>, Refused> {
    const MOST: usize = 16;
    const LONGEST: usize = 2048;
    if table.len() > MOST {
        return Err(refused(key, format!("{} entries", table.len())));
    }
    table
        .iter()
        .map(|(name, value)| {
            let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            let good_name =
                !name.name.is_empty() && name.name.len() <= 128 && name.name.bytes().all(is_token);
            let text = value
                .as_str()
                .filter(|v| v.len() <= LONGEST && v.bytes().all(|b| b == b'\t' || (b' '..0x7f).contains(&b)));
            match text {
                Some(text) if good_name => Ok((name.name.to_string(), text.to_owned())),
                _ => Err(refused(key, format!("a table with a bad entry {:?}", name.name))),
            }
        })
        .collect()
}

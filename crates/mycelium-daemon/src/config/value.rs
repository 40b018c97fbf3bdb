//! PURE. The value of a key, without the rules that it was checked against.

use std::fmt;

/// Types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    Integer,
    Number,
    Flag,
    Text,
    TextList,
    NumberList,
    StringMap,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Integer(i64),
    Number(f64),
    Flag(bool),
    Text(String),
    TextList(Vec<String>),
    NumberList(Vec<f64>),
    StringMap(Vec<(String, String)>),
}

/// As in a TOML file. Shows secrets: callers leave out the values of secret keys.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(n) => write!(f, "{n}"),
            Self::Number(x) => write!(f, "{x}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => f.write_str(&toml_string(text)),
            Self::TextList(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| toml_string(text)).collect();
                write!(f, "[{}]", texts.join(", "))
            }
            Self::NumberList(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(f64::to_string).collect();
                write!(f, "[{}]", numbers.join(", "))
            }
            Self::StringMap(entries) => {
                let pairs: Vec<_> =
                    entries.iter().map(|(k, v)| format!("{} = {}", toml_string(k), toml_string(v))).collect();
                write!(f, "{{ {} }}", pairs.join(", "))
            }
        }
    }
}

/// A basic string of TOML; its escapes are those of JSON.
pub(super) fn toml_string(text: &str) -> String {
    let mut out = String::new();
    crate::formats::json::write_string(&mut out, text);
    out
}

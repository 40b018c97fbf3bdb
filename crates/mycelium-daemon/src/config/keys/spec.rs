//! PURE. What a configuration key is: path, accepted values, default and documentation; and its typed handle.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use crate::config::key_type::KeyType;
use crate::config::value::{Value, ValueType};
use mycelium_core::range::{Interval, one_of};
use mycelium_outbox::SafeName;

/// The accepted values of a key.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Integer {
        low: i64,
        high: i64,
    },
    Number(Interval),
    Choice(&'static [&'static str]),
    Flag,
    Text {
        accepted: &'static str,
        is_valid: fn(&str) -> bool,
    },
    /// An array of strings; in variables separated by commas.
    TextList {
        accepted: &'static str,
        max: usize,
        is_valid: fn(&str) -> bool,
    },
    /// An array of numbers.
    NumberList {
        interval: Interval,
        max: usize,
    },
    /// A string, or a number, which is kept as a string.
    NumberOrText {
        accepted: &'static str,
        is_valid: fn(&str) -> bool,
    },
    /// A table of strings; only in files.
    StringMap {
        accepted: &'static str,
    },
}

impl Kind {
    /// The type as the manual names it.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Integer { .. } => "integer",
            Self::Number(_) => "number",
            Self::Choice(_) | Self::Text { .. } => "string",
            Self::Flag => "boolean",
            Self::TextList { .. } => "array of strings",
            Self::NumberList { .. } => "array of numbers",
            Self::NumberOrText { .. } => "number or string",
            Self::StringMap { .. } => "table of strings",
        }
    }

    const fn value_type(self) -> ValueType {
        match self {
            Self::Integer { .. } => ValueType::Integer,
            Self::Number(_) => ValueType::Number,
            Self::Choice(_) | Self::Text { .. } | Self::NumberOrText { .. } => ValueType::Text,
            Self::NumberList { .. } => ValueType::NumberList,
            Self::Flag => ValueType::Flag,
            Self::TextList { .. } => ValueType::TextList,
            Self::StringMap { .. } => ValueType::StringMap,
        }
    }

    /// The accepted values as the manual lists them.
    pub fn accepted(self) -> String {
        match self {
            Self::Integer { low, high: i64::MAX } => format!("at least {low}"),
            Self::Integer { low, high } => format!("from {low} to {high}"),
            Self::Number(interval) => interval.to_string(),
            Self::Choice(names) => names.join(" | "),
            Self::Flag => "true | false".to_owned(),
            Self::NumberList { interval, max } => format!("at most {max}, each {interval}"),
            Self::Text { accepted, .. }
            | Self::TextList { accepted, .. }
            | Self::NumberOrText { accepted, .. }
            | Self::StringMap { accepted } => accepted.to_owned(),
        }
    }

    /// The accepted values as they follow "it must be" in an error message.
    pub(in crate::config) fn requirement(self) -> String {
        match self {
            Self::Integer { .. } => format!("a whole number {}", self.accepted()),
            Self::Number(_) => format!("a number {}", self.accepted()),
            Self::Choice(names) => one_of(names),
            Self::Flag => "true or false".to_owned(),
            Self::NumberList { .. } => format!("an array of numbers, {}", self.accepted()),
            Self::Text { .. }
            | Self::TextList { .. }
            | Self::NumberOrText { .. }
            | Self::StringMap { .. } => self.accepted(),
        }
    }
}

/// The value of a key that is set nowhere.
#[derive(Clone, Copy, Debug)]
pub enum DefaultValue {
    Integer(i64),
    Number(f64),
    Flag(bool),
    Text(&'static str),
    /// No value; the words say what happens instead.
    Absent(&'static str),
}

impl DefaultValue {
    pub(in crate::config) fn value(self) -> Option<Value> {
        match self {
            Self::Integer(n) => Some(Value::Integer(n)),
            Self::Number(x) => Some(Value::Number(x)),
            Self::Flag(flag) => Some(Value::Flag(flag)),
            Self::Text(text) => Some(Value::Text(text.to_owned())),
            Self::Absent(_) => None,
        }
    }

    /// As in the environment or in the manual: texts without quotes. Of an absent one, what happens instead.
    pub fn text(self) -> String {
        match self {
            Self::Integer(n) => n.to_string(),
            Self::Number(x) => x.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Text(text) | Self::Absent(text) => text.to_owned(),
        }
    }
}

/// One key: a row of the table.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Tables and name joined by dots; `[]` marks an array of tables.
    pub path: &'static str,
    pub kind: Kind,
    pub default: DefaultValue,
    /// Empty for plain numbers and names.
    pub unit: &'static str,
    pub doc: &'static str,
    /// When to change it.
    pub tune: &'static str,
}

/// What the name of every variable of this program starts with.
pub const PREFIX: &str = "MYCELIUMD_";

impl KeySpec {
    /// The last part of the path.
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    /// Everything before the last part of the path.
    pub fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    pub const fn is_in_list(&self) -> bool {
        let path = self.path.as_bytes();
        let mut k = 0;
        while k < path.len() {
            if path[k] == b'[' {
                return true;
            }
            k += 1;
        }
        false
    }

    /// Name in the environment; keys inside arrays of tables have none.
    pub fn variable(&self) -> Option<String> {
        (!self.is_in_list()).then(|| format!("{PREFIX}{}", self.path.to_uppercase().replace('.', "__")))
    }
}

/// A key whose value has type `T`.
#[derive(Debug)]
pub struct Key<T> {
    spec: &'static KeySpec,
    of_type: PhantomData<fn() -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T: KeyType> Key<T> {
    /// The row of `path`. Evaluated at compile time: a row that is missing, has another type than `T`, or has no default
    /// although `T` is not an `Option`, does not compile.
    pub(super) const fn declared(rows: &'static [KeySpec], path: &str) -> Self {
        let mut k = 0;
        while !same(rows[k].path, path) {
            k += 1;
        }
        let spec = &rows[k];
        assert!(spec.kind.value_type() as u8 == T::TYPE as u8, "the key has another type");
        let absent = matches!(spec.default, DefaultValue::Absent(_));
        assert!(absent == T::OPTIONAL, "the type is an Option if and only if the key has no default");
        Self { spec, of_type: PhantomData }
    }
}

impl<T> Key<T> {
    pub const fn spec(self) -> &'static KeySpec {
        self.spec
    }

    pub const fn path(self) -> &'static str {
        self.spec.path
    }
}

/// Equality of texts at compile time.
pub(super) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut k = 0;
    while k < a.len() && k < b.len() && a[k] == b[k] {
        k += 1;
    }
    k == a.len() && k == b.len()
}

/// The name of the table, then one row per key: `CONSTANT: type, path: kind, default, unit; meaning; when to change it`. Rows that are read by path
/// only have no constant.
macro_rules! keys {
    ($rows:ident; $($($constant:ident: $type:ty,)? $path:literal: $kind:expr, $default:expr, $unit:literal; $doc:literal; $tune:literal)+) => {
        $($(pub const $constant: $crate::config::keys::spec::Key<$type> =
            $crate::config::keys::spec::Key::declared($rows, $path);)?)+

        pub(super) static $rows: &[$crate::config::keys::spec::KeySpec] = &[$($crate::config::keys::spec::KeySpec {
            path: $path, kind: $kind, default: $default, unit: $unit, doc: $doc, tune: $tune,
        }),+];
    };
}
pub(super) use keys;

pub(super) const fn integer(low: i64, high: i64) -> Kind {
    Kind::Integer { low, high }
}

/// The range of whole numbers that the owner of a key states.
pub(super) const fn range(range: RangeInclusive<u64>) -> Kind {
    integer(*range.start() as i64, *range.end() as i64)
}

/// The interval that the owner of a key states; only whole numbers are accepted.
pub(super) const fn whole(interval: Interval) -> Kind {
    integer(interval.low as i64, interval.high as i64)
}

pub(super) const NAME: Kind = Kind::Text { accepted: SafeName::ACCEPTED, is_valid: SafeName::is_valid };

//! PURE. Rust types that a key can have.

use core::net::SocketAddr;
use std::time::Duration;

use log::LevelFilter;

use super::value::{Value, ValueType};
use crate::api::Scope;
use crate::connectors;
use crate::delivery::LineFormat;
use crate::formats::json::JsonPointer;
use crate::formats::time_format::TimeFormat;
use crate::telemetry::logs::LogFormat;
use mycelium_core::features::{Compat, Connectivity, Threshold};
use mycelium_core::signals::{SpikePolarity, SpikeThreshold};
use mycelium_core::sim::{Boundary, GrayScottPreset, Model, Precision};
use mycelium_outbox::{Durability, OverflowPolicy};

/// A type that a checked value converts to without a further error.
pub trait KeyType: Sized {
    const TYPE: ValueType;
    /// Whether the key may be absent.
    const OPTIONAL: bool = false;

    /// `None` only if the value breaks the rules of its key.
    fn from_value(value: &Value) -> Option<Self>;

    /// `None` unless the type is [`Self::OPTIONAL`].
    fn from_absent() -> Option<Self> {
        None
    }
}

impl<T: KeyType> KeyType for Option<T> {
    const TYPE: ValueType = T::TYPE;
    const OPTIONAL: bool = true;

    fn from_value(value: &Value) -> Option<Self> {
        T::from_value(value).map(Some)
    }

    fn from_absent() -> Option<Self> {
        Some(None)
    }
}

/// `Rust type: type of the value, conversion`.
macro_rules! key_types {
    ($($type:ty: $variant:ident($value:ident) => $convert:expr;)+) => {$(
        impl KeyType for $type {
            const TYPE: ValueType = ValueType::$variant;

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant($value) => $convert,
                    _ => None,
                }
            }
        }
    )+};
}

key_types! {
    u64: Integer(n) => (*n).try_into().ok();
    u32: Integer(n) => (*n).try_into().ok();
    u16: Integer(n) => (*n).try_into().ok();
    usize: Integer(n) => (*n).try_into().ok();
    i64: Integer(n) => Some(*n);
    Duration: Integer(n) => u64::try_from(*n).ok().map(Duration::from_millis);
    f64: Number(x) => Some(*x);
    bool: Flag(flag) => Some(*flag);
    String: Text(text) => Some(text.clone());
    Vec<f64>: NumberList(numbers) => Some(numbers.clone());
    Vec<String>: TextList(texts) => Some(texts.clone());
    Vec<(String, String)>: StringMap(entries) => Some(entries.clone());
    JsonPointer: Text(text) => JsonPointer::parse(text);
    Compat: Text(text) => (text == Compat::V41_NAME).then_some(Self::V41);
    SocketAddr: Text(text) => text.parse().ok();
    LevelFilter: Text(text) => text.parse().ok();
    Threshold: Text(text) => text.parse().ok();
    Connectivity: Text(text) => text.parse().ok();
    Model: Text(text) => text.parse().ok();
    Precision: Text(text) => text.parse().ok();
    Boundary: Text(text) => text.parse().ok();
    GrayScottPreset: Text(text) => text.parse().ok();
    Scope: Text(text) => text.parse().ok();
    Durability: Text(text) => text.parse().ok();
    OverflowPolicy: Text(text) => text.parse().ok();
    LogFormat: Text(text) => text.parse().ok();
    LineFormat: Text(text) => text.parse().ok();
    TimeFormat: Text(text) => text.parse().ok();
    SpikeThreshold: Text(text) => text.parse().ok();
    SpikePolarity: Text(text) => text.parse().ok();
    connectors::FileFormat: Text(text) => text.parse().ok();
    connectors::StartPosition: Text(text) => text.parse().ok();
    connectors::AfterRead: Text(text) => text.parse().ok();
}

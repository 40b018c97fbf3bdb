//! PURE. The events of one request, in each of its three forms. A request is accepted as a whole or refused with the
//! place of its first fault.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA256};

use super::metrics::RefusalReason;
use super::record::{EVENT, MAX_TYPE_BYTES, StoredEvent};
use crate::clock::Stamp;
use crate::formats::json::{self, JsonError, JsonMember};
use crate::formats::rfc3339::parse_rfc3339;
use mycelium_outbox::{MAX_PAYLOAD_BYTES, RecordGroup, RecordKey};

/// Events of one request.
pub const MAX_EVENTS: usize = 256;
/// Bytes of `id`.
const MAX_ID_BYTES: usize = 256;
/// Bytes of `source`, `subject` and the other attributes.
const MAX_ATTRIBUTE_BYTES: usize = 1_024;
/// Types that begin so are those of this program.
const RESERVED_TYPES: &str = "io.mycelium.";
/// Attributes that delivery adds.
const RESERVED_ATTRIBUTES: [&str; 3] = ["sequence", "boot", "clock"];
const ITEM_KEYS: [&str; 6] = ["type", "data", "time", "id", "subject", "source"];

/// How the body of a request holds its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventForm {
    /// `{"items":[..]}`, without the attributes that can be left to this program.
    Items,
    /// One `CloudEvent` in JSON.
    CloudEvent,
    /// An array of them.
    CloudEvents,
}

impl EventForm {
    /// The form that a `Content-Type` announces.
    pub fn of(content_type: Option<&[u8]>) -> Option<Self> {
        let media = content_type?.split(|&b| b == b';').next()?.trim_ascii();
        let is = |name: &str| media.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("application/json") => Some(Self::Items),
            () if is("application/cloudevents+json") => Some(Self::CloudEvent),
            () if is("application/cloudevents-batch+json") => Some(Self::CloudEvents),
            () => None,
        }
    }
}

/// Who the events come from unless they say it themselves.
#[derive(Clone, Copy, Debug)]
pub struct EventSource<'a> {
    pub device: &'a str,
    pub stamp: Stamp,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRefusal {
    /// 400, 413 or 422.
    pub status: u16,
    /// Begins with the path of the item.
    pub detail: String,
}

impl EventRefusal {
    pub fn reason(&self) -> RefusalReason {
        if self.status == 413 { RefusalReason::TooLarge } else { RefusalReason::Invalid }
    }
}

impl From<JsonError> for EventRefusal {
    fn from(error: JsonError) -> Self {
        Self { status: 400, detail: error.to_string() }
    }
}

fn refuse<T>(path: &str, why: impl std::fmt::Display) -> Result<T, EventRefusal> {
    Err(EventRefusal { status: 422, detail: format!("`{path}` {why}") })
}

/// The records of all events of a body.
pub fn parse_events(
    form: EventForm,
    body: &[u8],
    source: EventSource<'_>,
) -> Result<RecordGroup, EventRefusal> {
    let text = match str::from_utf8(body) {
        Ok(text) => text,
        Err(e) => {
            let detail = format!("the body is not valid UTF-8 (at byte {})", e.valid_up_to());
            return Err(EventRefusal { status: 400, detail });
        }
    };
    json::check(text)?;
    let mut reader = EventReader { form, source, group: RecordGroup::new(EVENT, source.stamp) };
    match form {
        EventForm::CloudEvent => reader.event(text, "")?,
        EventForm::CloudEvents => reader.list(text, "")?,
        EventForm::Items => reader.list(items(text)?, "items")?,
    }
    Ok(reader.group)
}

/// The value of `items`, the only key of the body.
fn items(text: &str) -> Result<&str, EventRefusal> {
    let mut found = None;
    for member in json::members(text) {
        if member.key != "items" {
            return refuse(&shown(&member.key), "is not a known key; known is items");
        }
        found = Some(member.value);
    }
    match found {
        Some(items) => Ok(items),
        None => refuse("items", "is missing: send an object {\"items\":[..]}"),
    }
}

/// As much of a key as a message repeats.
fn shown(key: &str) -> String {
    key.chars().take(64).flat_map(char::escape_debug).collect()
}

/// The attributes of one event that decide where it belongs.
#[derive(Default)]
struct Attributes<'a> {
    event_type: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    has_time: bool,
    has_specversion: bool,
    /// `data` or `data_base64`.
    has_data: bool,
}

struct EventReader<'s> {
    form: EventForm,
    source: EventSource<'s>,
    group: RecordGroup,
}

impl EventReader<'_> {
    fn list(&mut self, array: &str, path: &str) -> Result<(), EventRefusal> {
        let path_of = |k: usize| format!("{path}[{k}]");
        if !array.trim_start().starts_with('[') {
            return refuse(if path.is_empty() { "the body" } else { path }, "must be an array");
        }
        for (k, item) in json::elements(array).enumerate() {
            if k == MAX_EVENTS {
                return refuse(
                    &path_of(k),
                    format_args!("is one too many: at most {MAX_EVENTS} are accepted"),
                );
            }
            self.event(item, &path_of(k))?;
        }
        if self.group.is_empty() {
            refuse(if path.is_empty() { "the body" } else { path }, "is empty: send at least one event")
        } else {
            Ok(())
        }
    }

    fn event(&mut self, text: &str, path: &str) -> Result<(), EventRefusal> {
        if !text.trim_start().starts_with('{') {
            return refuse(if path.is_empty() { "the body" } else { path }, "must be an object");
        }
        let path_of = |key: &str| match path {
            "" => shown(key),
            _ => format!("{path}.{}", shown(key)),
        };
        let mut attributes = Attributes::default();
        let mut kept = String::with_capacity(text.len());
        for member in json::members(text) {
            let keep = self.member(&member, &path_of(&member.key), &mut attributes)?;
            if keep {
                if !kept.is_empty() {
                    kept.push(',');
                }
                kept.push_str(member.text);
            }
        }
        let missing = match self.form {
            EventForm::Items => [("type", attributes.event_type.is_some()), ("data", attributes.has_data)]
                .into_iter()
                .find(|(_, present)| !present),
            EventForm::CloudEvent | EventForm::CloudEvents => [
                ("specversion", attributes.has_specversion),
                ("type", attributes.event_type.is_some()),
                ("source", attributes.source.is_some()),
                ("id", attributes.id.is_some()),
            ]
            .into_iter()
            .find(|(_, present)| !present),
        };
        if let Some((key, _)) = missing {
            return refuse(&path_of(key), "is missing");
        }
        self.store(&attributes, &kept, path)
    }

    fn store(&mut self, attributes: &Attributes<'_>, members: &str, path: &str) -> Result<(), EventRefusal> {
        let Attributes { event_type, id, source, has_time, .. } = attributes;
        let event = StoredEvent {
            event_type: event_type.as_deref().unwrap_or_default(),
            has_id: id.is_some(),
            has_source: source.is_some(),
            has_time: *has_time,
            members,
        };
        let mut payload = Vec::with_capacity(members.len() + 64);
        event.encode(&mut payload);
        if payload.len() > MAX_PAYLOAD_BYTES {
            let path = if path.is_empty() { "the event" } else { path };
            let (bytes, max) = (payload.len(), MAX_PAYLOAD_BYTES);
            let detail = format!("`{path}` takes {bytes} bytes; at most {max} are accepted: split it");
            return Err(EventRefusal { status: 413, detail });
        }
        let key = id.as_deref().map(|id| self.key(source.as_deref(), id));
        self.group.push(&payload, key);
        Ok(())
    }

    /// What two events with the same source and id have in common.
    fn key(&self, source: Option<&str>, id: &str) -> RecordKey {
        let default = source.is_none().then(|| format!("/mycelium/{}", self.source.device));
        let source = source.or(default.as_deref()).unwrap_or_default();
        let mut digest = Context::new(&SHA256);
        digest.update(&(source.len() as u64).to_le_bytes());
        digest.update(source.as_bytes());
        digest.update(id.as_bytes());
        let digest = digest.finish();
        *digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes")
    }

    /// Notes one member; whether it is stored as it is written.
    fn member<'a>(
        &self,
        member: &JsonMember<'a>,
        path: &str,
        attributes: &mut Attributes<'a>,
    ) -> Result<bool, EventRefusal> {
        let is_item = self.form == EventForm::Items;
        let key = &*member.key;
        if RESERVED_ATTRIBUTES.contains(&key) && !is_item {
            return refuse(path, "is set on delivery: leave it out or give it another name");
        }
        if is_item && !ITEM_KEYS.contains(&key) {
            let known = ITEM_KEYS.join(", ");
            return refuse(path, format_args!("is not a known key; known are {known}"));
        }
        if key == "data" || key == "data_base64" {
            return Self::data(member, path, attributes);
        }
        // In a CloudEvent, null means that an attribute is not set.
        if member.value == "null" && !is_item {
            return Ok(false);
        }
        match key {
            "specversion" => {
                attributes.has_specversion = true;
                match member.value {
                    "\"1.0\"" => Ok(false),
                    _ => refuse(path, "must be \"1.0\""),
                }
            }
            "type" => {
                attributes.event_type = Some(event_type(member.value, path)?);
                Ok(false)
            }
            "id" => {
                attributes.id = Some(attribute(member.value, path, MAX_ID_BYTES)?);
                Ok(true)
            }
            "source" => {
                attributes.source = Some(attribute(member.value, path, MAX_ATTRIBUTE_BYTES)?);
                Ok(true)
            }
            "time" => {
                let time = attribute(member.value, path, MAX_ATTRIBUTE_BYTES)?;
                attributes.has_time = true;
                match parse_rfc3339(&time) {
                    Some(_) => Ok(true),
                    None => refuse(path, "must be a time such as 2026-03-01T12:00:00Z (RFC 3339)"),
                }
            }
            "subject" | "datacontenttype" | "dataschema" => {
                attribute(member.value, path, MAX_ATTRIBUTE_BYTES).map(|_| true)
            }
            _ => extension(member, path),
        }
    }

    fn data(
        member: &JsonMember<'_>,
        path: &str,
        attributes: &mut Attributes<'_>,
    ) -> Result<bool, EventRefusal> {
        if std::mem::replace(&mut attributes.has_data, true) {
            return refuse(path, "cannot be given besides the other one of `data` and `data_base64`");
        }
        if member.key == "data_base64" {
            let text = json::text_of(member.value);
            if text.is_none_or(|text| STANDARD.decode(text.as_bytes()).is_err()) {
                return refuse(path, "must be a string in base64");
            }
        }
        Ok(true)
    }
}

fn event_type<'a>(value: &'a str, path: &str) -> Result<Cow<'a, str>, EventRefusal> {
    let name = attribute(value, path, MAX_TYPE_BYTES)?;
    if name.starts_with(RESERVED_TYPES) {
        return refuse(path, "begins with io.mycelium., which is reserved: use a name of your own domain");
    }
    Ok(name)
}

/// An attribute that is a text: not empty, not too long, without control characters.
fn attribute<'a>(value: &'a str, path: &str, max: usize) -> Result<Cow<'a, str>, EventRefusal> {
    match json::text_of(value) {
        None => refuse(path, "must be a string"),
        Some(text) if text.is_empty() => refuse(path, "must not be empty"),
        Some(text) if text.len() > max => {
            refuse(path, format_args!("is too long; at most {max} bytes are accepted"))
        }
        Some(text) if text.chars().any(char::is_control) => {
            refuse(path, "must not contain control characters")
        }
        Some(text) => Ok(text),
    }
}

/// An attribute that CloudEvents does not define: a string, a boolean or an integer of 32 bits.
fn extension(member: &JsonMember<'_>, path: &str) -> Result<bool, EventRefusal> {
    if member.key.is_empty() || !member.key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return refuse(path, "is no name of an attribute: use lower-case letters and digits");
    }
    match member.value {
        "true" | "false" => Ok(true),
        value if value.starts_with('"') => {
            let empty = value == "\"\"";
            if empty { Ok(true) } else { attribute(value, path, MAX_ATTRIBUTE_BYTES).map(|_| true) }
        }
        value if value.parse::<i32>().is_ok() => Ok(true),
        _ => refuse(path, "must be a string, a boolean or an integer of 32 bits"),
    }
}

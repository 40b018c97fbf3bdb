//! Feature records as JSON. All routes and streams send the same text of a record, and the newest is rendered once.

use std::cell::RefCell;
use std::rc::Rc;

use super::http::fields::etag_matches;
use super::http::response::{EntityTag, JSON, Response, ResponseBody, entity_tag};
use crate::clock::{BootId, clock_label};
use crate::formats::json::JsonObject;
use crate::snapshots::{FeatureRecord, Snapshots};
use crate::sync::lock;
use mycelium_core::features::FEATURE_NAMES;

/// The newest record as JSON, and as the response to a plain poll.
struct NewestRecord {
    seq: u64,
    text: Rc<str>,
    body: Rc<[u8]>,
    etag: EntityTag,
}

pub struct FeatureCache {
    boot: BootId,
    newest: RefCell<Option<NewestRecord>>,
}

impl FeatureCache {
    pub fn new(boot: BootId) -> Self {
        Self { boot, newest: RefCell::new(None) }
    }

    /// One record as JSON; the text of the newest is shared.
    pub fn text(&self, record: &FeatureRecord) -> Rc<str> {
        if let Some(newest) = &*self.newest.borrow()
            && newest.seq == record.seq
        {
            return Rc::clone(&newest.text);
        }
        let mut text = String::with_capacity(640);
        render(&mut text, record);
        text.into()
    }

    /// The tag of every list of records while `newest` is the newest.
    pub fn etag(&self, newest: u64) -> EntityTag {
        entity_tag(format_args!("{}-{newest}", self.boot))
    }

    /// The response to a poll without parameters.
    pub fn newest(&self, snapshots: &Snapshots, if_none_match: Option<&[u8]>) -> Response {
        let seq = lock(&snapshots.features).newest();
        let mut cached = self.newest.borrow_mut();
        if cached.as_ref().is_none_or(|newest| newest.seq != seq) {
            *cached = Some(self.render_newest(snapshots, seq));
        }
        let newest = cached.as_ref().expect("filled above");
        if etag_matches(if_none_match, &newest.etag) {
            return Response::not_modified(newest.etag.clone());
        }
        Response::new(200, JSON, ResponseBody::Shared(Rc::clone(&newest.body))).with_etag(newest.etag.clone())
    }

    fn render_newest(&self, snapshots: &Snapshots, seq: u64) -> NewestRecord {
        let record = lock(&snapshots.features).get(seq).copied();
        let mut text = String::with_capacity(640);
        if let Some(record) = &record {
            render(&mut text, record);
        }
        let mut body = String::with_capacity(text.len() + 128);
        let mut object = JsonObject::new(&mut body);
        object.display("boot", self.boot);
        if record.is_some() {
            object.array("items").raw(&text);
        } else {
            object.array("items");
        }
        object.integer("next", seq).boolean("gap", false);
        drop(object);
        NewestRecord { seq, text: text.into(), body: body.into_bytes().into(), etag: self.etag(seq) }
    }
}

/// Appends one record.
fn render(out: &mut String, record: &FeatureRecord) {
    let mut object = JsonObject::new(out);
    object
        .integer("seq", record.seq)
        .integer("step", record.step)
        .display("time", record.stamp.wall)
        .string("clock", clock_label(record.stamp.synced, false));
    let mut features = object.object("features");
    for (name, value) in FEATURE_NAMES.iter().zip(record.values) {
        features.number(name, value);
    }
}

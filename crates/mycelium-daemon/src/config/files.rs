//! PURE. `[[files]]`: from checked values to the endpoints of delivery.

use std::path::PathBuf;

use super::endpoints::{Endpoints, raw_delivery};
use super::keys;
use super::lookup::ListEntry;
use super::raw::Item;
use crate::delivery::{Endpoint, FileEndpoint, RawFileEndpoint};

pub(super) fn build(items: &[Item], endpoints: &mut Endpoints<'_>) {
    for entry in ListEntry::all(items) {
        let raw = RawFileEndpoint {
            delivery: raw_delivery(entry, keys::FILES, endpoints.problems),
            path: entry.required(keys::FILES_PATH, endpoints.problems).unwrap_or_else(|| "{seq}".to_owned()),
            format: entry.get(keys::FILES_FORMAT),
            rotate_bytes: entry.get(keys::FILES_ROTATE_BYTES),
            rotate_s: entry.get(keys::FILES_ROTATE_S),
            keep_bytes: entry.get(keys::FILES_KEEP_BYTES),
            mount_point: entry.get(keys::FILES_MOUNT_POINT).map(PathBuf::from),
        };
        let checked = FileEndpoint::checked(&format!("files[{}]", entry.index), &raw);
        endpoints.add(entry, keys::FILES, checked.map(Endpoint::Files));
    }
}

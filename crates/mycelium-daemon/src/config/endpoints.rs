//! PURE. What the tables of all endpoint kinds have in common.

use super::keys::DeliveryKeys;
use super::lookup::ListEntry;
use super::problem::{ConfigProblem, Origin, Problems};
use super::raw::Item;
use crate::delivery::{Endpoint, RawDelivery};
use mycelium_core::range::OutOfRange;
use mycelium_outbox::MAX_ENDPOINTS;

/// The endpoints of all kinds so far.
pub(super) struct Endpoints<'a> {
    pub(super) found: Vec<Endpoint>,
    pub(super) problems: &'a mut Problems,
}

impl Endpoints<'_> {
    /// Adds one, unless it broke a rule, its name is taken, or there are too many.
    pub(super) fn add(
        &mut self,
        entry: ListEntry<'_>,
        keys: DeliveryKeys,
        checked: Result<Endpoint, Vec<OutOfRange>>,
    ) {
        match checked {
            Ok(endpoint) if self.found.iter().any(|other| other.name() == endpoint.name()) => {
                let found = format!("{:?}", endpoint.name());
                entry.reject(keys.name, found, "a name that no other endpoint has", self.problems);
            }
            Ok(_) if self.found.len() == MAX_ENDPOINTS => {
                let text =
                    format!("one endpoint too many: there may be {MAX_ENDPOINTS} of all kinds together");
                self.problems.push(ConfigProblem::new(&entry.item.origin, text));
            }
            Ok(endpoint) => self.found.push(endpoint),
            Err(rejected) => {
                for why in rejected {
                    let origin = origin(&why, keys, entry.item);
                    self.problems.push(ConfigProblem::rejected(&origin, &why.key, &why.value, &why.accepted));
                }
            }
        }
    }
}

/// Where the rejected key is set: its value may be in a file, or in a table.
fn origin(why: &OutOfRange, keys: DeliveryKeys, item: &Item) -> Origin {
    let name = why.key.split_once("].").map_or(&*why.key, |(_, rest)| rest);
    let name = name.split('.').next().unwrap_or(name);
    let path = |suffix: &str| format!("{}.{name}{suffix}", keys.name.spec().table());
    // A default of `retry_max_ms` is too small for the `retry_base_ms` that is set.
    let paths = [path(""), path("_file"), keys.retry_base_ms.path().to_owned()];
    let located = paths.iter().find_map(|path| item.values.get(path.as_str()));
    located.map_or(&item.origin, |located| &located.origin).clone()
}

/// With a placeholder for a missing name, which is a problem already.
pub(super) fn raw_delivery(entry: ListEntry<'_>, keys: DeliveryKeys, problems: &mut Problems) -> RawDelivery {
    RawDelivery {
        name: entry.required(keys.name, problems).unwrap_or_else(|| format!("endpoint-{}", entry.index)),
        batch_records: entry.get(keys.batch_records),
        batch_bytes: entry.get(keys.batch_bytes),
        linger_ms: entry.get(keys.linger_ms),
        retry_base_ms: entry.get(keys.retry_base_ms),
        retry_max_ms: entry.get(keys.retry_max_ms),
        retry_after_max_ms: entry.get(keys.retry_after_max_ms),
        spread_ms: entry.get(keys.spread_ms),
        types: entry.get(keys.types).unwrap_or_default(),
    }
}

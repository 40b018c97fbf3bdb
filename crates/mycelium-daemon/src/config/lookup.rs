//! PURE. Reading checked values by key, and naming keys of list entries in problems.

use std::fmt::Display;

use super::key_type::KeyType;
use super::keys::{Key, KeySpec};
use super::problem::{ConfigProblem, Origin, Problems};
use super::raw::{Item, Values};
use super::secrets::SecretSource;
use super::value::Value;

/// Values that are set; for all others the defaults of the keys.
#[derive(Clone, Copy)]
pub(super) struct Lookup<'a>(pub(super) &'a Values);

impl Lookup<'_> {
    pub(super) fn get<T: KeyType>(self, key: Key<T>) -> T {
        let typed = match self.value(key.spec()) {
            Some(value) => T::from_value(&value),
            None => T::from_absent(),
        };
        typed.expect("values are checked when they are read, types when a key is declared")
    }

    /// The value that is set, else the default, else none.
    pub(super) fn value(self, key: &KeySpec) -> Option<Value> {
        let set = self.0.get(key.path).map(|located| located.value.clone());
        set.or_else(|| key.default.value())
    }

    pub(super) fn is_set<T>(self, key: Key<T>) -> bool {
        self.0.contains_key(key.path())
    }

    pub(super) fn origin<T>(self, key: Key<T>) -> Origin {
        self.origin_of(key.path())
    }

    pub(super) fn origin_of(self, path: &str) -> Origin {
        self.0.get(path).map_or(Origin::Default, |located| located.origin.clone())
    }
}

/// One entry of an array of tables and its index.
#[derive(Clone, Copy)]
pub(super) struct ListEntry<'a> {
    pub(super) index: usize,
    pub(super) item: &'a Item,
}

impl<'a> ListEntry<'a> {
    pub(super) fn all(items: &'a [Item]) -> impl Iterator<Item = Self> {
        items.iter().enumerate().map(|(index, item)| Self { index, item })
    }

    pub(super) fn lookup(self) -> Lookup<'a> {
        Lookup(&self.item.values)
    }

    pub(super) fn get<T: KeyType>(self, key: Key<T>) -> T {
        self.lookup().get(key)
    }

    /// The path of a key with the index of this entry.
    pub(super) fn path<T>(self, key: Key<T>) -> String {
        key.path().replace("[]", &format!("[{}]", self.index))
    }

    pub(super) fn mentions<T>(self, key: Key<T>) -> bool {
        self.item.mentions(key.path())
    }

    pub(super) fn required<T: KeyType>(self, key: Key<Option<T>>, problems: &mut Problems) -> Option<T> {
        let value = self.get(key);
        if value.is_none() && !self.mentions(key) {
            let list = key.spec().table().trim_end_matches("s[]");
            let entry = list.rsplit('.').next().unwrap_or(list);
            let text = format!("`{}` is missing: this {entry} needs one", self.path(key));
            problems.push(ConfigProblem::new(&self.item.origin, text));
        }
        value
    }

    pub(super) fn reject<T>(
        self,
        key: Key<T>,
        found: impl Display,
        accepted: impl Display,
        problems: &mut Problems,
    ) {
        problems.push(ConfigProblem::rejected(&self.lookup().origin(key), &self.path(key), found, accepted));
    }

    /// The text of the secret file that a key names; a file that cannot be used is reported without its content.
    pub(super) fn secret(
        self,
        key: Key<Option<String>>,
        accepted: &str,
        secrets: SecretSource<'_>,
        problems: &mut Problems,
    ) -> Option<String> {
        let file = self.get(key)?;
        let text = secrets.text(&file);
        text.map_err(|why| self.reject(key, format!("{file:?}, which {why}"), accepted, problems)).ok()
    }
}

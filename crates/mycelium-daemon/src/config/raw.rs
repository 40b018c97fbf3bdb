//! From text to checked values by key, wherever they were written.

use std::collections::BTreeMap;
use std::rc::Rc;

use toml_span::value::{Table, ValueInner};

use super::keys::{self, Key, Kind, PREFIX};
use super::nearest::nearest;
use super::problem::{Place, Problem, Problems};
use super::value::Value;
use crate::connectors::MAX_CONNECTORS;
use mycelium_core::window::MAX_INPUTS;

/// Largest file that is read; ours are a few KiB.
pub const MAX_FILE_BYTES: usize = 256 * 1024;

/// Arrays of tables and how many entries each may have.
pub(super) const LISTS: [(&str, usize); 4] =
    [("api.keys", 32), ("webhooks", 8), ("connectors", MAX_CONNECTORS), ("inputs", MAX_INPUTS)];

/// A checked value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// Checked values by path.
pub(super) type Values = BTreeMap<&'static str, Found>;

/// One entry of an array of tables.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) place: Place,
    pub(super) values: Values,
    /// Keys that were said, but not well: they are not missing.
    pub(super) refused: Vec<&'static str>,
}

/// Everything that was said, without defaults.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) values: Values,
    /// In the order of [`LISTS`].
    pub(super) lists: [Vec<Item>; LISTS.len()],
    pub(super) problems: Problems,
}

impl Raw {
    /// Takes over a whole file. A file that is not TOML is one problem, with line and column.
    pub(super) fn file(&mut self, name: &str, bytes: &[u8]) {
        let name: Rc<str> = name.into();
        if bytes.len() > MAX_FILE_BYTES {
            let text = format!("the file has more than {MAX_FILE_BYTES} bytes; it must be smaller");
            self.problems.push(Problem::new(&Place::File(name, 1), text));
            return;
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => {
                let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&b| b == b'\n').count();
                self.problems
                    .push(Problem::new(&Place::File(name, line), "not UTF-8: save the file as UTF-8"));
                return;
            }
        };
        let lines = Lines::new(name, text);
        match toml_span::parse(text) {
            Ok(root) => match root.as_ref() {
                ValueInner::Table(table) => self.table(&lines, "", table),
                _ => unreachable!("a TOML document is a table"),
            },
            Err(error) => {
                let (place, column) = lines.place(error.span.start);
                let what: String = error
                    .to_string()
                    .chars()
                    .map(|c| if c.is_control() { '?' } else { c })
                    .take(200)
                    .collect();
                self.problems
                    .push(Problem::new(&place, format!("column {column}: {what}: this is not TOML")));
            }
        }
    }

    fn table(&mut self, lines: &Lines<'_>, prefix: &str, table: &Table<'_>) {
        for (name, value) in in_order(table) {
            let path = join(prefix, &name.name);
            let (place, _) = lines.place(name.span.start);
            if let Some(key) = keys::find(&path) {
                self.found(key, Value::from_toml(key, value), place, &path);
            } else if let Some(slot) = LISTS.iter().position(|(list, _)| *list == path) {
                self.list(lines, slot, value, &place);
            } else if keys::is_table(&path) {
                match value.as_table() {
                    Some(inner) => self.table(lines, &path, inner),
                    None => {
                        self.problems.push(Problem::refused(&place, &path, kind_of(value), "a table"));
                    }
                }
            } else if !self.problems.is_full() {
                self.problems.push(unknown(&place, &path));
            } else {
                self.problems.push(Problem::new(&place, String::new()));
            }
        }
    }

    fn list(&mut self, lines: &Lines<'_>, slot: usize, value: &toml_span::Value<'_>, place: &Place) {
        let (list, most) = LISTS[slot];
        let Some(entries) = value.as_array() else {
            let accepted = format!("an array of tables, each starting with [[{list}]]");
            self.problems.push(Problem::refused(place, list, kind_of(value), accepted));
            return;
        };
        if entries.len() > most {
            let accepted = format!("at most {most} entries");
            self.problems.push(Problem::refused(place, list, format!("{} entries", entries.len()), accepted));
            return;
        }
        for (k, entry) in entries.iter().enumerate() {
            let (place, _) = lines.place(entry.span.start);
            if let Some(table) = entry.as_table() {
                self.item(lines, slot, k, table, place)
            } else {
                let path = format!("{list}[{k}]");
                self.problems.push(Problem::refused(&place, &path, kind_of(entry), "a table"));
            }
        }
    }

    fn item(&mut self, lines: &Lines<'_>, slot: usize, k: usize, table: &Table<'_>, place: Place) {
        let list = LISTS[slot].0;
        let mut item = Item { place, values: Values::new(), refused: Vec::new() };
        for (name, value) in in_order(table) {
            let shown = format!("{list}[{k}].{}", name.name);
            let (place, _) = lines.place(name.span.start);
            let Some(key) = keys::find(&format!("{list}[].{}", name.name)) else {
                self.problems.push(unknown(&place, &shown));
                continue;
            };
            match Value::from_toml(key, value) {
                Ok(value) => {
                    item.values.insert(key.path, Found { value, place });
                }
                Err(why) => {
                    item.refused.push(key.path);
                    self.problems.push(Problem::refused(&place, &shown, why.found, why.accepted));
                }
            }
        }
        self.lists[slot].push(item);
    }

    /// Takes over all variables that start with [`PREFIX`]; they win over the file.
    pub(super) fn environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, text) in variables {
            if !name.starts_with(PREFIX) {
                continue;
            }
            let place = Place::Variable(name.clone());
            match keys::all().find(|key| key.variable().as_deref() == Some(&name)) {
                Some(key) if matches!(key.kind, Kind::Texts { .. }) => {
                    self.problems.push(unknown(&place, &name));
                }
                Some(key) => self.found(key, Value::from_text(key, &text), place, key.path),
                None => {
                    let names: Vec<String> = keys::all().filter_map(Key::variable).collect();
                    let text = match nearest(&name, names.iter().map(String::as_str)) {
                        Some(known) => format!("no key has this variable: did you mean {known}?"),
                        None => "no key has this variable: see docs/CONFIG.md for all names".to_owned(),
                    };
                    self.problems.push(Problem::new(&place, text));
                }
            }
        }
    }

    /// Takes over an option of the command line; it wins over everything.
    pub(super) fn option(&mut self, option: &'static str, path: &'static str, text: &str) {
        let key = keys::find(path).expect("options name keys of the table");
        self.found(key, Value::from_text(key, text), Place::Option(option), path);
    }

    fn found(
        &mut self,
        key: &'static Key,
        value: Result<Value, super::value::Refused>,
        place: Place,
        path: &str,
    ) {
        match value {
            Ok(value) => {
                self.values.insert(key.path, Found { value, place });
            }
            Err(why) => self.problems.push(Problem::refused(&place, path, why.found, why.accepted)),
        }
    }
}

fn unknown(place: &Place, path: &str) -> Problem {
    let known: Vec<String> = keys::all().map(|key| key.path.replace("[]", "")).collect();
    // Entries of arrays are shown with their index, which no known path has.
    let plain: String = match (path.find('['), path.find(']')) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &path[..from], &path[to + 1..]),
        _ => path.to_owned(),
    };
    let shown: String = path.chars().take(100).map(|c| if c.is_control() { '?' } else { c }).collect();
    let text = match nearest(&plain, known.iter().map(String::as_str)) {
        Some(name) => format!("`{shown}` is not a key: did you mean `{name}`?"),
        None => format!("`{shown}` is not a key: see docs/CONFIG.md for all keys"),
    };
    Problem::new(place, text)
}

fn kind_of(value: &toml_span::Value<'_>) -> &'static str {
    match value.as_ref() {
        ValueInner::String(_) => "a string",
        ValueInner::Integer(_) => "an integer",
        ValueInner::Float(_) => "a number",
        ValueInner::Boolean(_) => "a boolean",
        ValueInner::Array(_) => "an array",
        ValueInner::Table(_) => "a table",
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// Entries as written, so that problems come in the order of lines.
fn in_order<'a, 'de>(
    table: &'a Table<'de>,
) -> Vec<(&'a toml_span::value::Key<'de>, &'a toml_span::Value<'de>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    entries
}

/// The file's text, to turn offsets into lines.
struct Lines<'a> {
    name: Rc<str>,
    text: &'a str,
    /// Offset of the first byte of each line, so that a file of many keys is not counted through for each.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(name: Rc<str>, text: &'a str) -> Self {
        let behind_breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Self { name, text, starts: std::iter::once(0).chain(behind_breaks).collect() }
    }

    /// Line and column (in characters), both counted from 1.
    fn place(&self, offset: usize) -> (Place, usize) {
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts[line - 1];
        let end = offset.min(self.text.len());
        let column = 1 + String::from_utf8_lossy(&self.text.as_bytes()[start..end]).chars().count();
        (Place::File(self.name.clone(), line), column)
    }
}

//! PURE. All values that are set in a file, the environment and options, each checked against its key.

use std::collections::BTreeMap;
use std::rc::Rc;

use toml_span::value::{Table, ValueInner};

use super::keys::{self, KeySpec, Kind, PREFIX};
use super::problem::{ConfigProblem, Origin, Problems};
use super::suggest::suggest;
use super::value::Value;
use super::value_parser::{RejectedValue, parse_text, parse_toml, type_name};
use crate::connectors::MAX_CONNECTORS;
use mycelium_core::window::MAX_INPUTS;
use mycelium_outbox::MAX_ENDPOINTS;

/// Largest configuration file, bytes.
pub const MAX_FILE_BYTES: usize = 256 * 1024;

/// Arrays of tables and how many entries each may have.
pub(super) const LISTS: [(&str, usize); 5] = [
    ("api.keys", 32),
    ("webhooks", MAX_ENDPOINTS),
    ("connectors", MAX_CONNECTORS),
    ("inputs", MAX_INPUTS),
    ("files", MAX_ENDPOINTS),
];

/// A checked value and where it was set.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Checked values by path.
pub(super) type Values = BTreeMap<&'static str, Located>;

/// One entry of an array of tables.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) origin: Origin,
    pub(super) values: Values,
    /// Keys whose value was rejected: they are not missing.
    pub(super) rejected: Vec<&'static str>,
}

impl Item {
    /// Whether the key is set, to an accepted value or to another.
    pub(super) fn mentions(&self, path: &str) -> bool {
        self.values.contains_key(path) || self.rejected.contains(&path)
    }
}

/// Everything that is set, without defaults.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    pub(super) values: Values,
    /// In the order of [`LISTS`].
    pub(super) lists: [Vec<Item>; LISTS.len()],
    pub(super) problems: Problems,
}

impl RawConfig {
    /// Adds a whole file. A file that is not TOML is one problem, with line and column.
    pub(super) fn add_file(&mut self, name: &str, bytes: &[u8]) {
        let name: Rc<str> = name.into();
        if bytes.len() > MAX_FILE_BYTES {
            let text = format!("the file has more than {MAX_FILE_BYTES} bytes; it must be smaller");
            self.problems.push(ConfigProblem::new(&Origin::File(name, 1), text));
            return;
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => {
                #[expect(clippy::naive_bytecount, reason = "once, on an error")]
                let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&b| b == b'\n').count();
                let origin = Origin::File(name, line);
                self.problems.push(ConfigProblem::new(&origin, "not UTF-8: save the file as UTF-8"));
                return;
            }
        };
        let lines = Lines::new(name, text);
        match toml_span::parse(text) {
            Ok(root) => match root.as_ref() {
                ValueInner::Table(table) => self.add_table(&lines, "", table),
                _ => unreachable!("a TOML document is a table"),
            },
            Err(error) => {
                let (origin, column) = lines.locate(error.span.start);
                let what = printable(&error.to_string(), 200);
                let text = format!("column {column}: {what}: this is not TOML");
                self.problems.push(ConfigProblem::new(&origin, text));
            }
        }
    }

    fn add_table(&mut self, lines: &Lines<'_>, prefix: &str, table: &Table<'_>) {
        for (name, value) in in_order(table) {
            let path = join(prefix, &name.name);
            let (origin, _) = lines.locate(name.span.start);
            if let Some(key) = keys::find(&path) {
                self.add(key, parse_toml(key, value), origin, &path);
            } else if let Some(list) = LISTS.iter().position(|(list, _)| *list == path) {
                self.add_list(lines, list, value, &origin);
            } else if keys::is_table(&path) {
                if let Some(inner) = value.as_table() {
                    self.add_table(lines, &path, inner);
                } else {
                    let found = type_name(value.as_ref());
                    self.problems.push(ConfigProblem::rejected(&origin, &path, found, "a table"));
                }
            } else {
                self.add_unknown(&origin, &path);
            }
        }
    }

    fn add_list(&mut self, lines: &Lines<'_>, list: usize, value: &toml_span::Value<'_>, origin: &Origin) {
        let (name, max) = LISTS[list];
        let Some(entries) = value.as_array() else {
            let accepted = format!("an array of tables, each starting with [[{name}]]");
            self.problems.push(ConfigProblem::rejected(origin, name, type_name(value.as_ref()), accepted));
            return;
        };
        if entries.len() > max {
            let (found, accepted) = (format!("{} entries", entries.len()), format!("at most {max} entries"));
            self.problems.push(ConfigProblem::rejected(origin, name, found, accepted));
            return;
        }
        for (k, entry) in entries.iter().enumerate() {
            let (origin, _) = lines.locate(entry.span.start);
            if let Some(table) = entry.as_table() {
                self.add_item(lines, list, k, table, origin);
            } else {
                let (path, found) = (format!("{name}[{k}]"), type_name(entry.as_ref()));
                self.problems.push(ConfigProblem::rejected(&origin, &path, found, "a table"));
            }
        }
    }

    fn add_item(&mut self, lines: &Lines<'_>, list: usize, k: usize, table: &Table<'_>, origin: Origin) {
        let list_name = LISTS[list].0;
        let mut item = Item { origin, values: Values::new(), rejected: Vec::new() };
        self.add_members(lines, &format!("{list_name}[]"), &format!("{list_name}[{k}]"), table, &mut item);
        self.lists[list].push(item);
    }

    /// The keys of an entry, and those of its tables. `path` is theirs, `shown` the same with the index.
    fn add_members(
        &mut self,
        lines: &Lines<'_>,
        path: &str,
        shown: &str,
        table: &Table<'_>,
        item: &mut Item,
    ) {
        for (name, value) in in_order(table) {
            let (path, shown) = (join(path, &name.name), join(shown, &name.name));
            let (origin, _) = lines.locate(name.span.start);
            let Some(key) = keys::find(&path) else {
                match value.as_table() {
                    Some(inner) if keys::is_table(&path) => {
                        self.add_members(lines, &path, &shown, inner, item);
                    }
                    _ if keys::is_table(&path) => {
                        let found = type_name(value.as_ref());
                        self.problems.push(ConfigProblem::rejected(&origin, &shown, found, "a table"));
                    }
                    _ => self.add_unknown(&origin, &shown),
                }
                continue;
            };
            match parse_toml(key, value) {
                Ok(value) => {
                    item.values.insert(key.path, Located { value, origin });
                }
                Err(why) => {
                    item.rejected.push(key.path);
                    self.problems.push(ConfigProblem::rejected(&origin, &shown, why.found, why.accepted));
                }
            }
        }
    }

    /// Adds all variables that start with [`PREFIX`]; they win over the file.
    pub(super) fn add_environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, text) in variables {
            if !name.starts_with(PREFIX) {
                continue;
            }
            let origin = Origin::Variable(name.clone());
            let key = keys::all().find(|key| key.variable().as_deref() == Some(&name));
            if let Some(key) = key.filter(|key| !matches!(key.kind, Kind::StringMap { .. })) {
                self.add(key, parse_text(key, &text), origin, key.path);
            } else {
                let names: Vec<String> = keys::all().filter_map(KeySpec::variable).collect();
                let text = match suggest(&name, names.iter().map(String::as_str)) {
                    Some(known) => format!("unknown variable; did you mean {known}?"),
                    None => "unknown variable; docs/CONFIG.md lists all keys".to_owned(),
                };
                self.problems.push(ConfigProblem::new(&origin, text));
            }
        }
    }

    /// Adds an option of the command line; it wins over file and environment.
    pub(super) fn add_option(&mut self, option: &'static str, key: &'static KeySpec, text: &str) {
        self.add(key, parse_text(key, text), Origin::Option(option), key.path);
    }

    fn add(
        &mut self,
        key: &'static KeySpec,
        value: Result<Value, RejectedValue>,
        origin: Origin,
        path: &str,
    ) {
        match value {
            Ok(value) => {
                self.values.insert(key.path, Located { value, origin });
            }
            Err(why) => self.problems.push(ConfigProblem::rejected(&origin, path, why.found, why.accepted)),
        }
    }

    fn add_unknown(&mut self, origin: &Origin, path: &str) {
        // A file of many unknown keys must not cost a search for each.
        let text = if self.problems.is_full() { String::new() } else { unknown(path) };
        self.problems.push(ConfigProblem::new(origin, text));
    }
}

fn unknown(path: &str) -> String {
    let known: Vec<String> = keys::all().map(|key| key.path.replace("[]", "")).collect();
    // Entries of arrays are shown with their index, which no known path has.
    let plain = match (path.find('['), path.find(']')) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &path[..from], &path[to + 1..]),
        _ => path.to_owned(),
    };
    let shown = printable(path, 100);
    match suggest(&plain, known.iter().map(String::as_str)) {
        Some(name) => format!("unknown key `{shown}`; did you mean `{name}`?"),
        None => format!("unknown key `{shown}`; docs/CONFIG.md lists all keys"),
    }
}

fn printable(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).map(|c| if c.is_control() { '?' } else { c }).collect()
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

/// The text of a file, to turn offsets into lines.
struct Lines<'a> {
    name: Rc<str>,
    text: &'a str,
    /// Offset of the first byte of each line; found once, not again for each key.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(name: Rc<str>, text: &'a str) -> Self {
        let after_breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Self { name, text, starts: std::iter::once(0).chain(after_breaks).collect() }
    }

    /// Line and column (in characters), both counted from 1.
    fn locate(&self, offset: usize) -> (Origin, usize) {
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts[line - 1];
        let end = offset.min(self.text.len());
        let column = 1 + String::from_utf8_lossy(&self.text.as_bytes()[start..end]).chars().count();
        (Origin::File(self.name.clone(), line), column)
    }
}

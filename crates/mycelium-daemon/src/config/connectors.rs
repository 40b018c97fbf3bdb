//! `[[connectors]]` and `[[inputs]]`: from the file to what the connectors can rely on.

use std::path::{Path, PathBuf};

use super::build::Look;
use super::problem::{Place, Problem, Problems};
use super::read::Item;
use super::value::Value;
use crate::connectors::{Connector, Done, Drive, Format, Input, Source, Start};
use crate::delivery::{Endpoint, RawEndpoint};
use crate::formats::json::JsonPointer;

/// Keys that only one kind of connector has.
const HTTP_ONLY: [&str; 4] =
    ["connectors[].url", "connectors[].headers", "connectors[].timeout_ms", "connectors[].ca_file"];
const FILE_ONLY: [&str; 4] =
    ["connectors[].path", "connectors[].format", "connectors[].start", "connectors[].done"];

/// One `[[inputs]]`, the connector it names, and where it says so.
pub(super) struct Bound {
    pub(super) input: Input,
    connector: String,
    at: Place,
}

/// One entry of a list and its number.
#[derive(Clone, Copy)]
struct Entry<'a> {
    list: &'static str,
    k: usize,
    item: &'a Item,
}

impl Entry<'_> {
    fn look(&self) -> Look<'_> {
        Look(&self.item.values)
    }

    /// The key as it is shown, with the number of its entry.
    fn shown(&self, path: &str) -> String {
        path.replace("[]", &format!("[{}]", self.k))
    }

    fn required(&self, path: &'static str, problems: &mut Problems) -> Option<String> {
        let text = self.look().text(path);
        if text.is_none() && !self.item.refused.contains(&path) {
            let one = self.list.strip_suffix('s').unwrap_or(self.list);
            let text = format!("`{}` is missing: this {one} needs one", self.shown(path));
            problems.push(Problem::new(&self.item.place, text));
        }
        text
    }

    /// Names are unique; what was said twice is refused where it is said again.
    fn unique(&self, path: &'static str, name: &str, taken: bool, accepted: &str, problems: &mut Problems) {
        if taken {
            let at = self.look().place(path);
            problems.push(Problem::refused(&at, &self.shown(path), format!("{name:?}"), accepted));
        }
    }
}

/// All inputs in the order of the file, numbered so.
pub(super) fn inputs(items: &[Item], grid: usize, problems: &mut Problems) -> Vec<Bound> {
    let mut bound: Vec<Bound> = Vec::new();
    for (k, item) in items.iter().enumerate() {
        let entry = Entry { list: "inputs", k, item };
        let name = entry.required("inputs[].name", problems);
        let connector = entry.required("inputs[].connector", problems);
        let pointer = entry.required("inputs[].pointer", problems);
        let drive = drive(entry, grid, problems);
        let (Some(name), Some(connector), Some(pointer)) = (name, connector, pointer) else { continue };
        let taken = bound.iter().any(|other| other.input.name == name);
        entry.unique("inputs[].name", &name, taken, "a name that no other input has", problems);
        let pointer = JsonPointer::parse(&pointer).expect("the kind of the key admits pointers only");
        let input = Input { name, index: bound.len(), pointer, drive };
        bound.push(Bound { input, connector, at: entry.look().place("inputs[].connector") });
    }
    bound
}

/// Both coordinates inside the field, or neither.
fn drive(entry: Entry<'_>, grid: usize, problems: &mut Problems) -> Option<Drive> {
    let look = entry.look();
    let number = |path| match look.value(path) {
        Some(Value::Number(number)) => number,
        _ => 0.0,
    };
    let mut cell = |path: &'static str| {
        let at = look.optional_integer(path)?;
        if at >= grid as u64 {
            let accepted = format!("below `sim.grid`, which is {grid}");
            problems.push(Problem::refused(&look.place(path), &entry.shown(path), at, accepted));
        }
        Some(at as u16)
    };
    let (row, col) = (cell("inputs[].row"), cell("inputs[].col"));
    let said = |path: &str| look.0.contains_key(path) || entry.item.refused.contains(&path);
    let (has_row, has_col) = (said("inputs[].row"), said("inputs[].col"));
    let scaled = said("inputs[].gain") || said("inputs[].offset");
    if has_row != has_col || (scaled && !has_row) {
        let text = format!(
            "`inputs[{}]` pushes no cell: it must have both `row` and `col`, or none of row, col, gain and offset",
            entry.k
        );
        problems.push(Problem::new(&entry.item.place, text));
    }
    let (gain, offset) = (number("inputs[].gain"), number("inputs[].offset"));
    Some(Drive { row: row?, col: col?, gain, offset })
}

/// Connectors with their inputs.
pub(super) fn build(
    items: &[Item],
    inputs: Vec<Bound>,
    webhooks: &[Endpoint],
    problems: &mut Problems,
) -> Vec<Connector> {
    let mut connectors: Vec<Connector> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for (k, item) in items.iter().enumerate() {
        let entry = Entry { list: "connectors", k, item };
        let name = entry.required("connectors[].name", problems);
        let source = source(entry, name.as_deref(), problems);
        let Some(name) = name else { continue };
        let taken = names.contains(&name) || webhooks.iter().any(|webhook| webhook.name == name);
        let accepted = "a name that no other connector and no webhook has";
        entry.unique("connectors[].name", &name, taken, accepted, problems);
        names.push(name.clone());
        let own: Vec<Input> =
            inputs.iter().filter(|bound| bound.connector == name).map(|bound| bound.input.clone()).collect();
        if own.is_empty() {
            let text = format!(
                "`connectors[{k}]` has no input: add an [[inputs]] with connector = {name:?}, or remove it"
            );
            problems.push(Problem::new(&item.place, text));
        }
        let interval = entry.look().millis("connectors[].interval_ms");
        if let Some(source) = source {
            connectors.push(Connector { name, source, interval, inputs: own });
        }
    }
    for Bound { connector, at, input } in &inputs {
        if !names.contains(connector) {
            let key = format!("inputs[{}].connector", input.index);
            let accepted = "the name of one of the [[connectors]]";
            problems.push(Problem::refused(at, &key, format!("{connector:?}"), accepted));
        }
    }
    connectors
}

fn source(entry: Entry<'_>, name: Option<&str>, problems: &mut Problems) -> Option<Source> {
    let kind = entry.required("connectors[].kind", problems)?;
    let (foreign, other): (&[&str], _) =
        if kind == "http" { (&FILE_ONLY, "file") } else { (&HTTP_ONLY, "http") };
    for path in foreign {
        if let Some(found) = entry.item.values.get(path) {
            let text = format!("`{}` is only for kind = \"{other}\": remove it", entry.shown(path));
            problems.push(Problem::new(&found.place, text));
        }
    }
    if kind == "http" { http(entry, name, problems) } else { file(entry, problems) }
}

fn http(entry: Entry<'_>, name: Option<&str>, problems: &mut Problems) -> Option<Source> {
    let look = entry.look();
    let url = entry.required("connectors[].url", problems)?;
    let raw = RawEndpoint {
        name: name.unwrap_or("unnamed").to_owned(),
        url,
        headers: match look.value("connectors[].headers") {
            Some(Value::Texts(headers)) => headers,
            _ => Vec::new(),
        },
        timeout_ms: look.integer("connectors[].timeout_ms") as i64,
        ca_file: look.text("connectors[].ca_file").map(PathBuf::from),
        ..RawEndpoint::default()
    };
    let prefix = format!("connectors[{}]", entry.k);
    Endpoint::checked(&prefix, &raw)
        .map_err(|refused| {
            for why in refused {
                let key = why.key[prefix.len() + 1..].split('.').next().unwrap_or_default();
                let found = entry.item.values.get(format!("connectors[].{key}").as_str());
                let at = found.map_or(&entry.item.place, |found| &found.place);
                problems.push(Problem::refused(at, &why.key, &why.value, &why.accepted));
            }
        })
        .ok()
        .map(|endpoint| Source::Http(Box::new(endpoint)))
}

fn file(entry: Entry<'_>, problems: &mut Problems) -> Option<Source> {
    let look = entry.look();
    let path = PathBuf::from(entry.required("connectors[].path", problems)?);
    let is_csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    let format = match look.text("connectors[].format").as_deref() {
        Some("csv") => Format::Csv,
        Some("json") => Format::Json,
        Some(_) => Format::Ndjson,
        None if is_csv => Format::Csv,
        None => Format::Ndjson,
    };
    let start = match look.text("connectors[].start").as_deref() {
        Some("begin") => Start::Begin,
        _ => Start::End,
    };
    if path == Path::new("/") {
        let at = look.place("connectors[].path");
        problems.push(Problem::refused(
            &at,
            &entry.shown("connectors[].path"),
            "\"/\"",
            "a file, or for json a directory of its own",
        ));
    }
    let done = match look.text("connectors[].done").as_deref() {
        Some("delete") => Done::Delete,
        Some("move") => Done::Move,
        _ => Done::Keep,
    };
    if done != Done::Keep && format != Format::Json {
        let at = look.place("connectors[].done");
        let text = format!("`{}` is only for format = \"json\": remove it", entry.shown("connectors[].done"));
        problems.push(Problem::new(&at, text));
    }
    Some(Source::File { path, format, start, done })
}

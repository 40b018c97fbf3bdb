//! PURE. `[[connectors]]` and `[[inputs]]`: from checked values to the settings of the connectors.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys;
use super::lookup::ListEntry;
use super::problem::{ConfigProblem, Origin, Problems};
use super::raw::Item;
use crate::connectors::{
    AfterRead, Connector, ConnectorInput, ConnectorSource, FileFormat, ReadingTime, Stimulation,
};
use crate::delivery::Endpoint;
use crate::formats::json::JsonPointer;
use crate::net::{HttpTarget, RawHttpTarget};
use crate::signals::SignalSpec;
use mycelium_core::signals::{DEFAULT_SPIKES, RawSignalSettings, RawSpikeSettings, SignalSettings};

/// Keys that only some kinds of connectors have, with these kinds.
const OF_SOME_KINDS: [(&str, &[&str]); 10] = [
    (keys::CONNECTORS_URL.path(), &["http"]),
    (keys::CONNECTORS_HEADERS.path(), &["http"]),
    (keys::CONNECTORS_TIMEOUT_MS.path(), &["http"]),
    (keys::CONNECTORS_CA_FILE.path(), &["http"]),
    (keys::CONNECTORS_INTERVAL_MS.path(), &["http", "file", "value"]),
    (keys::CONNECTORS_PATH.path(), &["file", "value", "serial"]),
    (keys::CONNECTORS_FORMAT.path(), &["file", "serial"]),
    (keys::CONNECTORS_START.path(), &["file"]),
    (keys::CONNECTORS_DONE.path(), &["file"]),
    (keys::CONNECTORS_BAUD.path(), &["serial"]),
];
/// How soon a device that is gone is opened again.
const REOPEN_INTERVAL: Duration = Duration::from_secs(1);

/// One `[[inputs]]`, the name of its connector, and where that name is set.
pub(super) struct BoundInput {
    pub(super) input: ConnectorInput,
    /// `None`: only the API brings samples.
    connector: Option<String>,
    pub(super) signal: SignalSpec,
    /// Of the name of the connector.
    origin: Origin,
    /// Of the table.
    item_origin: Origin,
    has_pointer: bool,
}

/// All inputs in the order of the file, numbered so.
pub(super) fn inputs(items: &[Item], grid: usize, problems: &mut Problems) -> Vec<BoundInput> {
    let mut bound: Vec<BoundInput> = Vec::new();
    for entry in ListEntry::all(items) {
        let name = entry.required(keys::INPUTS_NAME, problems);
        let connector = entry.get(keys::INPUTS_CONNECTOR);
        let time = entry.get(keys::INPUTS_TIME_POINTER);
        let time = time.map(|pointer| ReadingTime { pointer, format: entry.get(keys::INPUTS_TIME_FORMAT) });
        let has_own_time = time.is_some() || connector.is_none();
        let settings = signal_settings(entry, problems);
        let pointer = entry.get(keys::INPUTS_POINTER);
        let stimulation = stimulation(entry, grid, problems);
        let Some(name) = name else { continue };
        if bound.iter().any(|other| other.input.name == name) {
            let found = format!("{name:?}");
            entry.reject(keys::INPUTS_NAME, found, "a name that no other input has", problems);
        }
        let has_pointer = pointer.is_some();
        let pointer = pointer.unwrap_or_else(|| JsonPointer::parse("/0").expect("is valid"));
        let signal = SignalSpec {
            name: name.clone(),
            connector: connector.clone().unwrap_or_default(),
            unit: entry.get(keys::INPUTS_UNIT).unwrap_or_default(),
            settings,
            has_own_time,
        };
        let input = ConnectorInput { name, index: bound.len(), pointer, time, stimulation };
        let origin = entry.lookup().origin(keys::INPUTS_CONNECTOR);
        let item_origin = entry.item.origin.clone();
        bound.push(BoundInput { input, connector, signal, origin, item_origin, has_pointer });
    }
    bound
}

/// What is computed from the samples of an input.
fn signal_settings(entry: ListEntry<'_>, problems: &mut Problems) -> SignalSettings {
    let spikes = RawSpikeSettings {
        window_s: entry.get(keys::INPUTS_SPIKES_WINDOW_S).unwrap_or(DEFAULT_SPIKES.window_s),
        threshold: entry.get(keys::INPUTS_SPIKES_THRESHOLD).unwrap_or(DEFAULT_SPIKES.threshold),
        dead_s: entry.get(keys::INPUTS_SPIKES_DEAD_S).unwrap_or(DEFAULT_SPIKES.dead_s),
        polarity: entry.get(keys::INPUTS_SPIKES_POLARITY).unwrap_or(DEFAULT_SPIKES.polarity),
    };
    let has_spikes = entry.item.values.keys().any(|path| path.starts_with("inputs[].spikes."));
    let raw = RawSignalSettings {
        window_s: entry.get(keys::INPUTS_WINDOW_S),
        scale: entry.get(keys::INPUTS_SCALE),
        offset: entry.get(keys::INPUTS_SHIFT),
        low: entry.get(keys::INPUTS_LOW),
        high: entry.get(keys::INPUTS_HIGH),
        deadband: entry.get(keys::INPUTS_DEADBAND),
        raw: entry.get(keys::INPUTS_RAW),
        expected_ms: entry.get(keys::INPUTS_EXPECTED_MS),
        periods_s: entry.get(keys::INPUTS_PERIODS_S).unwrap_or_default(),
        spikes: has_spikes.then_some(spikes),
        ..RawSignalSettings::default()
    };
    SignalSettings::checked(&raw).unwrap_or_else(|refused| {
        for why in refused {
            let key = format!("inputs[].{}", why.key);
            let origin = match entry.lookup().origin_of(&key) {
                Origin::Default => entry.item.origin.clone(),
                set => set,
            };
            let shown = format!("inputs[{}].{}", entry.index, why.key);
            problems.push(ConfigProblem::rejected(&origin, &shown, &why.value, &why.accepted));
        }
        SignalSettings::default()
    })
}

/// Both coordinates inside the field, or neither.
fn stimulation(entry: ListEntry<'_>, grid: usize, problems: &mut Problems) -> Option<Stimulation> {
    let mut cell = |key| {
        let at: u16 = entry.get(key)?;
        if usize::from(at) >= grid {
            let accepted = format!("below `{}`, which is {grid}", keys::SIM_GRID.path());
            entry.reject(key, at, accepted, problems);
        }
        Some(at)
    };
    let (row, col) = (cell(keys::INPUTS_ROW), cell(keys::INPUTS_COL));
    let (has_row, has_col) = (entry.mentions(keys::INPUTS_ROW), entry.mentions(keys::INPUTS_COL));
    let scaled = entry.mentions(keys::INPUTS_GAIN) || entry.mentions(keys::INPUTS_OFFSET);
    if has_row != has_col || (scaled && !has_row) {
        let text = format!(
            "`inputs[{}]` pushes no cell: it must have both `row` and `col`, or none of row, col, gain and offset",
            entry.index
        );
        problems.push(ConfigProblem::new(&entry.item.origin, text));
    }
    let (gain, offset) = (entry.get(keys::INPUTS_GAIN), entry.get(keys::INPUTS_OFFSET));
    Some(Stimulation { row: row?, col: col?, gain, offset })
}

/// Connectors with their inputs.
pub(super) fn build(
    items: &[Item],
    inputs: &[BoundInput],
    endpoints: &[Endpoint],
    problems: &mut Problems,
) -> Vec<Connector> {
    let mut connectors: Vec<Connector> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for entry in ListEntry::all(items) {
        let name = entry.required(keys::CONNECTORS_NAME, problems);
        let source = source(entry, problems);
        let Some(name) = name else { continue };
        if names.contains(&name) || endpoints.iter().any(|endpoint| endpoint.name() == name) {
            let accepted = "a name that no other connector and no endpoint has";
            entry.reject(keys::CONNECTORS_NAME, format!("{name:?}"), accepted, problems);
        }
        names.push(name.clone());
        let own: Vec<&BoundInput> =
            inputs.iter().filter(|bound| bound.connector.as_deref() == Some(&*name)).collect();
        if let Some(source) = &source {
            for bound in &own {
                check_pointer(bound, source, problems);
            }
        }
        let own: Vec<ConnectorInput> = own.into_iter().map(|bound| bound.input.clone()).collect();
        if own.is_empty() {
            let text = format!(
                "`connectors[{}]` has no input: add an [[inputs]] with connector = {name:?}, or remove it",
                entry.index
            );
            problems.push(ConfigProblem::new(&entry.item.origin, text));
        }
        let interval = match source {
            Some(ConnectorSource::Serial { .. }) => REOPEN_INTERVAL,
            _ => entry.get(keys::CONNECTORS_INTERVAL_MS),
        };
        if let Some(source) = source {
            connectors.push(Connector { name, source, interval, inputs: own });
        }
    }
    for BoundInput { connector, origin, input, .. } in inputs {
        if let Some(connector) = connector
            && !names.contains(connector)
        {
            let key = format!("inputs[{}].connector", input.index);
            let accepted = "the name of one of the [[connectors]]";
            problems.push(ConfigProblem::rejected(origin, &key, format!("{connector:?}"), accepted));
        }
    }
    connectors
}

/// A file with one number has nothing to point into; of a device the first column is the usual one.
fn check_pointer(bound: &BoundInput, source: &ConnectorSource, problems: &mut Problems) {
    let input = bound.input.index;
    if matches!(source, ConnectorSource::Value(_)) && bound.input.time.is_some() {
        let text = format!("`inputs[{input}].time_pointer` is not for kind = \"value\": remove it");
        problems.push(ConfigProblem::new(&bound.item_origin, text));
    }
    let text = match (source, bound.has_pointer) {
        (ConnectorSource::Value(_), true) => {
            format!(
                "`inputs[{input}].pointer` is not for kind = \"value\", whose file holds one number: remove it"
            )
        }
        (ConnectorSource::Http(_) | ConnectorSource::File { .. }, false) => {
            format!("`inputs[{input}].pointer` is missing: it says where the value stands")
        }
        _ => return,
    };
    problems.push(ConfigProblem::new(&bound.item_origin, text));
}

fn source(entry: ListEntry<'_>, problems: &mut Problems) -> Option<ConnectorSource> {
    let kind = entry.required(keys::CONNECTORS_KIND, problems)?;
    for (path, kinds) in OF_SOME_KINDS {
        if let Some(located) = entry.item.values.get(path)
            && !kinds.contains(&&*kind)
        {
            let path = path.replace("[]", &format!("[{}]", entry.index));
            let kinds: Vec<String> = kinds.iter().map(|kind| format!("{kind:?}")).collect();
            let text = format!("`{path}` is only for kind = {}: remove it", kinds.join(" or "));
            problems.push(ConfigProblem::new(&located.origin, text));
        }
    }
    match &*kind {
        "http" => http(entry, problems),
        "file" => file(entry, problems),
        "value" => Some(ConnectorSource::Value(entry.required(keys::CONNECTORS_PATH, problems)?.into())),
        _ => serial(entry, problems),
    }
}

fn serial(entry: ListEntry<'_>, problems: &mut Problems) -> Option<ConnectorSource> {
    let path = entry.required(keys::CONNECTORS_PATH, problems)?.into();
    let format = entry.get(keys::CONNECTORS_FORMAT).unwrap_or(FileFormat::Csv);
    if format == FileFormat::Json {
        entry.reject(keys::CONNECTORS_FORMAT, "\"json\"", "csv or ndjson for kind = \"serial\"", problems);
    }
    Some(ConnectorSource::Serial { path, baud: entry.get(keys::CONNECTORS_BAUD), format })
}

fn http(entry: ListEntry<'_>, problems: &mut Problems) -> Option<ConnectorSource> {
    let raw = RawHttpTarget {
        url: entry.required(keys::CONNECTORS_URL, problems)?,
        headers: entry.get(keys::CONNECTORS_HEADERS).unwrap_or_default(),
        timeout_ms: entry.get(keys::CONNECTORS_TIMEOUT_MS),
        ca_file: entry.get(keys::CONNECTORS_CA_FILE).map(PathBuf::from),
    };
    let prefix = format!("connectors[{}]", entry.index);
    let rejected = match HttpTarget::checked(&prefix, &raw) {
        Ok(target) => return Some(ConnectorSource::Http(Box::new(target))),
        Err(rejected) => rejected,
    };
    for why in rejected {
        let key = why.key[prefix.len() + 1..].split('.').next().unwrap_or_default();
        let located = entry.item.values.get(format!("connectors[].{key}").as_str());
        let origin = located.map_or(&entry.item.origin, |located| &located.origin);
        problems.push(ConfigProblem::rejected(origin, &why.key, &why.value, &why.accepted));
    }
    None
}

fn file(entry: ListEntry<'_>, problems: &mut Problems) -> Option<ConnectorSource> {
    let path = PathBuf::from(entry.required(keys::CONNECTORS_PATH, problems)?);
    let is_csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    let by_name = if is_csv { FileFormat::Csv } else { FileFormat::Ndjson };
    let format = entry.get(keys::CONNECTORS_FORMAT).unwrap_or(by_name);
    if path == Path::new("/") {
        let accepted = "a file, or for json a directory";
        entry.reject(keys::CONNECTORS_PATH, "\"/\"", accepted, problems);
    }
    let after_read = entry.get(keys::CONNECTORS_DONE);
    if after_read != AfterRead::Keep && format != FileFormat::Json {
        let path = entry.path(keys::CONNECTORS_DONE);
        let text = format!("`{path}` is only for format = \"json\": remove it");
        problems.push(ConfigProblem::new(&entry.lookup().origin(keys::CONNECTORS_DONE), text));
    }
    Some(ConnectorSource::File { path, format, start: entry.get(keys::CONNECTORS_START), after_read })
}

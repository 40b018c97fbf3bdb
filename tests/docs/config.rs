//! The manual and the shipped configuration agree with the code: keys, log lines, decisions, tests named in SECURITY.md.

use std::fmt::Write;
use std::fs;

use mycelium_daemon::config::keys::{self, DefaultValue, KeySpec};
use mycelium_daemon::config::{self, Sources};

use crate::source::{compare, files, read, root};

/// A `|` would end the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn default_of(key: &KeySpec) -> String {
    match key.default {
        DefaultValue::Absent(instead) => instead.to_owned(),
        value => format!("`{}`", value.text()),
    }
}

#[test]
fn the_manual_has_every_key_with_type_unit_range_default_meaning_and_advice() {
    let mut made = String::new();
    let mut table = "";
    for key in keys::all() {
        if key.table() != table {
            table = key.table();
            let heading = match table.strip_suffix("[]") {
                Some(list) => format!("[[{list}]]"),
                None => format!("[{table}]"),
            };
            writeln!(
                made,
                "\n## `{heading}`\n\n| key | type, unit | accepted | default | meaning | when to change it |"
            )
            .unwrap();
            made.push_str("|---|---|---|---|---|---|\n");
        }
        let unit = if key.unit.is_empty() { String::new() } else { format!(", {}", key.unit) };
        writeln!(
            made,
            "| `{}` | {}{unit} | {} | {} | {} | {} |",
            key.name(),
            key.kind.type_name(),
            cell(&key.kind.accepted()),
            cell(&default_of(key)),
            cell(key.doc),
            cell(key.tune)
        )
        .unwrap();
    }
    compare("docs/CONFIG.md", &made);
}

#[test]
fn every_decision_is_in_the_index_under_its_title() {
    let index = read("docs/adr/README.md");
    let mut found = 0;
    for entry in fs::read_dir(root().join("docs/adr")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some((number, _)) = name.split_once('-') else { continue };
        let rows = index.lines().filter(|line| line.starts_with(&format!("| [{number}]({name}) | "))).count();
        assert_eq!(rows, 1, "docs/adr/README.md has {rows} rows for {name}");
        let text = read(&format!("docs/adr/{name}"));
        assert!(text.starts_with(&format!("# {number} ")), "{name} begins with its number");
        found += 1;
    }
    assert!(found > 12, "only {found}");
}

/// Seen red with one letter changed.
#[test]
fn tests_and_fuzz_targets_named_in_security_md_exist() {
    let page = read("SECURITY.md");
    let files = ["tests", "crates"].into_iter().flat_map(|dir| files(dir, &[".rs"]));
    let code: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut named = 0;
    for name in page.split('`').skip(1).step_by(2) {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if plain && name.matches('_').count() >= 4 {
            assert!(
                code.contains(&format!("#[test]\nfn {name}()"))
                    || code.contains(&format!("#[test]\n    fn {name}()")),
                "{name} is no test"
            );
            named += 1;
        }
    }
    assert!(named > 30, "only {named} tests are named");
    for sentence in page.split("fuzz target").skip(1) {
        let names = sentence.split('.').next().unwrap_or_default();
        for name in names.split('`').skip(1).step_by(2) {
            assert!(
                root().join(format!("fuzz/fuzz_targets/{name}.rs")).exists(),
                "{name} is not a fuzz target"
            );
        }
    }
}

/// The first string literal after `macro_name!(`, continued lines joined, placeholders as `{..}`.
fn messages(source: &str, macro_name: &str) -> Vec<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, call) in code.match_indices(macro_name) {
        let rest = &code[at + call.len()..];
        let Some(open) = rest.find('"') else { continue };
        let mut text = String::new();
        let mut chars = rest[open + 1..].chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next() {
                    Some('\n') => {
                        let skipped: String = chars.clone().take_while(|c| c.is_whitespace()).collect();
                        chars.nth(skipped.chars().count().max(1) - 1);
                    }
                    Some(other) => text.push(other),
                    None => break,
                },
                c => text.push(c),
            }
        }
        let mut plain = String::new();
        let mut depth = 0;
        for c in text.chars() {
            match c {
                '{' => depth += 1,
                '}' => {
                    depth -= 1;
                    plain.push_str("{..}");
                }
                c if depth == 0 => plain.push(c),
                _ => {}
            }
        }
        found.push(plain);
    }
    found
}

/// Seen red: a row taken out of the page, and a row for a line that no longer exists.
#[test]
fn every_warning_and_error_is_documented() {
    let page = read("docs/LOGS.md");
    let files = files("crates", &[".rs"]);
    let mut known = Vec::new();
    for (level, macro_name) in [("WARN", "log::warn!("), ("ERROR", "log::error!(")] {
        for file in &files {
            for message in messages(&fs::read_to_string(file).unwrap(), macro_name) {
                known.push(format!("| {level} | `{}` |", message.replace('`', "'")));
            }
        }
    }
    known.sort_unstable();
    known.dedup();
    let missing: Vec<_> = known.iter().filter(|row| !page.contains(row.as_str())).collect();
    assert!(
        missing.is_empty(),
        "docs/LOGS.md lacks these rows (say what the operator should do):\n{missing:#?}"
    );
    let rows = page.lines().filter(|line| line.starts_with("| WARN") || line.starts_with("| ERROR"));
    let stale: Vec<_> = rows.filter(|row| !known.iter().any(|known| row.starts_with(known))).collect();
    assert!(stale.is_empty(), "docs/LOGS.md has rows for lines the code does not have:\n{stale:#?}");
}

/// Every TOML file or example of the repository must be valid.
/// Seen red with a grid in the README whose frames need more than the default of `memory.max_bytes`.
#[test]
fn shipped_and_shown_configurations_are_valid() {
    let shipped = read("deploy/myceliumd.toml");
    let pages = [
        "README.md",
        "docs/CONFIG.md",
        "docs/CONNECTORS.md",
        "docs/DEPLOY.md",
        "docs/TRACES.md",
        "docs/tutorials/01-getting-started.md",
        "docs/tutorials/02-feeding-a-model.md",
        "docs/tutorials/03-production-on-a-pi.md",
    ]
    .map(read);
    let shown = pages.iter().flat_map(|page| page.split("```toml\n").skip(1));
    let shown = shown.map(|rest| rest.split("```").next().unwrap().to_owned());
    // The commented-out lines of the shipped file must be valid too.
    let uncommented: String = shipped
        .lines()
        .map(|line| line.strip_prefix("#").filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    for text in shown.chain([shipped, uncommented]) {
        let sources = Sources {
            file: Some(("shown.toml", text.as_bytes())),
            variables: Vec::new(),
            overrides: Vec::new(),
            read: &|path| match path.extension().and_then(|e| e.to_str()) {
                Some("secret") => Ok(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n".to_vec()),
                _ => Ok(b"myc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n".to_vec()),
            },
        };
        if let Err(problems) = config::parse(sources) {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            panic!("{problems:#?} in\n{text}");
        }
    }
}

//! Links, paths and names of code in the documents lead somewhere.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{blanked, files, read, root, shown};

/// Targets of `[text](target)` that are files of the repository.
#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut found = Vec::new();
    for path in files("", &[".md"]) {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', ' ']).next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = file.contains("://") || file.starts_with("mailto:") || file.is_empty();
            // What looks like a link in code, such as a closure in an example, has no dot and no slash.
            let plausible = file.contains('.') || file.contains('/');
            if !elsewhere && plausible && !path.parent().unwrap().join(file).exists() {
                found.push(format!("{}: {target}", shown(&path)));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// The anchors that a forge gives to the headings of a document, code blocks left out.
fn anchors(text: &str) -> BTreeSet<String> {
    let plain: String = text.split("```").step_by(2).collect();
    let headings = plain.lines().filter(|line| line.starts_with('#'));
    let kept = |c: char| c.is_alphanumeric() || c == ' ' || c == '-' || c == '_';
    let slug = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(|c| !kept(c), "");
    headings.map(|line| slug(line).replace(' ', "-")).collect()
}

/// Targets of `[text](file.md#anchor)` and `[text](#anchor)`. Seen red with a misspelt anchor in docs/README.md.
#[test]
fn anchors_in_links_are_headings() {
    let mut found = Vec::new();
    let mut seen = 0;
    for path in files("", &[".md"]) {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', ' ']).next().unwrap_or_default();
            let Some((file, anchor)) = target.split_once('#') else { continue };
            let whole = match file {
                "" => text.clone(),
                file if file.contains("://") => continue,
                file => fs::read_to_string(path.parent().unwrap().join(file)).unwrap_or_default(),
            };
            seen += 1;
            if !anchors(&whole).contains(anchor) {
                found.push(format!("{}: {target}", shown(&path)));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(seen > 50, "only {seen} anchors are named");
}

/// Texts between back-ticks within lines, code blocks left out.
fn quoted(text: &str) -> Vec<&str> {
    let blocks = text.split("```").step_by(2);
    blocks.flat_map(|block| block.split('`').skip(1).step_by(2)).collect()
}

/// Whether a path exists in the repository or below the sources of a package. `*` stands for any one name.
fn exists(path: &str) -> bool {
    let bases = ["", "crates/mycelium-core/src", "crates/mycelium-outbox/src", "crates/mycelium-daemon/src"];
    let plain = path.trim_end_matches('/').split('*').next().unwrap_or_default();
    let plain = if path.contains('*') { plain.rsplit_once('/').map_or("", |(dir, _)| dir) } else { plain };
    bases.iter().any(|base| root().join(base).join(plain).exists())
}

const TOP: [&str; 9] =
    [".ci/", "benches/", "crates/", "cross/", "deploy/", "docs/", "fuzz/", "src/", "tests/"];

/// Seen red with a path in ADR 0012 misspelt.
#[test]
fn paths_in_the_documents_exist() {
    let mut found = Vec::new();
    let mut seen = 0;
    for path in files("", &[".md"]) {
        let text = fs::read_to_string(&path).unwrap();
        for name in quoted(&text) {
            let name = name.split_whitespace().next().unwrap_or_default();
            let is_rust = std::path::Path::new(name).extension().is_some_and(|ending| ending == "rs");
            let is_path = TOP.iter().any(|top| name.starts_with(top)) || is_rust;
            if is_path && !name.contains(['{', '<', '$', '…']) {
                seen += 1;
                if !exists(name) {
                    found.push(format!("{}: {name}", shown(&path)));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(seen > 100, "only {seen} paths are named");
}

/// Names of all types and functions that the packages declare.
fn declared() -> (BTreeSet<String>, BTreeSet<String>) {
    let mut types = BTreeSet::new();
    let mut functions = BTreeSet::new();
    for path in ["src", "crates", "tests"].into_iter().flat_map(|dir| files(dir, &[".rs"])) {
        let code = blanked(&fs::read_to_string(&path).unwrap());
        let words: Vec<_> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for pair in words.windows(2) {
            match pair[0] {
                "struct" | "enum" | "trait" | "type" => types.insert(pair[1].to_owned()),
                "fn" => functions.insert(pair[1].to_owned()),
                _ => false,
            };
        }
    }
    (types, functions)
}

/// In these documents `Name`, `Name::name` and `name()` are types and functions, and what has a slash is a path.
const MAPS: [&str; 2] = ["docs/ARCHITECTURE.md", "CONTRIBUTING.md"];

/// Seen red with a type and a function misspelt.
#[test]
fn types_and_functions_of_the_architecture_exist() {
    let (types, functions) = declared();
    let mut found = Vec::new();
    for page in MAPS {
        let text = read(page);
        for name in quoted(&text) {
            let call = name.strip_suffix("()");
            let (owner, member) = match name.split_once("::") {
                Some((owner, member)) => (Some(owner), Some(member.trim_end_matches("()"))),
                None => (call.is_none().then_some(name), call),
            };
            let is_name = |text: &str| {
                let upper = text.starts_with(|c: char| c.is_ascii_uppercase());
                let mixed = text.contains(|c: char| c.is_ascii_lowercase());
                upper && mixed && text.bytes().all(|b| b.is_ascii_alphanumeric())
            };
            let wrong_owner = owner.is_some_and(|owner| is_name(owner) && !types.contains(owner));
            let is_function = call.is_some() || owner.is_some_and(is_name);
            let wrong_member = member.is_some_and(|member| is_function && !functions.contains(member));
            let directory =
                name.contains('/') && !name.starts_with(['/', '<', '$']) && !name.contains([' ', ':']);
            if wrong_owner || wrong_member || directory && !exists(name) {
                found.push(format!("{page}: {name}"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

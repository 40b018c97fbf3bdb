//! The tests that a bug has led to, in one table.

use std::fmt::Write;
use std::fs;

use crate::source::{compare, files, shown};

/// Each doc comment with `Regression:` as a row: the bug, the test below it, and its file.
fn rows() -> String {
    let mut rows = String::from("| bug | test | file |\n|---|---|---|\n");
    for path in ["tests", "crates"].into_iter().flat_map(|dir| files(dir, &[".rs"])) {
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            let Some(bug) = line.strip_prefix("/// Regression: ") else { continue };
            let mut bug = bug.to_owned();
            let mut test = None;
            for line in lines.by_ref().take(12) {
                if let Some(more) = line.strip_prefix("/// ") {
                    bug = format!("{bug} {more}");
                } else if let Some(name) = line.strip_prefix("fn ").and_then(|line| line.split('(').next()) {
                    test = Some(name);
                    break;
                }
            }
            let test = test.unwrap_or_else(|| panic!("no test below {bug:?} in {}", shown(&path)));
            let end = ["Mutant", "Seen red"].iter().filter_map(|rest| bug.find(rest)).min();
            let bug = bug[..end.unwrap_or(bug.len())].trim_end().replace('|', "\\|");
            writeln!(rows, "| {bug} | `{test}` | {} |", shown(&path)).unwrap();
        }
    }
    rows
}

#[test]
fn the_table_of_regressions_has_every_test_that_names_its_bug() {
    let rows = rows();
    assert!(rows.lines().count() > 20, "{rows}");
    compare("tests/REGRESSIONS.md", &rows);
}

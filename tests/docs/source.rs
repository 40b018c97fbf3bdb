//! Files of the repository and the code in them, as the other tests here look at them.

use std::fs;
use std::path::{Path, PathBuf};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Text of a file, given relative to the repository.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("cannot read {path}: {e}"))
}

/// Compares the part of a page between its markers with the table made from the code. With `BLESS=1` the page is
/// written instead.
pub fn compare(page: &str, made: &str) {
    let text = read(page);
    let begin = text.find("<!-- begin").and_then(|at| Some(at + text[at..].find('\n')? + 1)).unwrap();
    let end = text.find("<!-- end -->").unwrap();
    let want = format!("{}\n{made}\n{}", &text[..begin], &text[end..]);
    if std::env::var_os("BLESS").is_some() {
        fs::write(root().join(page), want).unwrap();
        return;
    }
    assert!(text == want, "{page} differs from the code: run BLESS=1 cargo test --test docs");
}

/// Files below `dir` with one of these endings, sorted; what tools generate is left out.
pub fn files(dir: &str, endings: &[&str]) -> Vec<PathBuf> {
    fn walk(dir: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                let skipped = ["target", ".git", "node_modules", "__pycache__", "dist", "corpus"];
                if !skipped.contains(&name.as_str()) {
                    walk(&path, endings, found);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(dir), endings, &mut found);
    found.sort();
    found
}

/// Every source file of the product, without files that hold only unit tests.
pub fn code_files() -> Vec<PathBuf> {
    let found = ["src", "crates"].iter().flat_map(|dir| files(dir, &[".rs"]));
    found.filter(|path| !path.ends_with("tests.rs") && !path.iter().any(|part| part == "tests")).collect()
}

/// The path of a file relative to the repository.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Code of a file without comments, contents of literals, and the unit tests at its end. Lines keep their numbers.
pub fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    blanked(text.split("\n#[cfg(test)]").next().unwrap_or_default())
}

/// `text` with comments and the contents of string and character literals replaced by blanks.
pub fn blanked(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let token = token_len(rest, made.chars().next_back());
        if token.kept {
            made.push_str(&rest[..token.bytes]);
        } else {
            let quoted = c != '/';
            made.push(if quoted { '"' } else { ' ' });
            made.extend(rest[..token.bytes].chars().filter(|c| *c == '\n'));
            if quoted {
                made.push('"');
            }
        }
        rest = &rest[token.bytes..];
    }
    made
}

struct Token {
    bytes: usize,
    kept: bool,
}

/// Length of the comment or literal at the start of `text`, else of its first character.
fn token_len(text: &str, before: Option<char>) -> Token {
    let blank = |bytes: usize| Token { bytes: bytes.min(text.len()), kept: false };
    let until =
        |from: usize, end: &str| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    if text.starts_with("//") {
        return blank(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return blank(until(2, "*/"));
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && let Some(raw) = text.strip_prefix("br").or(text.strip_prefix('r')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let open = text.len() - raw.len() + hashes + 1;
            return blank(until(open, &format!("\"{}", "#".repeat(hashes))));
        }
    }
    if text.starts_with('"') {
        let mut escaped = false;
        for (at, c) in text.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return blank(at + 1),
                _ => {}
            }
        }
        return blank(text.len());
    }
    // A lifetime has no closing quote behind its first character.
    if let Some(quoted) = text.strip_prefix('\'') {
        let width = quoted.chars().next().map_or(0, char::len_utf8);
        if quoted.starts_with('\\') {
            return blank(until(3, "'"));
        }
        if quoted[width..].starts_with('\'') {
            return blank(width + 2);
        }
    }
    Token { bytes: text.chars().next().map_or(0, char::len_utf8), kept: true }
}

#[test]
fn comments_and_literals_are_blanked_and_lines_are_kept() {
    let text = "let a = \"{ // no\"; // {\n/* {\n{ */ b'{' '\\'' r#\"}\"#; fn f<'a>() { '{' }\n";
    let made = blanked(text);
    assert_eq!(made.lines().count(), text.lines().count());
    assert_eq!(made.matches('{').count(), 1, "{made}");
    assert_eq!(made.matches('}').count(), 1, "{made}");
    assert!(made.contains("fn f<'a>()"), "{made}");
}

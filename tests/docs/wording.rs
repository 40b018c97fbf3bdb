//! Words and phrases that say too little or need a second reading, each with the plain one to use instead.
//! CONTRIBUTING.md has the rule.

use std::fs;

use crate::source::{blanked, files, shown};

/// Parts of identifiers: `held_wish` and `HeldWish` have the part `wish`.
const IDENTIFIERS: &[(&str, &str)] = &[
    ("buried", "stored"),
    ("burial", "store result"),
    ("bury", "store"),
    ("clerk", "command thread"),
    ("errand", "command"),
    ("hangup", "peer close"),
    ("knock", "request heartbeat"),
    ("knocked", "heartbeat requested"),
    ("knocks", "heartbeat requests"),
    ("letter", "dead letter"),
    ("letters", "dead letters"),
    ("misfit", "owner error"),
    ("moody", "faulty"),
    ("newcomer", "new connection"),
    ("outlet", "outbox source"),
    ("said", "what was said: context, detail, text"),
    ("seat", "slot"),
    ("seats", "slots"),
    ("told", "announced, reported"),
    ("stranger", "anonymous"),
    ("strangers", "anonymous"),
    ("takeover", "upgrade"),
    ("whoever", "any"),
    ("wish", "request, args, command"),
    ("wishes", "requests"),
];

/// Phrases in comments, messages and documents, in any case and over the ends of lines.
const PHRASES: &[(&str, &str)] = &[
    ("a good one", "valid"),
    ("anew", "again, new"),
    ("are told", "are notified"),
    ("as fast as it goes", "as fast as possible"),
    ("at every door", "everywhere"),
    ("be told", "be notified"),
    ("clerk", "command thread"),
    ("come off", "complete"),
    ("comes off", "completes"),
    ("costs itself", "affects nothing else"),
    ("give way", "are dropped, are evicted"),
    ("gives way", "is dropped, is evicted"),
    ("has no room", "is full"),
    ("in the way of", "blocks"),
    ("is told", "is notified"),
    ("is well again", "has recovered"),
    ("lent to", "borrowed from"),
    ("mended", "fixed"),
    ("newcomer", "new connection"),
    ("nobody to", "no one who"),
    ("nothing is owed", "nothing is pending"),
    ("of its own", "separate"),
    ("of its own accord", "by itself"),
    ("of their own", "separate"),
    ("out of the house", "before the request was sent"),
    ("the dear one", "the expensive choice"),
    ("the replaced system", "MyceliumFractalNet 4.1"),
    ("under way", "in progress, running"),
    ("was told", "was notified"),
    ("what becomes of", "what happens to"),
    ("what counts", "the effective settings"),
    ("who is well", "health of each"),
    ("work on request", "on-demand simulations"),
];

/// This file names what it refuses.
const SELF: &str = "tests/docs/wording.rs";

/// Lower-case parts of an identifier in snake case or camel case.
fn parts(identifier: &str) -> Vec<String> {
    let mut found: Vec<String> = vec![String::new()];
    let mut lower = false;
    for c in identifier.chars() {
        if c == '_' || c.is_uppercase() && lower {
            found.push(String::new());
        }
        lower = c.is_lowercase();
        if c != '_' {
            found.last_mut().expect("not empty").extend(c.to_lowercase());
        }
    }
    found
}

fn refused(identifier: &str) -> Option<&'static str> {
    let parts = parts(identifier);
    parts.iter().enumerate().find_map(|(k, part)| {
        let dead = k > 0 && parts[k - 1] == "dead";
        let row = IDENTIFIERS.iter().find(|(word, _)| word == part)?;
        (!(dead && row.1.starts_with("dead"))).then_some(row.1)
    })
}

/// As [`refused`], of several words: `goes_under_way` has the phrase `under way`.
fn refused_phrase(identifier: &str) -> Option<&'static str> {
    let spaced = format!(" {} ", identifier.replace('_', " "));
    let row = PHRASES.iter().find(|(phrase, _)| spaced.contains(&format!(" {phrase} ")))?;
    Some(row.1)
}

/// Seen red with a variable called `wish`.
#[test]
fn identifiers_are_terms_of_the_field() {
    let mut found = Vec::new();
    for path in ["src", "crates", "tests", "benches", "fuzz/fuzz_targets"]
        .into_iter()
        .flat_map(|dir| files(dir, &[".rs"]))
    {
        let name = shown(&path);
        if name == SELF {
            continue;
        }
        if let Some(better) = refused(path.file_stem().unwrap().to_str().unwrap()) {
            found.push(format!("{name}: name of the file, better: {better}"));
        }
        let code = blanked(&fs::read_to_string(&path).unwrap());
        for (k, line) in code.lines().enumerate() {
            for word in line.split(|c: char| !c.is_alphanumeric() && c != '_') {
                let phrase = || word.contains('_').then(|| refused_phrase(word)).flatten();
                if let Some(better) = refused(word).or_else(phrase) {
                    found.push(format!("{name}:{}: {word}, better: {better}", k + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} identifiers: {found:#?}", found.len());
    assert_eq!(refused("dead_letters"), None);
    assert!(refused("DeadWish").is_some() && refused("letters").is_some() && refused("swish").is_none());
    assert!(refused_phrase("the_window_under_way").is_some());
}

/// Text with the marks of comments and the ends of lines as single blanks, in lower case; and the line of each byte.
fn joined(text: &str) -> (String, Vec<usize>) {
    let (mut made, mut lines) = (String::new(), Vec::new());
    for (k, line) in text.lines().enumerate() {
        let line = line.trim_start().trim_start_matches(['/', '!', '#', '*', '>']);
        for word in line.split_whitespace() {
            made.push_str(&word.to_ascii_lowercase());
            made.push(' ');
            lines.resize(made.len(), k + 1);
        }
    }
    (made, lines)
}

/// Seen red with "under way" split over two lines of a comment.
#[test]
fn sentences_are_plain() {
    let mut found = Vec::new();
    let endings = [".rs", ".md", ".html", ".toml", ".py", ".sh", ".yml", ".yaml", ".service"];
    for path in files("", &endings) {
        let name = shown(&path);
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if name == SELF {
            continue;
        }
        let (text, lines) = joined(&text);
        for (phrase, better) in PHRASES {
            for (at, _) in text.match_indices(phrase) {
                let edge = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                if edge(text[..at].chars().next_back()) && edge(text[at + phrase.len()..].chars().next()) {
                    found.push(format!("{name}:{}: \"{phrase}\", better: {better}", lines[at]));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} phrases: {found:#?}", found.len());
}

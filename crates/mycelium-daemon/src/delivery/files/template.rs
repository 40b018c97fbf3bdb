//! PURE. Names of files made from the first event in them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Longest template, bytes.
const MAX_TEMPLATE_BYTES: usize = 1024;
/// A placeholder, and which bytes its values consist of.
type Placeholder = (&'static str, fn(u8) -> bool);

const PLACEHOLDERS: [Placeholder; 5] = [
    ("{date}", |b| b.is_ascii_digit() || b == b'-'),
    ("{device}", |b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
    ("{endpoint}", |b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
    ("{boot}", |b| b.is_ascii_hexdigit()),
    ("{seq}", |b| b.is_ascii_digit()),
];

/// What a name is made of.
#[derive(Clone, Copy, Debug)]
pub struct NameFields<'a> {
    /// `YYYY-MM-DD`, UTC.
    pub date: &'a str,
    pub device: &'a str,
    pub endpoint: &'a str,
    pub boot: &'a str,
    pub seq: u64,
}

/// A path with placeholders; the directories in front of the first one are fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    directory: PathBuf,
}

impl PathTemplate {
    pub const ACCEPTED: &'static str = "a path of a file whose name has {seq}, and of {date}, {device}, {endpoint} and {boot} any, without ..";

    /// `None` if a placeholder is unknown, `{seq}` is not in the last part, or a part is empty or `..`.
    pub fn parse(text: &str) -> Option<Self> {
        let (directory, rest) = split(text);
        let name = text.rsplit('/').next().unwrap_or(text);
        let plain = PLACEHOLDERS.iter().fold(text.to_owned(), |text, (name, _)| text.replace(name, ""));
        let good = text.len() <= MAX_TEMPLATE_BYTES
            && name.contains("{seq}")
            && !name.starts_with('.')
            && !plain.contains(['{', '}', '\0'])
            && !text.split('/').any(|part| part == "..")
            && !rest.split('/').any(|part| part.is_empty() || part == ".");
        good.then(|| Self { text: text.to_owned(), directory: directory.into() })
    }

    /// The fixed part, which must exist.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn expand(&self, fields: NameFields<'_>) -> PathBuf {
        let mut seq = String::new();
        // Names of one boot sort by age.
        write!(seq, "{:010}", fields.seq).expect("writing to a String cannot fail");
        let values = [fields.date, fields.device, fields.endpoint, fields.boot, &seq];
        let names = PLACEHOLDERS.iter().map(|(name, _)| name);
        names.zip(values).fold(self.text.clone(), |text, (name, value)| text.replace(name, value)).into()
    }

    /// The parts below the fixed directory with the placeholders that vary, to find the files of one device and
    /// endpoint again.
    pub fn parts(&self, device: &str, endpoint: &str) -> Vec<String> {
        let known = |part: &str| part.replace("{device}", device).replace("{endpoint}", endpoint);
        split(&self.text).1.split('/').map(known).collect()
    }
}

/// The fixed directory, and the rest.
fn split(text: &str) -> (&str, &str) {
    let fixed = text.find('{').unwrap_or(text.len());
    match text[..fixed].rfind('/') {
        Some(0) => ("/", &text[1..]),
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (".", text),
    }
}

/// Whether a name can come from this part of a template, also with the number of a second file of that name.
pub(super) fn can_be(part: &str, name: &str) -> bool {
    let Some(at) = part.find('{') else { return part == name };
    let Some(rest) = name.strip_prefix(&part[..at]) else { return false };
    let Some((placeholder, is_valid)) = PLACEHOLDERS.iter().find(|(name, _)| part[at..].starts_with(name))
    else {
        return false;
    };
    let after = &part[at + placeholder.len()..];
    let mut longest = rest.bytes().take_while(|&b| is_valid(b)).count();
    while longest > 0 {
        let (_, left) = rest.split_at(longest);
        if can_be(after, left) || second(after, left) {
            return true;
        }
        longest -= 1;
    }
    false
}

/// `-2.ndjson` where `.ndjson` is expected.
fn second(after: &str, left: &str) -> bool {
    let Some(numbered) = left.strip_prefix('-') else { return false };
    let rest = numbered.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < numbered.len() && !after.contains('{') && rest == after
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: NameFields<'_> =
        NameFields { date: "2026-11-28", device: "pi-4", endpoint: "usb", boot: "00ff", seq: 42 };

    #[test]
    fn a_template_gives_names_that_it_recognises() {
        let template = PathTemplate::parse("/mnt/stick/out/{date}/{device}-{seq}.ndjson").unwrap();
        assert_eq!(template.directory(), Path::new("/mnt/stick/out"));
        let path = template.expand(FIELDS);
        assert_eq!(path, Path::new("/mnt/stick/out/2026-11-28/pi-4-0000000042.ndjson"));
        let parts = template.parts("pi-4", "usb");
        assert!(can_be(&parts[0], "2026-11-28") && can_be(&parts[1], "pi-4-0000000042.ndjson"));
        assert!(can_be(&parts[1], "pi-4-0000000042-2.ndjson"), "a second file of this name");
        for foreign in [
            "photo.jpg",
            "pi-5-0000000042.ndjson",
            "pi-4-.ndjson",
            "pi-4-0000000042.ndjson.part",
            ".pi-4-1.ndjson~",
        ] {
            assert!(!can_be(&parts[1], foreign), "{foreign}");
        }
    }

    #[test]
    fn templates_that_could_overwrite_or_leave_the_directory_are_refused() {
        for bad in [
            "",
            "out.ndjson",
            "{seq}/out",
            "a/../{seq}",
            "{sequence}",
            "{seq",
            "a//{date}//{seq}",
            "out/.{seq}",
        ] {
            assert!(PathTemplate::parse(bad).is_none(), "{bad:?}");
        }
        assert_eq!(PathTemplate::parse("{seq}.csv").unwrap().directory(), Path::new("."));
        assert_eq!(PathTemplate::parse("/{seq}.csv").unwrap().directory(), Path::new("/"));
    }
}

//! PURE. "Did you mean ...?": the known name closest to a mistyped one.

/// The candidate that the fewest edits lead to, if these are few for its length.
pub fn suggest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No name is longer; the limit also bounds the work for hostile files.
    const MAX_BYTES: usize = 64;
    if typed.len() > MAX_BYTES {
        return None;
    }
    let typed = typed.to_lowercase();
    let last = |path: &str| path.rsplit(['.', '[']).next().map_or_else(String::new, str::to_owned);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let whole = distance(&typed, &candidate.to_lowercase());
            // The right name in the wrong table costs one edit.
            let name = distance(&last(&typed), &last(candidate)) + 1;
            // Of a short name half of the letters at most.
            let allowed = (1 + candidate.len() / 8).max(2).min(typed.len() / 2);
            let edits = whole.min(name);
            (edits <= allowed).then_some((edits, candidate))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let swap_cost = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + swap_cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_is_suggested_and_for_an_unrelated_one_nothing_is() {
        let names = ["sim.grid", "sim.model", "api.rate.burst", "outbox.max_bytes", "memory.max_bytes"];
        let rows = [
            ("sim.gird", Some("sim.grid"), "two letters swapped"),
            ("grid", Some("sim.grid"), "the table is missing"),
            ("api.burst", Some("api.rate.burst"), "a table in the middle is missing"),
            ("outbox.maxbytes", Some("outbox.max_bytes"), "a letter is missing"),
            ("SIM.MODEL", Some("sim.model"), "capitals"),
            ("colour", None, "nothing like it"),
            ("", None, "nothing at all"),
        ];
        for (typed, want, why) in rows {
            assert_eq!(suggest(typed, names), want, "{why}");
        }
    }
}

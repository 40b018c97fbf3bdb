//! Counting at the end: none lost, none reordered, duplicates identical.

use std::collections::BTreeMap;

use super::Request;

/// Sequence numbers of a batch, in its order.
pub fn seqs(body: &str) -> Vec<u64> {
    let ids = body.split("\"id\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    ids.map(|id| id.rsplit('-').next().unwrap().parse().unwrap()).collect()
}

fn accepted(request: &Request) -> bool {
    (200..300).contains(&request.answered)
}

/// Sequence numbers that were taken, at their first time.
pub fn taken(requests: &[Request]) -> Vec<u64> {
    let mut out = Vec::new();
    for seq in requests.iter().filter(|r| accepted(r)).flat_map(|r| seqs(&r.body)) {
        if !out.contains(&seq) {
            out.push(seq);
        }
    }
    out
}

/// Checks everything that must hold whatever the receiver did; `expected` arrived exactly, in order.
pub fn check(requests: &[Request], expected: impl IntoIterator<Item = u64>) {
    assert_eq!(taken(requests), expected.into_iter().collect::<Vec<_>>(), "lost or out of order");
    let whole: Vec<_> = requests.iter().filter(|r| !r.body.is_empty()).collect();
    let mut bodies = BTreeMap::new();
    let mut events: BTreeMap<u64, &str> = BTreeMap::new();
    for request in whole {
        let id = request.header("webhook-id");
        let first = bodies.entry(id).or_insert(&request.wire);
        assert_eq!(*first, &request.wire, "the same webhook-id with other bytes");
        for event in request.body.trim_matches(['[', ']']).split("{\"specversion\"").skip(1) {
            let event = event.trim_end_matches(',');
            let seq = seqs(&format!("{{\"specversion\"{event}"))[0];
            assert_eq!(*events.entry(seq).or_insert(event), event, "event {seq} changed");
        }
    }
}

/// Attempts per webhook-id, in the order of first appearance.
pub fn attempts(requests: &[Request]) -> Vec<(String, usize)> {
    let mut out: Vec<(String, usize)> = Vec::new();
    for id in requests.iter().map(|r| r.header("webhook-id").to_owned()) {
        match out.iter_mut().find(|(known, _)| *known == id) {
            Some((_, count)) => *count += 1,
            None => out.push((id, 1)),
        }
    }
    out
}

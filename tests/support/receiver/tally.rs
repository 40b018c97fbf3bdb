//! Counting at the end: none lost, none reordered, duplicates identical.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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

/// One life of a device as the device told it: its boot id, and the highest sequence number it has called durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    pub boot: String,
    pub durable: u64,
}

/// Event ids of a batch, in its order.
pub fn ids(body: &str) -> impl Iterator<Item = &str> {
    body.split("\"id\":\"").skip(1).filter_map(|rest| rest.split('"').next())
}

/// Boot and sequence number of an event id.
pub fn id_parts(id: &str) -> (&str, u64) {
    let (front, seq) = id.rsplit_once('-').unwrap();
    (front.rsplit_once('-').map_or(front, |(_, boot)| boot), seq.parse().unwrap())
}

/// What came of all requests to a receiver.
#[derive(Debug)]
pub struct Sum {
    /// Events accepted, each counted once.
    pub events: usize,
    /// Events that came again, in bytes that were the same.
    pub duplicates: usize,
}

/// Over any number of lives: whatever was called durable was accepted or is among `dead`, each boot's events came in
/// order and not mixed with another's, boots in the order of `lives` (those that were cut short before they could
/// say who they are may lie between), and what came twice was the same to the byte.
pub fn check_lives(requests: &[Request], lives: &[Life], dead: &[String]) -> Sum {
    let mut bodies: HashMap<&str, &[u8]> = HashMap::new();
    let mut events: HashMap<&str, &str> = HashMap::new();
    let mut sum = Sum { events: 0, duplicates: 0 };
    let mut order: Vec<(&str, u64)> = Vec::new();
    let mut taken: BTreeSet<(&str, u64)> = BTreeSet::new();
    for request in requests.iter().filter(|r| !r.body.is_empty()) {
        let id = request.header("webhook-id");
        let first = *bodies.entry(id).or_insert(&request.wire);
        assert_eq!(first, request.wire, "the same webhook-id with other bytes");
        for event in request.body.trim_matches(['[', ']']).split("{\"specversion\"").skip(1) {
            let event = event.trim_end_matches(',');
            let id = ids(event).next().unwrap();
            let before = events.insert(id, event);
            assert!(before.is_none_or(|before| before == event), "{id} changed: {before:?} {event}");
            sum.duplicates += usize::from(before.is_some());
            if accepted(request) && taken.insert(id_parts(id)) {
                order.push(id_parts(id));
            }
        }
    }
    sum.events = order.len();
    for pair in order.windows(2) {
        assert!(pair[0].0 != pair[1].0 || pair[0].1 < pair[1].1, "out of order: {pair:?}");
    }
    let mut boots: Vec<&str> = order.iter().map(|(boot, _)| *boot).collect();
    boots.dedup();
    let distinct: BTreeSet<&str> = boots.iter().copied().collect();
    assert_eq!(distinct.len(), boots.len(), "boots are mixed: {boots:?}");
    let known = |boot: &&str| lives.iter().position(|life| life.boot == *boot);
    assert!(boots.iter().filter_map(known).is_sorted(), "{boots:?} is not the order of {lives:?}");
    for Life { boot, durable } in lives {
        let parts = dead.iter().map(|id| id_parts(id));
        let dead: BTreeSet<u64> = parts.filter(|(b, _)| b == boot).map(|(_, seq)| seq).collect();
        let lost: Vec<u64> = (1..=*durable)
            .filter(|seq| !taken.contains(&(boot.as_str(), *seq)) && !dead.contains(seq))
            .collect();
        assert!(lost.is_empty(), "{boot}: {lost:?} of {durable} were durable and are lost");
    }
    sum
}

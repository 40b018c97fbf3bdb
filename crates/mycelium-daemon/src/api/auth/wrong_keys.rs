//! PURE. Counts wrong keys by address, for one log line per address and minute.

use core::net::IpAddr;
use std::time::Duration;

use super::anonymous::rate_limit_prefix;
use crate::clock::Mono;

/// Wrong keys that a connection may present before it is closed.
pub const MAX_WRONG_KEYS: u32 = 3;
/// Addresses that are counted at the same time; a further one replaces the one seen first.
const ADDRESSES: usize = 32;
/// Between two lines about one address.
const PERIOD: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug)]
struct Counted {
    from: IpAddr,
    since: Mono,
    /// Since the last report.
    count: u64,
}

/// Wrong keys to be logged: where from, and how many since the last line about that address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongKeys {
    pub from: IpAddr,
    pub count: u64,
}

#[derive(Debug, Default)]
pub struct WrongKeyLog {
    addresses: heapless::Vec<Counted, ADDRESSES>,
}

impl WrongKeyLog {
    /// Counts one; to be logged at once if it is the first of its address. Addresses of one IPv6 network count as one.
    pub fn count(&mut self, from: IpAddr, now: Mono) -> Option<WrongKeys> {
        let prefix = rate_limit_prefix(from);
        let known = |counted: &&mut Counted| rate_limit_prefix(counted.from) == prefix;
        if let Some(counted) = self.addresses.iter_mut().find(known) {
            counted.count += 1;
            counted.from = from;
            return None;
        }
        let new = Counted { from, since: now, count: 0 };
        if let Err(new) = self.addresses.push(new)
            && let Some(oldest) = self.addresses.iter_mut().min_by_key(|counted| counted.since)
        {
            *oldest = new;
        }
        Some(WrongKeys { from, count: 1 })
    }

    /// The next address whose minute is over; an address without a wrong key in that time is forgotten.
    pub fn due(&mut self, now: Mono) -> Option<WrongKeys> {
        self.addresses.retain(|counted| counted.count > 0 || now.since(counted.since) < PERIOD);
        let due = self.addresses.iter_mut().find(|counted| now.since(counted.since) >= PERIOD)?;
        due.since = now;
        Some(WrongKeys { from: due.from, count: std::mem::take(&mut due.count) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    /// 42,269 guesses a second on one connection left no line.
    #[test]
    fn an_address_is_reported_at_its_first_wrong_key_and_then_once_a_minute_with_their_number() {
        let from: IpAddr = "192.0.2.1".parse().unwrap();
        let mut log = WrongKeyLog::default();
        assert_eq!(log.count(from, at(0)), Some(WrongKeys { from, count: 1 }));
        for _ in 0..1000 {
            assert_eq!(log.count(from, at(30)), None);
        }
        assert_eq!(log.due(at(59)), None);
        assert_eq!(log.due(at(60)), Some(WrongKeys { from, count: 1000 }));
        assert_eq!(log.due(at(60)), None);
        assert_eq!(log.due(at(120)), None, "nothing to report");
        assert_eq!(log.count(from, at(121)), Some(WrongKeys { from, count: 1 }), "a quiet minute later");
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_and_the_table_is_bounded() {
        let mut log = WrongKeyLog::default();
        assert!(log.count("2001:db8::1".parse().unwrap(), at(0)).is_some());
        assert_eq!(log.count("2001:db8::2".parse().unwrap(), at(0)), None);
        let reported = (0..1000_u32).filter(|k| log.count(IpAddr::from(k.to_be_bytes()), at(1)).is_some());
        assert_eq!(reported.count(), 1000);
        assert_eq!(log.addresses.len(), ADDRESSES);
    }
}

//! PURE. Rate limits of requests without a valid key, each with a share for every address, in a table of fixed size.

use core::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::rate_limit::{RateBucket, RateLimit, RateQuota};
use crate::clock::Mono;

/// Buckets for addresses. Which addresses share one depends on a secret, so that none can be chosen to exhaust the
/// bucket of another.
const ADDRESS_BUCKETS: usize = 256;
/// All addresses together may send this many times as much as one.
const ADDRESS_SHARES: u32 = 4;

/// The address that limits apply to: the /64 network of an IPv6 address, since clients own a whole one.
pub fn rate_limit_prefix(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// What one address may send, and all of them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnonymousLimits {
    one: RateLimit,
    all: RateLimit,
}

impl AnonymousLimits {
    /// In requests per second and requests of one address.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let shares = |of_one: u32| of_one.max(1).saturating_mul(ADDRESS_SHARES);
        Self {
            one: RateLimit::new(per_second, burst),
            all: RateLimit::new(shares(per_second), shares(burst)),
        }
    }
}

/// The buckets of one kind of request.
#[derive(Clone, Debug)]
pub struct AnonymousBuckets {
    secret: u64,
    all: RateBucket,
    of_address: Box<[RateBucket; ADDRESS_BUCKETS]>,
}

impl AnonymousBuckets {
    pub fn new(secret: u64) -> Self {
        Self {
            secret,
            all: RateBucket::default(),
            of_address: Box::new([RateBucket::default(); ADDRESS_BUCKETS]),
        }
    }

    /// Takes one request of that address, or returns the time until one is available.
    pub fn take(
        &mut self,
        limits: AnonymousLimits,
        from: IpAddr,
        now: Mono,
    ) -> Result<RateQuota, (RateQuota, Duration)> {
        let own = &mut self.of_address[bucket(self.secret, from)];
        let mut charged = *own;
        let quota = charged.take(limits.one, now)?;
        match self.all.take(limits.all, now) {
            Ok(all) => {
                *own = charged;
                Ok(RateQuota { remaining: quota.remaining.min(all.remaining), ..quota })
            }
            Err((_, wait)) => Err((RateQuota { remaining: 0, ..own.quota(limits.one, now) }, wait)),
        }
    }

    /// Buckets of new limits with the same numbers of remaining requests, at most the new bursts.
    pub fn rescaled(mut self, old: AnonymousLimits, new: AnonymousLimits, now: Mono) -> Self {
        self.all = self.all.rescaled(old.all, new.all, now);
        for bucket in self.of_address.iter_mut() {
            *bucket = bucket.rescaled(old.one, new.one, now);
        }
        self
    }
}

/// By multiplication with a secret odd number; the upper bits depend on all of the address.
fn bucket(secret: u64, from: IpAddr) -> usize {
    let bits = match rate_limit_prefix(from) {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
    };
    let mixed = (bits ^ secret.rotate_left(32)).wrapping_mul(secret | 1);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_ipv6_client_counts_by_its_network_and_a_mapped_address_as_ipv4() {
        let count = |text: &str| rate_limit_prefix(ip(text)).to_string();
        assert_eq!(count("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(count("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(count("127.0.0.2"), "127.0.0.2");
    }

    /// One address with 20 wrong keys a second got 39 of 40 upgrades of other clients answered 429.
    ///
    /// Mutant seen red: no bucket for an address.
    #[test]
    fn one_address_cannot_exhaust_the_limit_of_the_others() {
        let limits = AnonymousLimits::new(5, 20);
        let mut buckets = AnonymousBuckets::new(7);
        let mut passed = 0;
        for millisecond in 0..10_000 {
            let now = Mono(1_000_000 * millisecond);
            passed += u32::from(buckets.take(limits, ip("192.0.2.1"), now).is_ok());
            if millisecond % 250 == 0 {
                assert!(buckets.take(limits, ip("192.0.2.2"), now).is_ok(), "at {millisecond} ms");
            }
        }
        assert!((69..=71).contains(&passed), "a burst and ten seconds at the rate: {passed}");
    }

    #[test]
    fn all_addresses_together_are_limited_and_a_refusal_is_not_charged_to_the_address() {
        let limits = AnonymousLimits::new(1, 2);
        let mut buckets = AnonymousBuckets::new(7);
        let many = (0..1000_u32).map(|k| IpAddr::from(k.to_be_bytes()));
        assert_eq!(many.filter(|&from| buckets.take(limits, from, Mono(0)).is_ok()).count(), 8);
        let second = Mono(1_000_000_000);
        assert!(buckets.take(limits, ip("9.9.9.9"), second).is_ok());
        assert!(buckets.take(limits, ip("9.9.9.9"), second).is_ok(), "the refused ones were not charged");
    }
}

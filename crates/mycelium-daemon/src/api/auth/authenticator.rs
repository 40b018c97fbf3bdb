//! PURE. Authentication by API key, scopes and rate limits.
//!
//! Only the SHA-256 of each key is held. A presented key is hashed and compared with every digest in constant time, so
//! the time taken shows neither which key matched nor the first differing byte.

use core::net::IpAddr;
use std::time::Duration;

use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::api::auth::anonymous::{AnonymousBuckets, AnonymousLimits};
use crate::api::auth::rate_limit::{RateBucket, RateLimit, RateQuota};
use crate::api::settings::{ApiKey, Rate, Scope};
use crate::clock::Mono;
use crate::formats::hex::sha256;

/// Keys that may be valid at once: every request is compared with all of them.
const MAX_KEYS: usize = 64;

/// The credential a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'b> {
    None,
    /// Text of `X-API-Key` or of `Authorization: Bearer`.
    Key(&'b [u8]),
    /// More than one, or of an unsupported scheme: it authenticates nobody.
    Unusable,
}

/// What a route requires of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Public,
    /// The key is sent in the first message of the connection: until then the client is anonymous.
    DeferredAuth,
    Needs(Scope),
}

/// Whether a request may proceed, and the rate limit it was charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthDecision {
    /// A public route: no key needed, no rate limit.
    Public,
    /// May proceed without a key, for now.
    Anonymous(RateQuota),
    /// May proceed; the index is that of the key.
    Granted(usize, RateQuota),
    /// 401: no key, or an unknown one.
    Unauthenticated(RateQuota),
    /// 403: the key's scope is too small.
    Forbidden(usize, RateQuota),
    /// 429, the index of the key if there is a valid one, and the time until the next request is allowed.
    RateLimited(Option<usize>, RateQuota, Duration),
}

/// The valid keys and their rate limits. Requests without a valid key have shares by address; those that may show
/// their key later are counted apart from those with a wrong one.
#[derive(Debug)]
pub struct Authenticator {
    keys: Vec<(ApiKey, RateBucket)>,
    anonymous: AnonymousBuckets,
    deferred: AnonymousBuckets,
    key_limit: RateLimit,
    anonymous_limits: AnonymousLimits,
}

impl Authenticator {
    /// Keys beyond `MAX_KEYS` are ignored. `secret` decides which addresses share a bucket.
    pub fn new(keys: Vec<ApiKey>, rate: Rate, secret: u64) -> Self {
        Self {
            keys: keys.into_iter().take(MAX_KEYS).map(|key| (key, RateBucket::default())).collect(),
            anonymous: AnonymousBuckets::new(secret),
            deferred: AnonymousBuckets::new(secret),
            key_limit: RateLimit::new(rate.per_second, rate.burst),
            anonymous_limits: AnonymousLimits::new(
                rate.unauthenticated_per_second,
                rate.unauthenticated_burst,
            ),
        }
    }

    /// Replaces keys and rates; a key that remains keeps its remaining requests, up to the new burst.
    pub fn reload(&mut self, keys: Vec<ApiKey>, rate: Rate, now: Mono) {
        let mut next = Self::new(keys, rate, 0);
        let (old, new) = (self.anonymous_limits, next.anonymous_limits);
        next.anonymous = self.anonymous.clone().rescaled(old, new, now);
        next.deferred = self.deferred.clone().rescaled(old, new, now);
        for (key, bucket) in &mut next.keys {
            if let Some((_, old)) = self.keys.iter().find(|(old, _)| old.sha256 == key.sha256) {
                *bucket = old.rescaled(self.key_limit, next.key_limit, now);
            }
        }
        *self = next;
    }

    pub fn key(&self, index: usize) -> Option<&ApiKey> {
        self.keys.get(index).map(|(key, _)| key)
    }

    /// Index and scope of the presented key.
    pub fn identify(&self, credential: Credential<'_>) -> Option<(usize, Scope)> {
        let Credential::Key(text) = credential else { return None };
        let presented = sha256(text);
        let mut found = u32::MAX;
        for (k, (key, _)) in self.keys.iter().enumerate() {
            let same = key.sha256.as_slice().ct_eq(&presented);
            found = u32::conditional_select(&found, &(k as u32), same);
        }
        let (key, _) = self.keys.get(found as usize)?;
        Some((found as usize, key.scope))
    }

    /// Decides about one request and charges it to its rate limit.
    pub fn authorize(
        &mut self,
        access: Access,
        credential: Credential<'_>,
        from: IpAddr,
        now: Mono,
    ) -> AuthDecision {
        if access == Access::Public {
            return AuthDecision::Public;
        }
        let key = self.identify(credential);
        let taken = match key {
            Some((k, _)) => self.keys[k].1.take(self.key_limit, now),
            None if access == Access::DeferredAuth => self.deferred.take(self.anonymous_limits, from, now),
            None => self.anonymous.take(self.anonymous_limits, from, now),
        };
        match (taken, key) {
            (Err((quota, wait)), _) => AuthDecision::RateLimited(key.map(|(k, _)| k), quota, wait),
            (Ok(quota), None) if access == Access::DeferredAuth => AuthDecision::Anonymous(quota),
            (Ok(quota), None) => AuthDecision::Unauthenticated(quota),
            (Ok(quota), Some((k, has))) => match access {
                Access::Needs(scope) if has < scope => AuthDecision::Forbidden(k, quota),
                _ => AuthDecision::Granted(k, quota),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str, scope: Scope) -> ApiKey {
        ApiKey { name: text.to_owned(), scope, sha256: sha256(text.as_bytes()) }
    }

    const FROM: IpAddr = IpAddr::V4(core::net::Ipv4Addr::LOCALHOST);

    fn authenticator() -> Authenticator {
        let rate = Rate { per_second: 1, burst: 2, unauthenticated_per_second: 1, unauthenticated_burst: 1 };
        Authenticator::new(
            vec![key("r", Scope::Read), key("w", Scope::Write), key("a", Scope::Admin)],
            rate,
            1,
        )
    }

    #[test]
    fn each_scope_includes_the_ones_before_it_and_nothing_else() {
        let rows = [
            ("r", Scope::Read, true),
            ("r", Scope::Write, false),
            ("r", Scope::Admin, false),
            ("w", Scope::Read, true),
            ("w", Scope::Write, true),
            ("w", Scope::Admin, false),
            ("a", Scope::Read, true),
            ("a", Scope::Write, true),
            ("a", Scope::Admin, true),
        ];
        for (text, needs, allowed) in rows {
            let decision = authenticator().authorize(
                Access::Needs(needs),
                Credential::Key(text.as_bytes()),
                FROM,
                Mono(0),
            );
            assert_eq!(matches!(decision, AuthDecision::Granted(..)), allowed, "{text} {needs:?}");
            assert_eq!(matches!(decision, AuthDecision::Forbidden(..)), !allowed, "{text} {needs:?}");
        }
    }

    #[test]
    fn anonymous_requests_share_one_limit_and_cannot_exhaust_that_of_a_key() {
        let mut authenticator = authenticator();
        let read = Access::Needs(Scope::Read);
        assert!(matches!(
            authenticator.authorize(read, Credential::None, FROM, Mono(0)),
            AuthDecision::Unauthenticated(_)
        ));
        for claim in [Credential::None, Credential::Unusable, Credential::Key(b"x"), Credential::Key(b"")] {
            assert!(
                matches!(authenticator.authorize(read, claim, FROM, Mono(0)), AuthDecision::RateLimited(..)),
                "{claim:?}"
            );
        }
        assert!(matches!(
            authenticator.authorize(read, Credential::Key(b"r"), FROM, Mono(0)),
            AuthDecision::Granted(0, _)
        ));
        assert!(matches!(
            authenticator.authorize(Access::Public, Credential::None, FROM, Mono(0)),
            AuthDecision::Public
        ));
    }

    #[test]
    fn a_reload_revokes_removed_keys_at_once_and_keeps_the_limits_of_the_others() {
        let mut authenticator = authenticator();
        let read = Access::Needs(Scope::Read);
        for _ in 0..2 {
            authenticator.authorize(read, Credential::Key(b"w"), FROM, Mono(0));
        }
        let rate = Rate { per_second: 1, burst: 2, ..Rate::default() };
        authenticator.reload(vec![key("w", Scope::Write), key("new", Scope::Read)], rate, Mono(0));
        assert!(matches!(
            authenticator.authorize(read, Credential::Key(b"w"), FROM, Mono(0)),
            AuthDecision::RateLimited(..)
        ));
        assert!(matches!(
            authenticator.authorize(read, Credential::Key(b"new"), FROM, Mono(0)),
            AuthDecision::Granted(1, _)
        ));
        assert!(matches!(
            authenticator.authorize(read, Credential::Key(b"r"), FROM, Mono(0)),
            AuthDecision::Unauthenticated(_)
        ));
    }
}

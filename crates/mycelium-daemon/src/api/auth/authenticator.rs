//! PURE. Who may do what: keys, scopes and their rate limits.
//!
//! Of a key only the SHA-256 of its text is here. A presented key is hashed and compared with every known digest in
//! constant time, so neither the position nor the first differing byte shows in the time taken.

use ring::digest::{SHA256, digest};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::api::auth::rate_limit::{RateBucket, RateLimit, RateQuota};
use crate::api::http::head::Credential;
use crate::api::settings::{Key, Rate, Scope};
use crate::clock::Mono;
use std::time::Duration;

/// Keys that may be live at once: every request is compared with all of them.
pub const MAX_KEYS: usize = 64;

/// What a route asks of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Public,
    /// The key comes in the connection's first messages: until then this is a stranger like any other.
    DeferredAuth,
    Needs(Scope),
}

/// What became of a request at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthDecision {
    /// A public route: neither asked for a key nor limited.
    Public,
    /// Come in as nobody, for the time being.
    Anonymous(RateQuota),
    /// Come in. The index is that of the key.
    Granted(usize, RateQuota),
    /// 401: no key, or none that is known.
    Unauthenticated(RateQuota),
    /// 403: a key of too small a scope.
    Forbidden(usize, RateQuota),
    /// 429.
    RateLimited(RateQuota, Duration),
}

/// Keys and their buckets.
#[derive(Debug)]
pub struct Authenticator {
    keys: Vec<(Key, RateBucket)>,
    strangers: RateBucket,
    known_limit: RateLimit,
    stranger_limit: RateLimit,
}

impl Authenticator {
    /// Keys beyond [`MAX_KEYS`] are left out.
    pub fn new(keys: Vec<Key>, rate: Rate) -> Self {
        Self {
            keys: keys.into_iter().take(MAX_KEYS).map(|key| (key, RateBucket::default())).collect(),
            strangers: RateBucket::default(),
            known_limit: RateLimit::new(rate.per_second, rate.burst),
            stranger_limit: RateLimit::new(rate.unauthenticated_per_second, rate.unauthenticated_burst),
        }
    }

    /// Takes over new keys and rates; a key that stays keeps what it has left, up to the new burst.
    pub fn reload(&mut self, keys: Vec<Key>, rate: Rate, now: Mono) {
        let mut next = Self::new(keys, rate);
        next.strangers = self.strangers.under(self.stranger_limit, next.stranger_limit, now);
        for (key, bucket) in &mut next.keys {
            if let Some((_, old)) = self.keys.iter().find(|(old, _)| old.sha256 == key.sha256) {
                *bucket = old.under(self.known_limit, next.known_limit, now);
            }
        }
        *self = next;
    }

    pub fn key(&self, index: usize) -> Option<&Key> {
        self.keys.get(index).map(|(key, _)| key)
    }

    /// Index and scope of the key that was presented.
    pub fn identify(&self, credential: Credential<'_>) -> Option<(usize, Scope)> {
        let Credential::Key(text) = credential else { return None };
        let presented = digest(&SHA256, text);
        let mut found = u32::MAX;
        for (k, (key, _)) in self.keys.iter().enumerate() {
            let same = key.sha256.as_slice().ct_eq(presented.as_ref());
            found = u32::conditional_select(&found, &(k as u32), same);
        }
        let (key, _) = self.keys.get(found as usize)?;
        Some((found as usize, key.scope))
    }

    /// Decides about one request and charges the bucket it belongs to.
    pub fn admit(&mut self, access: Access, credential: Credential<'_>, now: Mono) -> AuthDecision {
        if access == Access::Public {
            return AuthDecision::Public;
        }
        let known = self.identify(credential);
        let (bucket, limit) = match known {
            Some((k, _)) => (&mut self.keys[k].1, self.known_limit),
            None => (&mut self.strangers, self.stranger_limit),
        };
        match (bucket.take(limit, now), known) {
            (Err((quota, wait)), _) => AuthDecision::RateLimited(quota, wait),
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

    fn key(text: &str, scope: Scope) -> Key {
        Key {
            name: text.to_owned(),
            scope,
            sha256: digest(&SHA256, text.as_bytes()).as_ref().try_into().unwrap(),
        }
    }

    fn gate() -> Authenticator {
        let rate = Rate { per_second: 1, burst: 2, unauthenticated_per_second: 1, unauthenticated_burst: 1 };
        Authenticator::new(vec![key("r", Scope::Read), key("w", Scope::Write), key("a", Scope::Admin)], rate)
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
            let verdict = gate().admit(Access::Needs(needs), Credential::Key(text.as_bytes()), Mono(0));
            assert_eq!(matches!(verdict, AuthDecision::Granted(..)), allowed, "{text} {needs:?}");
            assert_eq!(matches!(verdict, AuthDecision::Forbidden(..)), !allowed, "{text} {needs:?}");
        }
    }

    #[test]
    fn strangers_share_one_bucket_and_cannot_drain_that_of_a_key() {
        let mut gate = gate();
        let read = Access::Needs(Scope::Read);
        assert!(matches!(gate.admit(read, Credential::None, Mono(0)), AuthDecision::Unauthenticated(_)));
        for claim in [Credential::None, Credential::Unusable, Credential::Key(b"x"), Credential::Key(b"")] {
            assert!(matches!(gate.admit(read, claim, Mono(0)), AuthDecision::RateLimited(..)), "{claim:?}");
        }
        assert!(matches!(gate.admit(read, Credential::Key(b"r"), Mono(0)), AuthDecision::Granted(0, _)));
        assert!(matches!(gate.admit(Access::Public, Credential::None, Mono(0)), AuthDecision::Public));
    }

    #[test]
    fn a_reload_ends_old_keys_at_once_and_keeps_the_buckets_of_those_that_stay() {
        let mut gate = gate();
        let read = Access::Needs(Scope::Read);
        for _ in 0..2 {
            gate.admit(read, Credential::Key(b"w"), Mono(0));
        }
        let rate = Rate { per_second: 1, burst: 2, ..Rate::default() };
        gate.reload(vec![key("w", Scope::Write), key("new", Scope::Read)], rate, Mono(0));
        assert!(matches!(gate.admit(read, Credential::Key(b"w"), Mono(0)), AuthDecision::RateLimited(..)));
        assert!(matches!(gate.admit(read, Credential::Key(b"new"), Mono(0)), AuthDecision::Granted(1, _)));
        assert!(matches!(gate.admit(read, Credential::Key(b"r"), Mono(0)), AuthDecision::Unauthenticated(_)));
    }
}

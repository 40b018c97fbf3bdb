//! PURE. Signatures of Standard Webhooks 1.0.0: HMAC-SHA256 over `id.timestamp.body`.
//!
//! The signature covers the bytes sent, with `gzip` the compressed ones: a receiver verifies before it decompresses.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::formats::hex::{push_hex, sha256};

use mycelium_core::range::OutOfRange;

/// Prefix of a secret in its text form.
const PREFIX: &str = "whsec_";

/// A signing secret: the bytes behind `whsec_`. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Bytes of a secret, from the specification.
    const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

    /// `whsec_` and the base64 of 24 to 64 bytes; surrounding white space is ignored.
    pub fn parse(key: &str, text: &str) -> Result<Self, OutOfRange> {
        // The value itself is never repeated: errors are logged.
        let rejected = |what: &str| OutOfRange {
            key: key.to_owned(),
            value: what.to_owned(),
            accepted: "`whsec_` followed by the base64 of 24 to 64 bytes".to_owned(),
        };
        let encoded =
            text.trim().strip_prefix(PREFIX).ok_or_else(|| rejected("without the prefix `whsec_`"))?;
        let bytes = STANDARD.decode(encoded).map_err(|_| rejected("not base64 after `whsec_`"))?;
        if !Self::LENGTHS.contains(&bytes.len()) {
            return Err(rejected(&format!("a secret of {} bytes", bytes.len())));
        }
        Ok(Self(bytes))
    }
}

/// The signing keys of a webhook: the current one first, then the previous one.
#[derive(Clone)]
pub struct Signer {
    keys: heapless::Vec<hmac::Key, 2>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} keys)", self.keys.len())
    }
}

impl Signer {
    /// `None` without any secret: requests are then unsigned.
    pub fn new(current: Option<&Secret>, previous: Option<&Secret>) -> Option<Self> {
        let secrets = [current, previous].into_iter().flatten();
        let keys: heapless::Vec<_, 2> = secrets.map(|s| hmac::Key::new(hmac::HMAC_SHA256, &s.0)).collect();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// Value of `webhook-signature`: one `v1,` signature per secret, separated by spaces.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let stamp = timestamp.to_string();
        let mut out = String::with_capacity(2 * 48);
        for key in &self.keys {
            let mut context = hmac::Context::with_key(key);
            for part in [id.as_bytes(), b".", stamp.as_bytes(), b".", body] {
                context.update(part);
            }
            out.push_str(if out.is_empty() { "v1," } else { " v1," });
            STANDARD.encode_string(context.sign(), &mut out);
        }
        out
    }
}

/// `webhook-id` of a body: the same bytes have the same id; a batch that was split has another one.
pub fn message_id(body: &[u8]) -> String {
    let mut id = String::with_capacity(36);
    id.push_str("msg_");
    push_hex(&mut id, &sha256(body)[..16]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    /// The vector that the specification's own libraries are tested with.
    #[test]
    fn the_published_vector_is_reproduced() {
        let secret = Secret::parse("secret", SECRET).unwrap();
        let signer = Signer::new(Some(&secret), None).unwrap();
        assert_eq!(
            signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, BODY),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn both_secrets_sign_during_a_rotation() {
        let current = Secret::parse("secret", SECRET).unwrap();
        let previous = Secret(vec![7; 32]);
        let alone = |s: &Secret| Signer::new(Some(s), None).unwrap().sign("id", 1, BODY);
        let both = Signer::new(Some(&current), Some(&previous)).unwrap().sign("id", 1, BODY);
        assert_eq!(both, format!("{} {}", alone(&current), alone(&previous)));
        assert!(Signer::new(None, None).is_none());
    }

    #[test]
    fn secrets_outside_the_specification_are_rejected_without_being_repeated() {
        use base64::Engine;
        let of = |n: usize| format!("whsec_{}", STANDARD.encode(vec![9; n]));
        let rows = [
            (SECRET.to_owned(), true, "24 bytes"),
            (format!(" {SECRET}\n"), true, "as read from a file"),
            (of(64), true, "longest"),
            (of(23), false, "too short"),
            (of(65), false, "too long"),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), false, "no prefix"),
            ("whsec_***".to_owned(), false, "not base64"),
            (String::new(), false, "empty"),
        ];
        for (text, good, why) in rows {
            let parsed = Secret::parse("webhooks.x.secret", &text);
            assert_eq!(parsed.is_ok(), good, "{why}");
            if let Err(rejected) = parsed {
                let message = rejected.to_string();
                assert!(text.len() < 8 || !message.contains(text.trim_start_matches(PREFIX)), "{message}");
            }
        }
        let secret = Secret::parse("secret", SECRET).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{:?}", Signer::new(Some(&secret), None)), "Some(Signer(1 keys))");
    }

    #[test]
    fn the_same_bytes_have_the_same_id_and_others_another() {
        assert_eq!(message_id(BODY), message_id(BODY));
        assert_ne!(message_id(BODY), message_id(&BODY[1..]));
        assert_eq!(message_id(BODY).len(), 36);
    }
}

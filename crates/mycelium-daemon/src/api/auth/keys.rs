//! New API keys: 256 random bits, as text with a prefix that secret scanners can recognise.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

use crate::formats::hex::sha256;

/// The system random number generator failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEntropy;

impl std::fmt::Display for NoEntropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cannot create a key: the system has no random numbers")
    }
}

impl std::error::Error for NoEntropy {}

/// A new key: its text, which is shown once and not stored, and the digest that is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct NewKey {
    /// `myc_` and base64url of 32 random bytes.
    pub text: String,
    pub sha256: [u8; 32],
}

impl NewKey {
    pub fn generate() -> Result<Self, NoEntropy> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| NoEntropy)?;
        Ok(Self::from_bytes(&bytes))
    }

    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let text = format!("myc_{}", URL_SAFE_NO_PAD.encode(bytes));
        let sha256 = sha256(text.as_bytes());
        Self { text, sha256 }
    }
}

/// Whether a text has the form of a key of [`NewKey`]: one that somebody has chosen could be guessed.
pub fn is_key(text: &str) -> bool {
    let random = text.strip_prefix("myc_").map(|random| URL_SAFE_NO_PAD.decode(random));
    random.is_some_and(|random| random.is_ok_and(|bytes| bytes.len() == 32))
}

/// The text is a secret.
impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_generated_text_counts_as_a_key() {
        let key = NewKey::from_bytes(&[7; 32]).text;
        assert!(is_key(&key) && is_key(&NewKey::generate().unwrap().text));
        let (cut, other, long) = (&key[..key.len() - 1], key.replace("myc_", "key_"), format!("{key}A"));
        for text in [cut, &other, &long, "", "myc_", "correct horse battery staple", "myc_0000000000000000"] {
            assert!(!is_key(text), "{text}");
        }
    }

    #[test]
    fn a_key_has_its_prefix_its_length_and_the_digest_of_its_whole_text() {
        let key = NewKey::from_bytes(&[0xff; 32]);
        assert_eq!(key.text, format!("myc_{}8", "_".repeat(42)));
        assert_eq!(key.sha256, sha256(key.text.as_bytes()));
        assert_ne!(NewKey::generate().unwrap(), NewKey::generate().unwrap());
        assert!(!format!("{key:?}").contains("myc_"));
    }
}

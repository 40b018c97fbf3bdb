//! `key new`: a key, its digest, and where to put it.

use std::io::Write;

use base64::Engine;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::command::KeyNew;
use super::failure::{Code, Failure};

/// `myc_` and 256 random bits in base64url: 47 characters.
pub fn generate() -> Result<String, ring::error::Unspecified> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(format!("myc_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)))
}

/// SHA-256 of the whole text in lower-case hexadecimal digits.
fn fingerprint(key: &str) -> String {
    digest(&SHA256, key.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn new(wish: &KeyNew, out: &mut dyn Write) -> Result<(), Failure> {
    let unavailable = |_| Failure::new(Code::Io, "cannot make a key: the kernel gives no random bytes");
    let key = generate().map_err(unavailable)?;
    let (name, scope, sha256) = (&wish.name, wish.scope.name(), fingerprint(&key));
    writeln!(out, "key     {key}\nsha256  {sha256}\n")?;
    writeln!(out, "Keep the key now, it is stored nowhere. For the configuration:\n")?;
    Ok(writeln!(out, "[[api.keys]]\nname = \"{name}\"\nscope = \"{scope}\"\nsha256 = \"{sha256}\"")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_have_their_prefix_and_are_fingerprinted_as_a_whole() {
        let keys = [generate().unwrap(), generate().unwrap()];
        assert_ne!(keys[0], keys[1]);
        assert!(keys.iter().all(|key| key.starts_with("myc_") && key.len() == 47), "{keys:?}");
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(fingerprint("abc"), abc);
    }
}

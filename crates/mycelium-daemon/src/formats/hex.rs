//! Lower-case hexadecimal digits, and SHA-256.

use ring::digest::{SHA256, digest};

/// Appends two digits per byte.
pub fn push_hex(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
}

/// Two digits per byte.
pub fn to_hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    push_hex(&mut out, bytes);
    out
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// A digest of 64 hexadecimal digits in either case; zeros in place of anything else.
pub fn digest_from_hex(hex: &str) -> [u8; 32] {
    std::array::from_fn(|k| {
        let byte = hex.get(2 * k..2 * k + 2);
        byte.and_then(|byte| u8::from_str_radix(byte, 16).ok()).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_digest_of_abc_is_reproduced() {
        let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(to_hex(&sha256(b"abc")), want);
        assert_eq!(digest_from_hex(&want.to_uppercase()), sha256(b"abc"));
        assert_eq!(to_hex(&[0x00, 0x0f, 0xf0]), "000ff0");
    }
}

//! Request heads. Besides not panicking: what is read does not depend on what follows the head, nor on how the bytes
//! arrive; and a head that is taken stays within the limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mycelium_daemon::api::http::head::{is_complete, parse_head};

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(head)) = parse_head(bytes) else { return };
    assert!(head.len <= 8 * 1024 && head.len <= bytes.len());
    assert!(head.request_id.is_none_or(|id| (1..=64).contains(&id.len())));
    assert_eq!(is_complete(&bytes[..head.len]), Ok(true));
    let alone = parse_head(&bytes[..head.len]).unwrap().unwrap();
    assert_eq!(alone.len, head.len);
    assert_eq!(alone.content_length, head.content_length);
    assert_eq!(alone.credential, head.credential);
    for cut in [head.len / 2, head.len - 1] {
        // A shorter piece is unfinished: never refused, never read as something whole.
        assert!(matches!(parse_head(&bytes[..cut]), Ok(None)), "a good head was not waited for");
    }
    let mut followed = bytes[..head.len].to_vec();
    followed.extend_from_slice(b"GET /second HTTP/1.1\r\n\r\n");
    assert_eq!(parse_head(&followed).unwrap().unwrap().len, head.len);
});

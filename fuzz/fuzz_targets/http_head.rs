//! Request heads. Besides not panicking: what is parsed does not depend on what follows the head, nor on how the bytes
//! arrive; and an accepted head stays within the limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mycelium_daemon::api::http::head::RequestHead;
use mycelium_daemon::api::http::head_scanner::HeadScanner;

fn parse(bytes: &[u8]) -> Option<RequestHead<'_>> {
    let extent = HeadScanner::default().scan(bytes).ok()??;
    RequestHead::parse(bytes, extent).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let Some(head) = parse(bytes) else { return };
    assert!(head.len <= 8 * 1024 && head.len <= bytes.len());
    assert!(head.request_id.is_none_or(|id| (1..=64).contains(&id.len())));
    let alone = parse(&bytes[..head.len]).unwrap();
    assert_eq!(alone.len, head.len);
    assert_eq!(alone.content_length, head.content_length);
    assert_eq!(alone.credential, head.credential);
    let mut scanner = HeadScanner::default();
    for end in [head.len / 2, head.len - 1] {
        // A valid head that is incomplete is neither rejected nor taken for a complete one.
        assert!(matches!(scanner.scan(&bytes[..end]), Ok(None)), "a valid head was not waited for");
    }
    assert_eq!(
        scanner.scan(&bytes[..head.len]),
        HeadScanner::default().scan(bytes),
        "a resumed scan differs"
    );
    let mut followed = bytes[..head.len].to_vec();
    followed.extend_from_slice(b"GET /second HTTP/1.1\r\n\r\n");
    assert_eq!(parse(&followed).unwrap().len, head.len);
});

/// Text of a request id, 1 to 64 bytes of `[A-Za-z0-9._-]`.
pub type RequestId = heapless::String<64>;

/// A client's request id, if it is safe in a header, a log line and a JSON string.
pub fn valid_request_id(value: &[u8]) -> Option<&str> {
    let valid = (1..=64).contains(&value.len())
        && value.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b));
    if valid { std::str::from_utf8(value).ok() } else { None }
}

/// A request id of 16 hex digits.
pub fn request_id_from(mut value: u64) -> RequestId {
    let mut digits = [0; 16];
    for digit in &mut digits {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
    let text = std::str::from_utf8(&digits).expect("hex digits are ASCII");
    RequestId::try_from(text).expect("16 digits fit into 64")
}

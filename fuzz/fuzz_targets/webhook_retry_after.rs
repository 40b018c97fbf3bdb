//! `Retry-After` and `Date` of a receiver that may send anything.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mycelium_daemon::clock::Wall;
use mycelium_daemon::net::retry_after::{http_date, retry_after};

fuzz_target!(|input: (i64, &str, Option<&str>)| {
    let (wall, value, date) = input;
    let wait = retry_after(value, date, Wall(wall));
    if let Ok(seconds) = value.trim().parse::<u64>()
        && !value.trim().starts_with('+')
    {
        assert_eq!(wait, Some(Duration::from_secs(seconds)));
    }
    if let (Some(until), Some(now)) = (http_date(value), date.and_then(http_date)) {
        // Against the receiver's own clock ours does not matter.
        assert_eq!(wait, retry_after(value, date, Wall(0)));
        assert_eq!(wait == Some(Duration::ZERO), until <= now);
    }
});

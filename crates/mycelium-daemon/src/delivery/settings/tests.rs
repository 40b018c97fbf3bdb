use super::*;

fn raw() -> RawEndpoint {
    RawEndpoint { name: "lab".into(), url: "https://example.org/hook".into(), ..RawEndpoint::default() }
}

fn refusals(raw: &RawEndpoint) -> Vec<String> {
    Endpoint::checked("webhooks[0]", raw).err().into_iter().flatten().map(|e| e.to_string()).collect()
}

#[test]
fn urls_that_cannot_be_delivered_to_are_refused_with_a_remedy() {
    let rows = [
        ("https://example.org/hook", "", "plain"),
        ("http://127.0.0.1:8080", "", "address and port"),
        ("https://[::1]:8443/x?y=z", "", "IPv6 and query"),
        ("ftp://example.org/", "http://", "other scheme"),
        ("example.org/hook", "absolute url", "no scheme"),
        ("/hook", "begins with http", "no host"),
        ("https:///hook", "absolute url", "empty host"),
        ("https://user:pw@example.org/", "without a user name", "user info"),
        ("https://example.org/#top", "fragment", "fragment"),
        ("https://example.org:0/", "port from 1", "port 0"),
        ("https://example.org:99999/", "port from 1", "port too high"),
        ("https://exa mple.org/", "absolute url", "space"),
        ("", "absolute url", "empty"),
    ];
    for (url, want, why) in rows {
        let got = refusals(&RawEndpoint { url: url.into(), ..raw() });
        match want {
            "" => assert_eq!(got, Vec::<String>::new(), "{why}"),
            want => assert!(got.len() == 1 && got[0].contains(want), "{why}: {got:?}"),
        }
    }
}

#[test]
fn every_refusal_is_reported_at_once_under_its_key() {
    let bad = RawEndpoint {
        name: "a/b".into(),
        url: "gopher://x".into(),
        secret: Some("geheim".into()),
        headers: vec![
            ("Host".into(), "x".into()),
            ("X-Ok".into(), "a\nb".into()),
            ("b d".into(), "v".into()),
        ],
        batch_records: 0,
        timeout_ms: -1,
        retry_base_ms: 5000,
        retry_max_ms: 10,
        ..raw()
    };
    let got = refusals(&bad).join("\n");
    for key in [
        "name",
        "url",
        "secret",
        "headers.Host",
        "headers.X-Ok",
        "headers.b d",
        "batch_records",
        "timeout_ms",
    ] {
        assert!(got.contains(&format!("`webhooks[0].{key}`")), "{key} in {got}");
    }
    assert!(got.contains("`webhooks[0].retry_max_ms` is 10; it must be at least `retry_base_ms`"), "{got}");
    assert!(!got.contains("geheim"));
}

#[test]
fn an_endpoint_prints_neither_secrets_nor_header_values_nor_the_path() {
    let token = "tok-5f2e";
    let endpoint = Endpoint::checked(
        "webhooks[0]",
        &RawEndpoint {
            url: format!("https://example.org/{token}?k={token}"),
            secret: Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
            headers: vec![("Authorization".into(), format!("Bearer {token}"))],
            ..raw()
        },
    )
    .unwrap();
    let shown = format!("{endpoint:?} {endpoint:#?}");
    assert!(!shown.contains(token) && !shown.contains("MfKQ"), "{shown}");
    assert!(shown.contains("https://example.org") && shown.contains("Authorization"));
    for url in [format!("ftp://example.org/{token}"), format!("https://u:{token}@example.org/{token}")] {
        let refused = refusals(&RawEndpoint { url, ..raw() });
        assert!(!refused[0].contains(token) && refused[0].contains("example.org"), "{refused:?}");
    }
}

#[test]
fn breaker_ranges_are_checked_too() {
    assert_eq!(BreakerPolicy::checked("breaker", &RawBreaker::default()), Ok(BreakerPolicy::default()));
    let bad = RawBreaker { failures: 0, open_ms: 100, open_max_ms: 50, ..RawBreaker::default() };
    let got = BreakerPolicy::checked("breaker", &bad).unwrap_err();
    assert_eq!(got.len(), 2, "{got:?}");
    assert_eq!("closed".parse(), Ok(BreakerMode::Closed));
    assert!("half_open".parse::<BreakerMode>().is_err());
}

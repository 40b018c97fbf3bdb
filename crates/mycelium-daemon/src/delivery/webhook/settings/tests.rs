use super::*;

fn raw() -> RawWebhook {
    RawWebhook {
        delivery: RawDelivery { name: "lab".into(), ..RawDelivery::default() },
        url: "https://example.org/hook".into(),
        ..RawWebhook::default()
    }
}

fn violations(raw: &RawWebhook) -> Vec<String> {
    Webhook::checked("webhooks[0]", raw).err().into_iter().flatten().map(|e| e.to_string()).collect()
}

#[test]
fn every_violation_is_reported_at_once_under_its_key() {
    let bad = RawWebhook {
        url: "gopher://x".into(),
        secret: Some("geheim".into()),
        headers: vec![
            ("Host".into(), "x".into()),
            ("X-Ok".into(), "a\nb".into()),
            ("b d".into(), "v".into()),
        ],
        delivery: RawDelivery {
            name: "a/b".into(),
            batch_records: 0,
            retry_base_ms: 5000,
            retry_max_ms: 10,
            ..RawDelivery::default()
        },
        timeout_ms: -1,
        ..raw()
    };
    let got = violations(&bad).join("\n");
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
fn a_webhook_prints_neither_secrets_nor_header_values_nor_the_path() {
    let token = "tok-5f2e";
    let endpoint = Webhook::checked(
        "webhooks[0]",
        &RawWebhook {
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
}

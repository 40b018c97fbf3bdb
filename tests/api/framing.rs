//! Malformed and unusual requests.

use crate::support::api::{READ, Setup, start};

/// Each row: a malformed head, the expected status, and why.
#[test]
fn every_malformed_head_gets_one_response_and_a_closed_connection() {
    let server = start(Setup::default());
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(2048));
    let long_head = format!("GET /healthz HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(8192));
    let endless_target = format!("GET /{}", "x".repeat(9000));
    let many_fields = format!("GET /healthz HTTP/1.1\r\nHost: t\r\n{}\r\n", "A: b\r\n".repeat(80));
    let rows: Vec<(&[u8], u16, &str)> = vec![
        (
            b"POST /v1/nernst HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000000000\r\n\r\n",
            413,
            "a body that fits nowhere",
        ),
        (
            b"POST /v1/nernst HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            413,
            "a length past 64 bits",
        ),
        (b"POST /v1/nernst HTTP/1.1\r\nHost: t\r\nContent-Length: 65537\r\n\r\n", 413, "one byte too many"),
        (b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501, "chunked"),
        (b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: identity\r\n\r\n", 501, "any transfer coding"),
        (
            b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            501,
            "TE and CL",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            400,
            "CL twice",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            400,
            "CL twice, unlike",
        ),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5, 5\r\n\r\nhello", 400, "CL as a list"),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +5\r\n\r\nhello", 400, "signed CL"),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -5\r\n\r\nhello", 400, "negative CL"),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0x5\r\n\r\nhello", 400, "hex CL"),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: \r\n\r\n", 400, "empty CL"),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length : 5\r\n\r\nhello", 400, "blank before the colon"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "no Host"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "two Hosts"),
        (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "malformed Host"),
        (b"GET /healthz HTTP/1.1\r\nHost: a,b\r\n\r\n", 400, "Host as a list"),
        (b"GET /healthz HTTP/1.1\r\nHost: t\r\nExpect: 200-ok\r\n\r\n", 417, "unknown Expect"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/2 preface"),
        (b"GET /healthz HTTP/3.0\r\nHost: t\r\n\r\n", 505, "a version to come"),
        (b"GET /healthz HTTP/0.9\r\nHost: t\r\n\r\n", 505, "a version long gone"),
        (b"GET /healthz HTTP/1.1x\r\nHost: t\r\n\r\n", 400, "malformed version"),
        (b"GET /healthz\r\n\r\n", 400, "HTTP/0.9 request line"),
        (b"GET /healthz HTTP/1.1\nHost: t\n\n", 400, "bare LF"),
        (b"GET /healthz HTTP/1.1\r\nHost: t\nX: y\r\n\r\n", 400, "one bare LF"),
        (b"GET /healthz HTTP/1.1\r\nHost: t\rX: y\r\n\r\n", 400, "bare CR"),
        (b"GET /healthz HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n", 400, "folded line"),
        (b"GET /healthz HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n", 400, "NUL in a value"),
        (b"GET /healthz HTTP/1.1\r\nHost: t\r\nX\x01: a\r\n\r\n", 400, "control character in a name"),
        (b"GET /healthz HTTP/1.1\r\nHost: t\r\n: a\r\n\r\n", 400, "empty name"),
        (b"GET  /healthz HTTP/1.1\r\nHost: t\r\n\r\n", 400, "two blanks"),
        (b"GET /heal thz HTTP/1.1\r\nHost: t\r\n\r\n", 400, "blank in the target"),
        (b"GET /h\xc3\xa9 HTTP/1.1\r\nHost: t\r\n\r\n", 400, "bytes above ASCII in the target"),
        (b"GET /a#b HTTP/1.1\r\nHost: t\r\n\r\n", 400, "fragment"),
        (b"GET /%zz HTTP/1.1\r\nHost: t\r\n\r\n", 400, "broken escape"),
        (b"GET /%00 HTTP/1.1\r\nHost: t\r\n\r\n", 400, "escaped NUL"),
        (b"GET /v1%2fstatus HTTP/1.1\r\nHost: t\r\n\r\n", 400, "escaped slash"),
        (b"GET /%ff HTTP/1.1\r\nHost: t\r\n\r\n", 400, "no UTF-8 behind the escape"),
        (b"GET healthz HTTP/1.1\r\nHost: t\r\n\r\n", 400, "no slash"),
        (b"GET ftp://t/healthz HTTP/1.1\r\nHost: t\r\n\r\n", 400, "a URL of another scheme"),
        (b"CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n", 400, "CONNECT"),
        (b"G@T /healthz HTTP/1.1\r\nHost: t\r\n\r\n", 400, "a method that is no token"),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, "a TLS greeting"),
        (b"\r\n\r\n\r\n\r\n", 400, "only empty lines"),
        (b"\nGET /healthz HTTP/1.1\r\nHost: t\r\n\r\n", 400, "LF first"),
        (long_target.as_bytes(), 414, "long target"),
        (endless_target.as_bytes(), 414, "target without an end"),
        (long_head.as_bytes(), 431, "long head"),
        (many_fields.as_bytes(), 431, "many fields"),
    ];
    for (bytes, status, why) in rows {
        let mut client = server.connect();
        client.send(bytes);
        let answer = client.try_answer(true).unwrap_or_else(|e| panic!("{why}: {e}"));
        assert_eq!(answer.status, status, "{why}: {answer:?}");
        assert_eq!(answer.field("Content-Type"), Some("application/problem+json"), "{why}");
        assert!(answer.text().contains("\"request_id\":\""), "{why}: {}", answer.text());
        assert!(answer.closes() && client.is_closed(), "{why}");
    }
    assert_eq!(server.get("/healthz", READ).status, 200, "and the server lives");
}

/// Unusual but valid: answered like any other, and the connection stays open unless the client ends it.
#[test]
fn unusual_but_valid_heads_are_answered() {
    let server = start(Setup::default());
    let rows: Vec<(&[u8], u16, bool, &str)> = vec![
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200, true, "HTTP/1.0 needs no Host and does not stay"),
        (b"\r\nGET /healthz HTTP/1.1\r\nHost: t\r\n\r\n", 200, false, "one empty line before it"),
        (b"GET http://other/healthz HTTP/1.1\r\nHost: t\r\n\r\n", 200, false, "absolute form"),
        (b"GET HTTPS://other/healthz HTTP/1.1\r\nHost: t\r\n\r\n", 200, false, "absolute form, other case"),
        (b"GET http://other HTTP/1.1\r\nHost: t\r\n\r\n", 200, false, "absolute form without a path"),
        (b"GET /%68ealthz HTTP/1.1\r\nHost: t\r\n\r\n", 200, false, "needless escape"),
        (b"GET /healthz? HTTP/1.1\r\nHost: t\r\n\r\n", 200, false, "empty query"),
        (b"GET /healthz?a=1 HTTP/1.1\r\nHost: t\r\n\r\n", 400, false, "unknown query key"),
        (b"GET //healthz HTTP/1.1\r\nHost: t\r\n\r\n", 404, false, "doubled slash"),
        (b"GET /v1/../healthz HTTP/1.1\r\nHost: t\r\n\r\n", 404, false, "parent segment"),
        (b"GET /%2e/healthz HTTP/1.1\r\nHost: t\r\n\r\n", 404, false, "escaped dot segment"),
        (b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", 200, false, "empty Host"),
        (b"GET /healthz HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200, false, "Host of IPv6"),
        (
            b"GET /healthz HTTP/1.1\r\nHOST: t\r\nConnection: CLOSE\r\n\r\n",
            200,
            true,
            "names and tokens are case-insensitive",
        ),
        (
            b"GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, close\r\n\r\n",
            200,
            true,
            "close in a list",
        ),
        (b"GET /healthz HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", 200, false, "no body, explicitly"),
        (
            b"GET /healthz HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc",
            400,
            true,
            "a body on a route that takes none",
        ),
        (b"DELETE /healthz HTTP/1.1\r\nHost: t\r\n\r\n", 405, false, "a method no route has"),
        (b"BREW /healthz HTTP/1.1\r\nHost: t\r\n\r\n", 405, false, "an unknown method"),
        (b"OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n", 405, false, "asterisk form"),
        (b"GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n", 404, false, "no such resource"),
        (b"POST /v1/nernst HTTP/1.1\r\nHost: t\r\nX-API-Key: myc_write\r\n\r\n", 411, false, "no length"),
        (
            b"POST /v1/nernst HTTP/1.1\r\nHost: t\r\nX-API-Key: myc_write\r\nContent-Length: 2\r\n\r\n{}",
            415,
            true,
            "no type",
        ),
    ];
    for (bytes, status, closes, why) in rows {
        let mut client = server.connect();
        client.send(bytes);
        let answer = client.try_answer(true).unwrap_or_else(|e| panic!("{why}: {e}"));
        assert_eq!(answer.status, status, "{why}: {answer:?}");
        assert_eq!(answer.closes(), closes, "{why}: {answer:?}");
        if closes {
            assert!(client.is_closed(), "{why}");
        } else {
            assert_eq!(client.get("/healthz", READ).status, 200, "{why}: the next request is understood");
        }
    }
}

/// Mutant seen red: a new id for each error.
#[test]
fn the_error_for_a_rejected_head_has_the_request_id_of_its_client() {
    let server = start(Setup::default());
    let rows = [
        ("X-Request-Id: mine-1\r\n", Some("mine-1"), "usable"),
        ("x-request-id:mine-2\r\n", Some("mine-2"), "without case and blanks"),
        ("X-Request-Id: mine 1\r\n", None, "no id"),
        ("X-Request-Id: a\r\nX-Request-Id: b\r\n", None, "two"),
        ("X-Request-Idea: mine\r\n", None, "another field"),
    ];
    for (fields, want, why) in rows {
        let head = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n{fields}\r\n");
        let answer = server.send(head.as_bytes());
        let id = answer.field("X-Request-Id").unwrap();
        assert_eq!((answer.status, want.unwrap_or(id)), (400, id), "{why}");
        assert!(id != "a" && !id.contains("mine ") && id != "mine", "{why}: {id}");
        assert!(answer.text().contains(&format!("\"request_id\":\"{id}\"")), "{why}");
    }
}

//! Texts that are part of the program: the page and the description of the API.

use std::io::Read;

use base64::Engine;
use flate2::read::GzDecoder;
use ring::digest;

use crate::api::http::fields::{accepts_coding, etag_matches};
use crate::api::http::head::RequestHead;
use crate::api::http::response::{EntityTag, Response, ResponseBody};
use crate::api::state::tag;

/// The policy of the page: nothing from anywhere else, and inline only its one style sheet and its one script, each
/// by its digest (CSP Level 3, section 6.7). A script that found its way into a name or an error would not run.
pub fn page_policy(page: &str) -> String {
    let (style, script) = (digest_of(page, "style"), digest_of(page, "script"));
    format!(
        "default-src 'none'; script-src {script}; style-src {style}; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The digest of the text of the only element of that name without attributes; the page is part of the program.
fn digest_of(page: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let text = page.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    let (text, _) = text.expect("the page has this element");
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    format!("'sha256-{}'", base64::prelude::BASE64_STANDARD.encode(digest))
}

/// A text kept compressed, as most browsers want it; unpacked for a client that does not.
pub struct StaticText {
    gzip: &'static [u8],
    tag: EntityTag,
}

impl StaticText {
    pub fn new(gzip: &'static [u8]) -> Self {
        let tag = tag(format_args!("{:08x}-{}", crc32fast::hash(gzip), gzip.len()));
        Self { gzip, tag }
    }

    pub fn answer(
        &self,
        head: &RequestHead<'_>,
        content_type: &'static str,
        policy: Option<&str>,
    ) -> Response {
        if etag_matches(head.if_none_match, &self.tag) {
            return Response::not_modified(self.tag.clone()).cacheable();
        }
        let gzip = accepts_coding(head.accept_encoding, "gzip");
        let body = if gzip {
            ResponseBody::Static(self.gzip)
        } else {
            ResponseBody::Owned(unpacked(self.gzip).into_bytes())
        };
        let mut answer = Response::new(200, content_type, body).cacheable().with_etag(self.tag.clone());
        if gzip {
            answer = answer.with_header("Content-Encoding", "gzip");
        }
        if let Some(policy) = policy {
            answer = answer
                .with_header("Content-Security-Policy", policy)
                .with_header("Referrer-Policy", "no-referrer")
                .with_header("X-Frame-Options", "DENY");
        }
        answer.with_header("Vary", "Accept-Encoding").with_header("Cache-Control", "no-cache")
    }
}

/// The text in a part of the program that `build.rs` has compressed.
pub fn unpacked(gzip: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(gzip).read_to_string(&mut text).expect("the build has compressed a text");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("page.html");

    #[test]
    fn the_policy_allows_the_pages_own_style_and_script_and_no_other_inline_text() {
        // Digest of `a` by sha256sum.
        let policy = page_policy("<style>a</style><script>b</script>");
        assert!(
            policy.contains("style-src 'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_ne!(page_policy(PAGE), page_policy(&PAGE.replace("'use strict'", "'use strict' ")));
    }

    #[test]
    fn the_page_is_one_small_file_with_one_style_sheet_and_one_script_and_asks_nobody_else() {
        assert!(PAGE.len() <= 30_000, "{} bytes", PAGE.len());
        assert_eq!((PAGE.matches("<style").count(), PAGE.matches("<script").count()), (1, 1));
        for inline in [" style=", " onclick=", "innerHTML", "eval("] {
            assert!(!PAGE.contains(inline), "`{inline}` needs what the policy forbids");
        }
        let hosts = PAGE.match_indices("://").map(|(at, _)| &PAGE[at..(at + 12).min(PAGE.len())]);
        for host in hosts {
            assert!(["://www.w3.or", "://HOST:8600"].contains(&host), "{host}");
        }
    }
}

//! The status page and the API description.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use base64::Engine;

use super::http::fields::{accepts_coding, etag_matches};
use super::http::head::RequestHead;
use super::http::response::{EntityTag, JSON, Response, ResponseBody, entity_tag};
use crate::formats::hex::sha256;
use crate::formats::packed::{PackedText, packed};

const PAGE: PackedText = packed!("page.html");
const OPENAPI: PackedText = packed!("openapi.json");

/// A gzip-compressed text; clients that do not accept gzip get it decompressed.
pub struct StaticText {
    packed: PackedText,
    /// The decompressed text while responses with it exist: all of them share it, so that clients without a key cannot
    /// make the daemon hold more than one copy.
    unpacked: RefCell<Weak<[u8]>>,
    etag: EntityTag,
    content_type: &'static str,
    content_security_policy: Option<String>,
}

impl StaticText {
    pub fn page() -> Self {
        let policy = content_security_policy(&PAGE.unpack());
        Self { content_security_policy: Some(policy), ..Self::new(PAGE, "text/html; charset=utf-8") }
    }

    pub fn openapi() -> Self {
        Self::new(OPENAPI, JSON)
    }

    fn new(packed: PackedText, content_type: &'static str) -> Self {
        let gzip = packed.0;
        let etag = entity_tag(format_args!("{:08x}-{}", crc32fast::hash(gzip), gzip.len()));
        Self { packed, unpacked: RefCell::new(no_text()), etag, content_type, content_security_policy: None }
    }

    fn unpacked(&self) -> Rc<[u8]> {
        let mut unpacked = self.unpacked.borrow_mut();
        unpacked.upgrade().unwrap_or_else(|| {
            let text: Rc<[u8]> = self.packed.unpack().into_bytes().into();
            *unpacked = Rc::downgrade(&text);
            text
        })
    }

    pub fn response(&self, head: &RequestHead<'_>) -> Response {
        if etag_matches(head.if_none_match, &self.etag) {
            return Response::not_modified(self.etag.clone()).cacheable();
        }
        let gzip = accepts_coding(head.accept_encoding, "gzip");
        let body =
            if gzip { ResponseBody::Static(self.packed.0) } else { ResponseBody::Shared(self.unpacked()) };
        let mut response =
            Response::new(200, self.content_type, body).cacheable().with_etag(self.etag.clone());
        if gzip {
            response = response.with_header("Content-Encoding", "gzip");
        }
        if let Some(policy) = &self.content_security_policy {
            response = response
                .with_header("Content-Security-Policy", policy)
                .with_header("Referrer-Policy", "no-referrer")
                .with_header("X-Frame-Options", "DENY");
        }
        response.with_header("Vary", "Accept-Encoding").with_header("Cache-Control", "no-cache")
    }
}

/// The policy of the page: nothing from other hosts, and inline only its one style sheet and its one script, each by
/// its digest (CSP Level 3, section 6.7). A script injected through a name or an error text does not run.
fn content_security_policy(page: &str) -> String {
    let (style, script) = (csp_hash(page, "style"), csp_hash(page, "script"));
    format!(
        "default-src 'none'; script-src {script}; style-src {style}; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The digest of the text of the only element of that name, which has no attributes.
fn csp_hash(page: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let text = page.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    let (text, _) = text.expect("the page has this element");
    let digest = sha256(text.as_bytes());
    format!("'sha256-{}'", base64::prelude::BASE64_STANDARD.encode(digest))
}

/// A reference to a text that does not exist any more.
fn no_text() -> Weak<[u8]> {
    let none: Rc<[u8]> = Rc::new([]);
    Rc::downgrade(&none)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("page.html");

    /// Unread on every connection, the API description took 13 MiB without a key.
    ///
    /// Mutant seen red: each response unpacks a separate text.
    #[test]
    fn all_clients_that_do_not_accept_gzip_share_one_copy_which_is_freed_after_the_last() {
        let text = StaticText::openapi();
        let first = text.unpacked();
        let second = text.unpacked();
        assert!(Rc::ptr_eq(&first, &second) && first.starts_with(b"{"));
        drop((first, second));
        assert!(text.unpacked.borrow().upgrade().is_none());
        assert!(text.unpacked().starts_with(b"{"));
    }

    #[test]
    fn the_policy_allows_the_style_and_script_of_the_page_and_no_other_inline_text() {
        // Digest of `a`, as printed by sha256sum.
        let policy = content_security_policy("<style>a</style><script>b</script>");
        assert!(
            policy.contains("style-src 'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_ne!(
            content_security_policy(PAGE),
            content_security_policy(&PAGE.replace("'use strict'", "'use strict' "))
        );
    }

    #[test]
    fn the_page_is_one_small_file_with_one_style_sheet_and_one_script_and_loads_nothing_from_other_hosts() {
        assert!(PAGE.len() <= 36_000, "{} bytes", PAGE.len());
        assert_eq!((PAGE.matches("<style").count(), PAGE.matches("<script").count()), (1, 1));
        for inline in [" style=", " onclick=", "innerHTML", "eval("] {
            assert!(!PAGE.contains(inline), "`{inline}` is forbidden by the policy");
        }
        let hosts = PAGE.match_indices("://").map(|(at, _)| &PAGE[at..(at + 12).min(PAGE.len())]);
        for host in hosts {
            assert!(["://www.w3.or", "://HOST:8600"].contains(&host), "{host}");
        }
    }
}

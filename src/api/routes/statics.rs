//! Texts that are part of the program: the page and the description of the API.

use std::cell::OnceCell;
use std::io::Write;
use std::rc::Rc;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::api::answer::{Answer, Body, Tag};
use crate::api::front::tag;
use crate::api::http::{Head, accepts_coding, matches_tag};
use crate::api::problem::Problem;

/// The page may load nothing from anywhere else; its one script and one style sheet are inline.
pub const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A text, compressed once when somebody first wants it so.
pub struct StaticText {
    text: &'static str,
    tag: Tag,
    gzip: OnceCell<Rc<[u8]>>,
}

impl StaticText {
    pub fn new(text: &'static str) -> Self {
        let tag = tag(format_args!("{:08x}-{}", crc32fast::hash(text.as_bytes()), text.len()));
        Self { text, tag, gzip: OnceCell::new() }
    }

    pub fn answer(
        &self,
        head: &Head<'_>,
        content_type: &'static str,
        policy: Option<&str>,
    ) -> Result<Answer, Problem> {
        if matches_tag(head.if_none_match, &self.tag) {
            return Ok(Answer::not_modified(self.tag.clone()).public());
        }
        let gzip = accepts_coding(head.accept_encoding, "gzip");
        let body = match gzip {
            true => Body::Shared(Rc::clone(self.gzip.get_or_init(|| compressed(self.text)))),
            false => Body::Static(self.text.as_bytes()),
        };
        let mut answer = Answer::new(200, content_type, body).public().tagged(self.tag.clone());
        if gzip {
            answer = answer.with("Content-Encoding", "gzip");
        }
        if let Some(policy) = policy {
            answer = answer
                .with("Content-Security-Policy", policy)
                .with("Referrer-Policy", "no-referrer")
                .with("X-Frame-Options", "DENY");
        }
        Ok(answer.with("Vary", "Accept-Encoding").with("Cache-Control", "no-cache"))
    }
}

fn compressed(text: &str) -> Rc<[u8]> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let done = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    done.expect("writing to a vector cannot fail").into()
}

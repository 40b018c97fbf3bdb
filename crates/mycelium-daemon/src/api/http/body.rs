//! PURE. Whether a request may have the body it announces.

use super::head::{self, RequestHead};
use super::problem::Problem;
use crate::api::route_table::Route;

/// Bytes of request bodies that are read at the same time; small ones are not counted.
pub const MAX_TOTAL_BODY_BYTES: usize = 4 * head::MAX_BODY_BYTES;
/// A body up to this size does not count towards [`MAX_TOTAL_BODY_BYTES`].
pub const UNACCOUNTED_BODY_BYTES: usize = 1024;

/// The length of the body to read; 0 on a route that takes none.
pub fn body_length(head: &RequestHead<'_>, route: &Route) -> Result<usize, Problem> {
    match head.content_length {
        None | Some(0) if !route.body => Ok(0),
        Some(_) if !route.body => Err(Problem::new(400, "this route takes no body")),
        None => Err(Problem::new(411, "this route needs a body: send Content-Length")),
        Some(_) if !route.accepts_media(head.content_type) => {
            Err(Problem::new(415, format!("the body must be declared as {}", route.media())))
        }
        Some(length) => Ok(length),
    }
}

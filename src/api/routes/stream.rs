//! Streams of feature records.

use std::rc::Rc;

use crate::api::answer::{Answer, Body, RequestId};
use crate::api::front::{Call, Front, Outcome, Takeover};
use crate::api::problem::Problem;
use crate::api::wire::Wire;

pub fn stream(_front: &Rc<Front>, _call: &Call<'_>) -> Outcome {
    Outcome::Now(Err(Problem::new(501, "not built in")))
}

pub fn socket(_front: &Rc<Front>, _call: &Call<'_>) -> Outcome {
    Outcome::Now(Err(Problem::new(501, "not built in")))
}

pub fn legacy(_call: &Call<'_>, _live: bool) -> Outcome {
    Outcome::Now(Err(Problem::new(501, "not built in")))
}

pub fn announced(_takeover: &Takeover) -> Answer {
    Answer::new(200, "text/event-stream", Body::Static(b""))
}

pub async fn take_over(_front: Rc<Front>, _wire: Wire, _takeover: Takeover, _id: RequestId, _rest: Vec<u8>) {}

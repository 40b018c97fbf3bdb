//! Answers that are computed from the body: Nernst potentials, simulations, stimuli.

use std::rc::Rc;

use nanoserde::DeJson;

use crate::api::answer::Answer;
use crate::api::front::{Call, Front, Outcome};
use crate::api::ports::Stimulus;
use crate::api::problem::Problem;
use crate::json::{Field, Shape, read};

pub fn nernst(_body: &[u8]) -> Result<Answer, Problem> {
    Err(Problem::new(501, "not built in"))
}

pub fn simulate(_front: &Rc<Front>, _call: &Call<'_>) -> Outcome {
    Outcome::Now(Err(Problem::new(501, "not built in")))
}

#[derive(DeJson)]
struct Push {
    row: u64,
    col: u64,
    volts: f64,
}

#[derive(DeJson)]
struct Pushes {
    items: Vec<Push>,
}

/// Stimuli in one request; a body of 64 KiB has no place for many more.
const MAX_STIMULI: usize = 1_000;
const CELL: Shape = Shape::Integer { low: 0, high: 511 };
const PUSHES: Shape = Shape::Record(&[Field::required(
    "items",
    Shape::List {
        of: &Shape::Record(&[
            Field::required("row", CELL),
            Field::required("col", CELL),
            Field::required("volts", Shape::Number),
        ]),
        max: MAX_STIMULI,
    },
)]);

pub fn stimuli(front: &Front, body: &[u8]) -> Result<Answer, Problem> {
    let pushes: Pushes = read::read(body, &PUSHES)?;
    let grid = front.ports.facts.grid as u64;
    let mut stimuli = Vec::with_capacity(pushes.items.len());
    for (k, push) in pushes.items.iter().enumerate() {
        if push.row >= grid || push.col >= grid {
            let detail = format!("`items[{k}]` lies outside the field: row and col must be below {grid}");
            return Err(Problem::new(422, detail));
        }
        if push.volts.abs() > 1.0 {
            let detail = format!("`items[{k}].volts` is {:?}; it must be from -1 to 1", push.volts);
            return Err(Problem::new(422, detail));
        }
        stimuli.push(Stimulus { row: push.row as usize, col: push.col as usize, volts: push.volts });
    }
    (front.ports.stimulate)(&stimuli)
        .map_err(|_| Problem::busy("stimuli are queued up already: try again", 1))?;
    Ok(Answer::json(202, format!("{{\"accepted\":{}}}", stimuli.len())))
}

//! A frame of the ring, as numbers or as a picture.

use std::fmt::Write;
use std::rc::Rc;

use crate::api::answer::{Answer, Body, JSON};
use crate::api::front::{Call, Front, LARGE, Outcome, tag};
use crate::api::http::matches_tag;
use crate::api::ports::{Cells, FrameCopy};
use crate::api::problem::Problem;
use crate::field::Frame;
use crate::json::Object;
use crate::npy::{self, Dtype};
use crate::png::{self, Scale};

pub fn field(front: &Rc<Front>, call: &Call<'_>) -> Outcome {
    answer(front, call).into()
}

fn answer(front: &Rc<Front>, call: &Call<'_>) -> Result<Answer, Problem> {
    let format = call.query.get("format").unwrap_or("json");
    if !matches!(format, "json" | "npy" | "png") {
        return Err(Problem::new(400, "query parameter `format` must be json, npy or png"));
    }
    let step = call.query.integer("step", 0, u64::MAX)?;
    let cells = front.ports.facts.grid.pow(2);
    let _large = if cells * 8 > LARGE { Some(front.large_answer()?) } else { None };
    let frame = (front.ports.frame)(step).map_err(|gone| {
        Problem::new(
            404,
            match gone.held {
                Some((low, high)) => format!("the ring holds frames of steps {low} to {high}, not this one"),
                None => "the ring holds no frame yet".to_owned(),
            },
        )
    })?;
    let tag = tag(format_args!("{}-{}-{format}", front.board.identity.boot, frame.step));
    if matches_tag(call.head.if_none_match, &tag) {
        return Ok(Answer::not_modified(tag));
    }
    let answer = match format {
        "json" => Answer::new(200, JSON, Body::Owned(json(&frame).into_bytes())),
        "npy" => Answer::new(200, "application/octet-stream", Body::Owned(numpy(&frame))),
        _ => Answer::new(200, "image/png", Body::Owned(picture(&frame)?)),
    };
    Ok(answer.tagged(tag).with("X-Step", &frame.step.to_string()))
}

fn borrowed(frame: &FrameCopy) -> Frame<'_> {
    match &frame.cells {
        Cells::F32(cells) => Frame::F32(cells),
        Cells::F64(cells) => Frame::F64(cells),
    }
}

fn numpy(frame: &FrameCopy) -> Vec<u8> {
    let side = frame.grid as u64;
    let dtype = match frame.cells {
        Cells::F32(_) => Dtype::F4,
        Cells::F64(_) => Dtype::F8,
    };
    let mut file = Vec::with_capacity(128 + frame.grid * frame.grid * dtype.bytes());
    file.extend_from_slice(&npy::header(dtype, &[side, side]));
    npy::write_cells(&mut file, borrowed(frame)).expect("writing to a vector cannot fail");
    file
}

fn picture(frame: &FrameCopy) -> Result<Vec<u8>, Problem> {
    png::encode(borrowed(frame), frame.grid, Scale::Auto)
        .map_err(|e| Problem::new(500, format!("cannot draw the frame: {e}")))
}

/// Rows of cells in volts, each the shortest decimal that reads back as the same number.
fn json(frame: &FrameCopy) -> String {
    let mut text = String::with_capacity(frame.grid * frame.grid * 13 + 128);
    let mut object = Object::new(&mut text);
    object.integer("step", frame.step).integer("grid", frame.grid as u64).string("unit", "V");
    let dtype = match &frame.cells {
        Cells::F32(_) => "float32",
        Cells::F64(_) => "float64",
    };
    object.string("dtype", dtype);
    let mut rows = String::with_capacity(frame.grid * frame.grid * 13 + 16);
    for row in 0..frame.grid {
        rows.push(if row == 0 { '[' } else { ',' });
        let range = row * frame.grid..(row + 1) * frame.grid;
        match &frame.cells {
            Cells::F32(cells) => push_row(&mut rows, &cells[range]),
            Cells::F64(cells) => push_row(&mut rows, &cells[range]),
        }
    }
    rows.push(']');
    object.raw("cells", &rows);
    drop(object);
    text
}

fn push_row<T: std::fmt::Debug>(out: &mut String, cells: &[T]) {
    for (k, cell) in cells.iter().enumerate() {
        out.push(if k == 0 { '[' } else { ',' });
        write!(out, "{cell:?}").expect("writing to a String cannot fail");
    }
    out.push(']');
}

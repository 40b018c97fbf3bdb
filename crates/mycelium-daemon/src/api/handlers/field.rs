//! A frame of the ring, as numbers or as a picture.

use std::rc::Rc;

use crate::api::http::fields::etag_matches;
use crate::api::http::problem::Problem;
use crate::api::http::response::{JSON, Response, ResponseBody};
use crate::api::ports::{Cells, FrameCopy};
use crate::api::state::{
    ApiRequest, AppState, HandlerResult, LARGE_RESPONSE_BYTES, MAX_LARGE_RESPONSES, tag,
};
use crate::formats::json::{JsonArray, JsonObject};
use crate::formats::npy::{self, Dtype};
use crate::formats::png::{self, ColourScale};
use mycelium_core::field::Frame;
use mycelium_core::sim::Precision;

/// Bytes of a cell as text with its comma, `-1.23456789e-10,` at most; of the values of a field 13 and 22.
const F32_TEXT: usize = 16;
const F64_TEXT: usize = 25;
/// Up to this a frame is an answer like others, which no budget counts.
const FRAME_UNACCOUNTED_BYTES: usize = 256 * 1024;

pub fn field(state: &Rc<AppState>, request: &ApiRequest<'_>) -> HandlerResult {
    answer(state, request).into()
}

fn answer(state: &Rc<AppState>, request: &ApiRequest<'_>) -> Result<Response, Problem> {
    let format = request.query.get("format").unwrap_or("json");
    if !matches!(format, "json" | "npy" | "png") {
        return Err(Problem::new(400, "query parameter `format` must be json, npy or png"));
    }
    let step = request.query.integer("step", 0, u64::MAX)?;
    let reservation =
        if is_large(state.ports.info.grid) { Some(state.reserve_large_response()?) } else { None };
    let frame = (state.ports.frame)(step).map_err(|gone| {
        Problem::new(
            404,
            match gone.held {
                Some((low, high)) => format!("the ring holds frames of steps {low} to {high}, not this one"),
                None => "the ring holds no frame yet".to_owned(),
            },
        )
    })?;
    let tag = tag(format_args!("{}-{}-{format}", state.snapshots.identity.boot, frame.step));
    if etag_matches(request.head.if_none_match, &tag) {
        return Ok(Response::not_modified(tag));
    }
    let answer = match format {
        "json" => Response::new(200, JSON, ResponseBody::Owned(json(&frame).into_bytes())),
        "npy" => Response::new(200, "application/octet-stream", ResponseBody::Owned(numpy(&frame))),
        _ => Response::new(200, "image/png", ResponseBody::Owned(picture(&frame)?)),
    };
    Ok(Response { reservation, ..answer }.with_etag(tag).with_header("X-Step", &frame.step.to_string()))
}

fn is_large(grid: usize) -> bool {
    grid * grid * 8 > LARGE_RESPONSE_BYTES
}

/// Bytes that answers with frames of that side take together, each a copy and the text made of it; 0 for modest ones.
pub fn frame_response_bytes(grid: usize, precision: Precision) -> usize {
    let (cell, text) = match precision {
        Precision::F32 => (4, F32_TEXT),
        Precision::F64 => (8, F64_TEXT),
    };
    let bytes = grid * grid * (cell + text);
    if bytes > FRAME_UNACCOUNTED_BYTES { MAX_LARGE_RESPONSES as usize * bytes } else { 0 }
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
    png::encode(borrowed(frame), frame.grid, ColourScale::Auto)
        .map_err(|e| Problem::new(500, format!("cannot draw the frame: {e}")))
}

/// Rows of cells in volts, each the shortest decimal that reads back as the same number.
fn json(frame: &FrameCopy) -> String {
    let (dtype, width) = match &frame.cells {
        Cells::F32(_) => ("float32", F32_TEXT),
        Cells::F64(_) => ("float64", F64_TEXT),
    };
    let mut text = String::with_capacity(frame.grid * frame.grid * width + 128);
    let mut object = JsonObject::new(&mut text);
    object.integer("step", frame.step).integer("grid", frame.grid as u64).string("unit", "V");
    object.string("dtype", dtype);
    let mut rows = object.array("cells");
    for row in 0..frame.grid {
        let range = row * frame.grid..(row + 1) * frame.grid;
        let mut row = rows.array();
        match &frame.cells {
            Cells::F32(cells) => push(&mut row, &cells[range]),
            Cells::F64(cells) => push(&mut row, &cells[range]),
        }
    }
    drop(rows);
    drop(object);
    text
}

fn push<T: std::fmt::Debug>(row: &mut JsonArray<'_>, cells: &[T]) {
    for cell in cells {
        row.finite(cell);
    }
}

//! A frame of the ring as JSON, NPY or PNG.

use crate::api::http::fields::etag_matches;
use crate::api::http::problem::Problem;
use crate::api::http::response::{JSON, Response, ResponseBody, entity_tag};
use crate::api::ports::{Cells, FrameCopy};
use crate::api::request::ApiRequest;
use crate::api::state::{AppState, LARGE_RESPONSE_BYTES, MAX_LARGE_RESPONSES};
use crate::formats::json::{JsonArray, JsonObject};
use crate::formats::npy::{self, Dtype};
use crate::formats::png;
use mycelium_core::field::Frame;
use mycelium_core::sim::Precision;

/// Most bytes of a cell as text with its comma, `-1.23456789e-10,`; values of a real field take 13 and 22.
const F32_TEXT_BYTES: usize = 16;
const F64_TEXT_BYTES: usize = 25;
/// Responses up to this size are not counted in the memory budget.
const FRAME_UNACCOUNTED_BYTES: usize = 256 * 1024;

pub fn field(state: &AppState, request: &ApiRequest<'_>) -> Result<Response, Problem> {
    let format = request.query.get("format").unwrap_or("json");
    if !matches!(format, "json" | "npy" | "png") {
        return Err(Problem::new(400, "query parameter `format` must be one of json, npy or png"));
    }
    let step = request.query.integer("step", 0, u64::MAX)?;
    let scale = request.query.integer("scale", 1, png::MAX_SCALE as u64)?.unwrap_or(1) as usize;
    let side = state.info().grid * scale;
    if side > png::MAX_SIDE {
        let max = png::MAX_SIDE;
        return Err(Problem::new(
            400,
            format!("query parameter `scale` gives {side} pixels; at most {max} are drawn"),
        ));
    }
    let is_large = state.info().grid.pow(2) * size_of::<f64>() > LARGE_RESPONSE_BYTES;
    let reservation = is_large.then(|| state.reserve_large_response(request.holder)).transpose()?;
    let frame = (state.ports().frame)(step).map_err(|gone| {
        Problem::new(
            404,
            match gone.available {
                Some((low, high)) => format!("only the frames of steps {low} to {high} are kept"),
                None => "there is no frame yet".to_owned(),
            },
        )
    })?;
    let etag = entity_tag(format_args!("{}-{}-{format}{scale}", state.snapshots().identity.boot, frame.step));
    if etag_matches(request.head.if_none_match, &etag) {
        return Ok(Response::not_modified(etag));
    }
    let response = match format {
        "json" => Response::new(200, JSON, ResponseBody::Owned(json(&frame).into_bytes())),
        "npy" => Response::new(200, "application/octet-stream", ResponseBody::Owned(numpy(&frame))),
        _ => Response::new(200, "image/png", ResponseBody::Owned(picture(&frame, scale)?)),
    };
    Ok(Response { reservation, ..response }.with_etag(etag).with_header("X-Step", &frame.step.to_string()))
}

/// Bytes that all responses with frames of that side take together, each a copy of the frame and its JSON; 0 for small
/// frames.
pub fn frame_response_bytes(grid: usize, precision: Precision) -> usize {
    let (cell, text) = match precision {
        Precision::F32 => (4, F32_TEXT_BYTES),
        Precision::F64 => (8, F64_TEXT_BYTES),
    };
    let bytes = grid * grid * (cell + text);
    if bytes > FRAME_UNACCOUNTED_BYTES { MAX_LARGE_RESPONSES * bytes } else { 0 }
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

fn picture(frame: &FrameCopy, scale: usize) -> Result<Vec<u8>, Problem> {
    png::encode(borrowed(frame), frame.grid, scale)
        .map_err(|e| Problem::new(500, format!("cannot draw the frame: {e}")))
}

/// Rows of cells in volts, each the shortest decimal that reads back as the same number.
fn json(frame: &FrameCopy) -> String {
    let (dtype, width) = match &frame.cells {
        Cells::F32(_) => ("float32", F32_TEXT_BYTES),
        Cells::F64(_) => ("float64", F64_TEXT_BYTES),
    };
    let mut text = String::with_capacity(frame.grid * frame.grid * width + 128);
    let mut object = JsonObject::new(&mut text);
    object.integer("step", frame.step).integer("grid", frame.grid as u64).string("unit", "V");
    object.string("dtype", dtype);
    let mut rows = object.array("cells");
    match &frame.cells {
        Cells::F32(cells) => write_rows(&mut rows, cells, frame.grid),
        Cells::F64(cells) => write_rows(&mut rows, cells, frame.grid),
    }
    drop(rows);
    drop(object);
    text
}

fn write_rows<T: std::fmt::Debug>(rows: &mut JsonArray<'_>, cells: &[T], grid: usize) {
    for cells in cells.chunks_exact(grid) {
        let mut row = rows.array();
        for cell in cells {
            row.finite(cell);
        }
    }
}

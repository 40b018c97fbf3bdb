//! JSON: a writer into one `String`, and a strict reader that checks a text against a schema.

mod escape;
mod members;
mod parse;
mod pointer;
mod scan;
mod schema;
mod write;

pub use members::{JsonMember, elements, members, text_of};
pub use parse::{check, parse};
pub use pointer::{JsonPointer, POINTER_RULE};
pub use scan::MAX_DEPTH;
pub use schema::{JsonError, JsonErrorKind, JsonSchema, SchemaField};
pub use write::{JsonArray, JsonObject, write_number, write_string};

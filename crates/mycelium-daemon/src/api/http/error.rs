/// Why a request head is rejected. The connection is then out of step and has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpError {
    pub status: u16,
    pub detail: &'static str,
}

/// `Err` with this status and detail.
pub(super) const fn reject<T>(status: u16, detail: &'static str) -> Result<T, HttpError> {
    Err(HttpError { status, detail })
}

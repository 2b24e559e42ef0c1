//! A panic stays the failure of one piece of work.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

/// The work panicked. What it said is nowhere: it could hold a piece of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// Runs a piece of work so that a panic in it is the failure of that piece alone.
///
/// # Errors
/// [`Panicked`].
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|_| Panicked)
}

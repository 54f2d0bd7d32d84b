//! Combines the tasks' gradients into one where they conflict.
//!
//! Every method here gives a linear combination of the tasks' gradients, and its coefficients depend only on their
//! inner products: the T x T matrix [`Gram`], taken over the parameters that several tasks share. Parameters that one
//! task alone reaches get that task's gradient with every method.

mod cagrad;
mod gram;
mod pcgrad;

pub use cagrad::cagrad;
pub use gram::Gram;
pub use pcgrad::{pcgrad, pcgrad_in_order};

//! The tests of this crate as one program: each program more would be compiled and linked with all crates again.

#![allow(clippy::unwrap_used)]

mod average;
mod by_hand;
mod distance;
mod event_operations;
mod events;
mod fields;
mod fixture;
mod folds;
mod interaction;
mod joint;
mod operations;
mod optim;
mod precision;
mod rates;
mod reference;
mod registry;
mod requests;
mod sparse;
mod table_storage;
mod tensors;
mod waves;

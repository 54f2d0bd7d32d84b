//! The tests of this crate as one program: each program more would be compiled and linked with all crates again.

mod bad_data;
mod bad_schema;
mod bad_text;
mod cache;
mod canonical;
mod common;
mod encoding;
mod exact;
mod formats;
mod groups;
mod periodic;
mod pieces;
mod sums;

//! `pleiad serve` over sockets: what it answers, what it refuses, and how it takes bad clients, new models and signals.

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod access;
mod answers;
mod arrow;
mod batched;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod connections;
mod explained;
mod grpc;
mod models;
mod routes;
mod shadows;
mod warm;
mod wrong;

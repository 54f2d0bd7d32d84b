//! A log of requests, from the server that writes it to the training, the replay and the search for weights that read it.

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

#[path = "../serve/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod table;
mod tune;
mod written;

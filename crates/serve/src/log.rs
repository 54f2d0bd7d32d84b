//! [`Log`]: what a server has to say beside its answers.

use std::net::SocketAddr;

/// What a server has to say beside its answers.
pub trait Log: Send + Sync {
    /// Clients can connect to this address, by `http`, `https`, `grpc` or `grpcs`.
    fn listening(&self, scheme: &str, address: SocketAddr);
    /// What happens.
    fn note(&self, text: &str);
    /// What whoever runs it must know.
    fn warn(&self, text: &str);
}

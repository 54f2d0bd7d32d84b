//! Messages of gRPC, compiled from `proto/`.

/// The Open Inference Protocol.
#[allow(missing_docs, unreachable_pub, dead_code, clippy::all)]
pub(crate) mod inference {
    include!(concat!(env!("OUT_DIR"), "/inference.rs"));
}

/// Whether a server is well.
#[allow(missing_docs, unreachable_pub, dead_code, clippy::all)]
pub(crate) mod health {
    include!(concat!(env!("OUT_DIR"), "/grpc.health.v1.rs"));
}

//! Compiles the schema of the inference protocol over gRPC; in Rust alone, so that no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let schemas = ["proto/inference.proto", "proto/health.proto"];
    for schema in schemas {
        println!("cargo::rerun-if-changed={schema}");
    }
    let files = protox::compile(schemas, ["proto"])?;
    let mut config = prost_build::Config::new();
    // Bytes stay where they are in the request; `service` would want a crate of its own.
    config.disable_comments(["."]).bytes([".inference.ModelInferRequest", ".inference.InferTensorContents"]);
    config.compile_fds(files)?;
    Ok(())
}

//! Compiles the vendored schema of ONNX; in Rust alone, so that no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let schema = "proto/onnx-ml.proto";
    println!("cargo::rerun-if-changed={schema}");
    let files = protox::compile([schema], ["proto"])?;
    // Its comments are written for readers of the schema, and would be read as documentation with broken links.
    prost_build::Config::new().disable_comments(["."]).compile_fds(files)?;
    Ok(())
}

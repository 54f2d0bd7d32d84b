//! Any bytes as `model.json`, in a folder whose other files are sound; and any JSON as the graph and the encoder in it, which
//! the file's hash would keep a fuzzer from.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pleiad_data::Encoder;
use pleiad_model::Graph;
use pleiad_rank::Model;

fn model() -> &'static PathBuf {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    MODEL.get_or_init(|| {
        let folder = pleiad_fuzz::scratch();
        pleiad_fuzz::train_into(folder, "run", &[], false).expect("the small log can be trained on");
        folder.join("run/model")
    })
}

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(model().join("model.json"), bytes).expect("the scratch folder can be written to");
    drop(Model::open(model()));
    let Ok(document) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    if let Some(Ok(graph)) = document.get("graph").map(|graph| serde_json::from_value::<Graph>(graph.clone())) {
        drop(graph.validate());
    }
    if let Some(encoder) = document.get("encoder") {
        drop(serde_json::from_value::<Encoder>(encoder.clone()));
    }
});

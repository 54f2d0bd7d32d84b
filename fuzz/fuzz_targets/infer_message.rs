//! Any bytes as a `ModelInferRequest` of gRPC.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pleiad_rank::Model;
use pleiad_serve::{Served, Stages};

/// Most rows of a body.
const MOST: usize = 64;

fn served() -> &'static Served {
    static SERVED: OnceLock<Served> = OnceLock::new();
    SERVED.get_or_init(|| {
        let folder = pleiad_fuzz::scratch();
        pleiad_fuzz::train_into(folder, "run", &["rank.score.click=1"], false).expect("the small log");
        let model = Model::open(&folder.join("run/model")).expect("the model is sound");
        Served::new("fuzz".to_owned(), "1".to_owned(), model)
    })
}

fuzz_target!(|bytes: &[u8]| {
    if let Err(refusal) = served().infer_message(bytes.to_vec().into(), MOST, &mut Stages::default()) {
        assert!([400, 413, 422].contains(&refusal.status), "{refusal:?}");
    }
});

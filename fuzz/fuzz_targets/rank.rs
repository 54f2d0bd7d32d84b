//! Any bytes as the body of a rank request: parsed, and ranked if they are one. Whatever they are, there is an answer in JSON or a
//! refusal that is no mistake of the server.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pleiad_rank::Model;
use pleiad_serve::{Served, Stages};

/// Most candidates of a body.
const MOST: usize = 64;

fn served() -> &'static Served {
    static SERVED: OnceLock<Served> = OnceLock::new();
    SERVED.get_or_init(|| {
        let folder = pleiad_fuzz::scratch();
        pleiad_fuzz::train_into(folder, "run", &["rank.score.click=1", "rank.score.spend=0.5"], false)
            .expect("the small log");
        let model = Model::open(&folder.join("run/model")).expect("the model is sound");
        Served::new("fuzz".to_owned(), "1".to_owned(), model)
    })
}

fuzz_target!(|bytes: &[u8]| {
    match served().rank(bytes, MOST, &mut Stages::default()) {
        Ok(answer) => drop(serde_json::from_slice::<serde_json::Value>(&answer).expect("an answer is JSON")),
        Err(refusal) => {
            assert!([400, 413, 422].contains(&refusal.status), "{refusal:?}");
            drop(serde_json::from_slice::<serde_json::Value>(&refusal.to_json()).expect("a refusal is JSON"));
        }
    }
});

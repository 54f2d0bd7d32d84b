//! Any bytes as an inference request of the Open Inference Protocol: the first two say how long its JSON is, the rest is the body.
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
    let Some((length, body)) = bytes.split_first_chunk::<2>() else { return };
    let length = Some(usize::from(u16::from_le_bytes(*length))).filter(|&length| length < usize::from(u16::MAX));
    match served().infer(body, length, MOST, &mut Stages::default()) {
        Ok(answer) => {
            let json = answer.json.unwrap_or(answer.body.len());
            drop(serde_json::from_slice::<serde_json::Value>(&answer.body[..json]).expect("an answer is JSON"));
        }
        Err(refusal) => assert!([400, 413, 422].contains(&refusal.status), "{refusal:?}"),
    }
});

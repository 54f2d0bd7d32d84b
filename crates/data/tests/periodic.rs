//! `periodic`: a number that is read a second time, for waves.
#![allow(clippy::unwrap_used, missing_docs)]

use crate::common::{self, Folder, json};
use pleiad_data::{Encoder, Input};

const CONFIG: &str = "[data]\ntrain = 'log.csv'\n\
    [[feature]]\ncolumns = ['x']\nkind = 'numeric'\ntransform = ['standardize']\nmissing = 'mean'\npieces = 2\n\
    periodic = { embedding = 3, frequencies = 5, sigma = 0.25 }\nexact = { embedding = 4, min_count = 1 }\n\
    [[feature]]\ncolumns = ['z']\nkind = 'numeric'\nperiodic = { embedding = 8 }\n\
    [[task]]\nname = 'y'\nkind = 'binary'\nlabel = { column = 'y' }\n";

#[test]
fn the_number_is_read_again_as_it_is_after_its_transforms() {
    let folder = Folder::new();
    let rows = (0..40).map(|i| if i == 7 { format!(",{i},1\n") } else { format!("{},{i},{}\n", i * i, i % 2) });
    folder.write("log.csv", format!("x,z,y\n{}", rows.collect::<String>()));
    let splits = folder.load(CONFIG).unwrap();
    let layout = splits.encoder.layout();
    let periodic = |name: &str, column, frequencies, sigma, dim| Input::Periodic {
        name: name.into(),
        column,
        frequencies,
        sigma,
        dim,
    };
    let number = |name: &str, column| Input::Numeric { name: name.into(), column };
    let expected = [
        number("x", 0),
        number("x.pieces", 1),
        number("x.pieces", 2),
        periodic("x.periodic", 3, 5, 0.25, 3),
        number("z", 4),
        periodic("z.periodic", 5, 16, 0.1, 8),
    ];
    let numeric: Vec<&Input> = layout.inputs.iter().filter(|input| input.numeric_column().is_some()).collect();
    assert_eq!(numeric, expected.iter().collect::<Vec<_>>());
    assert_eq!((layout.numeric_width(), layout.width()), (6, 4 + 3 + 8 + 4));
    let batch = splits.train.as_batch();
    assert!(batch.numeric.chunks_exact(6).all(|row| row[3] == row[0] && row[5] == row[4]));
    assert_eq!(batch.numeric[7 * 6], 0.0, "the mean");
    let again: Encoder = serde_json::from_str(&json(&splits.encoder)).unwrap();
    assert_eq!(again.layout(), layout);
}

/// A number that a transform takes out of range is reported with its own column, whatever comes
/// before it.
#[test]
fn a_number_out_of_range_is_of_its_own_column() {
    let folder = Folder::new();
    folder.write("log.csv", "x,z,y\n1,1,0\n2,2,1\n3,3,1\n");
    let splits = folder.load(CONFIG).unwrap();
    let rows = common::batch(vec![
        ("x", common::array(arrow::array::Float64Array::from(vec![1.0]))),
        ("z", common::array(arrow::array::Float64Array::from(vec![1e300]))),
    ]);
    let error = splits.encoder.encode_rows(&rows, false).unwrap_err().to_string();
    assert!(error.contains("\"z\"") || error.contains("column z"), "{error}");
}

#[test]
fn bounds_are_said() {
    let folder = Folder::new();
    folder.write("log.csv", "x,z,y\n1,1,0\n2,2,1\n");
    for (value, says) in [
        ("{ embedding = 0 }", "periodic.embedding: must be 1 to 1024, not 0"),
        ("{ embedding = 1025 }", "periodic.embedding: must be 1 to 1024, not 1025"),
        ("{ embedding = 8, frequencies = 0 }", "periodic.frequencies: must be 1 to 1024, not 0"),
        ("{ embedding = 8, sigma = 0 }", "periodic.sigma: must be a number above 0 and at most 1000, not 0"),
        ("{ embedding = 8, sigma = 1e-60 }", "periodic.sigma: must be a number above 0 and at most 1000, not 0.0"),
        ("{ embedding = 8, sigma = nan }", "periodic.sigma: must be a number above 0 and at most 1000, not NaN"),
        ("{ embedding = 8, sigma = 1001 }", "periodic.sigma: must be a number above 0 and at most 1000, not 1001"),
    ] {
        let (_, message) = folder.failure(&CONFIG.replace("{ embedding = 8 }", value));
        assert!(message.contains(says), "{value}: {message}");
    }
    let (_, message) = folder.failure(
        &CONFIG.replace("kind = 'numeric'\nperiodic", "kind = 'bucketized'\nbuckets = 2\nembedding = 2\nperiodic"),
    );
    assert!(message.contains("periodic: has no meaning here: numeric features take it"), "{message}");
}

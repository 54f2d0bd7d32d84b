//! [`estimate`]: about how many candidates a body has, before anybody reads it.

/// About how many candidates a body has, without parsing it: the objects of a list in the body, or the values of a list in an
/// object of it, whichever are more. A long body counts for more, since it costs memory and time whatever it holds.
pub(crate) fn estimate(body: &[u8]) -> usize {
    let (mut objects, mut values, mut most) = (0usize, 0usize, 0usize);
    // What is open around the place, of the first levels.
    let mut open = [0u8; 4];
    let (mut depth, mut at) = (0usize, 0usize);
    while let Some(&byte) = body.get(at) {
        at += 1;
        match byte {
            b'"' => loop {
                let rest = body.get(at..).unwrap_or_default();
                match memchr::memchr2(b'"', b'\\', rest) {
                    // What is escaped ends nothing.
                    Some(found) if rest[found] == b'\\' => at += found + 2,
                    Some(found) => break at += found + 1,
                    None => break at = body.len(),
                }
            },
            b'{' | b'[' => {
                if byte == b'{' && depth == 2 && open[1] == b'[' {
                    objects += 1;
                }
                if let Some(level) = open.get_mut(depth) {
                    *level = byte;
                }
                depth += 1;
                if depth == 3 {
                    values = 0;
                }
            }
            b'}' | b']' => {
                if depth == 3 && open[2] == b'[' {
                    most = most.max(values + 1);
                }
                depth = depth.saturating_sub(1);
            }
            b',' if depth == 3 && open[2] == b'[' => values += 1,
            _ => {}
        }
    }
    objects.max(most).max(body.len() / BYTES_PER_CANDIDATE).max(1)
}

/// A body of so many bytes counts as a candidate at least.
const BYTES_PER_CANDIDATE: usize = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn candidates_are_counted_without_parsing() {
        for (body, candidates) in [
            (r#"{"request": {"a": 1}, "rows": [{"x": 1}, {"x": [1, 2, 3]}, {"y": "a]}{\""}]}"#, 3),
            (r#"{"columns": {"a": [1, 2, 3, 4], "b": ["x,y", "z", "[", "]"]}}"#, 4),
            (r#"{"columns": {"a": [[1, 2], [3]]}}"#, 2),
            ("", 1),
            ("]]]]", 1),
            ("\"\\", 1),
        ] {
            assert_eq!(estimate(body.as_bytes()), candidates, "{body}");
        }
        assert_eq!(estimate(&vec![b' '; 1 << 20]), 256);
    }

    proptest! {
        #[test]
        fn any_bytes_are_counted(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(estimate(&body) >= 1);
        }
    }
}

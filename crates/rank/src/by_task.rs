//! [`ByTask`]: one value per task, in configuration order.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Values by task name, in configuration order; an object in JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct ByTask<T>(Vec<(String, T)>);

impl<T> ByTask<T> {
    /// The value of a task.
    #[must_use]
    pub fn get(&self, task: &str) -> Option<&T> {
        self.0.iter().find(|(name, _)| name == task).map(|(_, value)| value)
    }

    /// Tasks and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Number of tasks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for ByTask<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S: Into<String>, T> FromIterator<(S, T)> for ByTask<T> {
    fn from_iter<I: IntoIterator<Item = (S, T)>>(iter: I) -> Self {
        Self(iter.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl<T: Serialize> Serialize for ByTask<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByTask<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = ByTask<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table by task")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByTask<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(ByTask(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_order_through_json() {
        let values: ByTask<u32> = [("b", 1), ("a", 2)].into_iter().collect();
        let json = serde_json::to_string(&values).unwrap();
        assert_eq!(json, r#"{"b":1,"a":2}"#);
        assert_eq!(serde_json::from_str::<ByTask<u32>>(&json).unwrap(), values);
    }
}

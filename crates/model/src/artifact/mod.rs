//! The artifact.

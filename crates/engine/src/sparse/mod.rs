//! Embedding tables outside of the dense path: a step costs what its batch touches, whatever the size of the table.

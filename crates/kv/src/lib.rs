//! Driver: the index and the embedded directory on redb

//! The write-ahead log of a store: framing, group commit, recovery of opaque records

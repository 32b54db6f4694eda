//! Sessions over a store in memory.

//! Routing as a whole.

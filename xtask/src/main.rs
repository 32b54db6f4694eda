//! The chores of this repository: tidy, test, ci, soak
fn main() {}

//! A mail system that lets one domain live on many servers
fn main() {}

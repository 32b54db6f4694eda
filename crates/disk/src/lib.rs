//! Driver: files, durable writes, and a simulated disk

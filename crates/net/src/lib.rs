//! Driver: sockets, TLS and the loop that runs a machine

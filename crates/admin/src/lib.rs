//! The admin role: what the command line asks of a running node

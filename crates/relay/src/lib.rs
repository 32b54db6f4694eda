//! The relay role: SMTP in, cut-through to the stores

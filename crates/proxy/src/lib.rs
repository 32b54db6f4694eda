//! The proxy role: who logs in, and which store answers

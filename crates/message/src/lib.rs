//! Reads RFC 5322 and MIME, never rewrites

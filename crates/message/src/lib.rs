//! Reads RFC 5322 and MIME, never rewrites.
//!
//! The store hands in the octets of a whole message and gets back where things are in it: the parts, their headers and
//! bodies, the values that IMAP's ENVELOPE, BODYSTRUCTURE and `BODY[…]`, its SEARCH, POP3's TOP and Sieve ask for.
//!
//! It is deliberately not: a composer (nothing is encoded here), a validator (nothing is refused), a renderer of HTML, a
//! verifier of signatures, or the writer of IMAP's syntax, which is the store's with `imap-proto`.
//!
//! ```text
//!  octets ─▶ scan.rs ─▶ Message ── Part ─┬─▶ mime.rs, param.rs      Mime: type, disposition, … as given
//!            one pass   tree.rs          ├─▶ envelope.rs            ImapEnvelope, with address.rs
//!            over lines    │             ├─▶ header.rs              Field: raw, unfolded; split_header, top
//!                          ▼             └─▶ transfer.rs            Decoded: without base64, quoted-printable
//!                     section.rs  BODY[1.2.HEADER]<0.100>           charset.rs, encoded_word.rs: as UTF-8
//! ```
//!
//! Invariants:
//! 1. Every function is total. Any octets are a message: what has no header is a text, and a part that cannot be read
//!    is a leaf.
//! 2. The range of a part lies in that of the part around it, ranges of neighbours do not overlap, and header and body
//!    of a part are its whole range.
//! 3. A multipart has at least one part inside, a message exactly one, a leaf none, as BODYSTRUCTURE needs it. A
//!    multipart without parts is shown as `text/plain`; one that lies too deep, or an encoded `message/*`, as
//!    `application/octet-stream`: [`Part::mime`] says what holds, and [`Part::header`] what was written.
//! 4. The work is linear in the size of the message, times [`DEPTH_MAX`] where boundaries are compared; tests count it.
//! 5. Parsing copies no body, and keeps a few words per part. Values borrow from the message unless they were folded or
//!    quoted with backslashes. Whatever grows is bounded by a `*_MAX` or by the caller.
//! 6. Line ends are CRLF or LF. A CR alone is an ordinary octet.
//! 7. Values are octets and may hold any of them, NUL and 8-bit included, until they are asked for as text.
//!
//! Why our own parser: IMAP shows what the sender wrote, with its offsets and its own numbers of parts, while
//! `mail-parser` gives decoded values and a flat list. It stays as an oracle in the tests. Charsets are left to
//! `encoding_rs`.
//!
//! RFCs: 5322 §2.2, §3.2-§3.6, §4 (format) · 2045 §5, §6, 2046 §5 (MIME) · 2047 (encoded words) · 2231 (parameters) ·
//! 2183 (disposition) · 1864, 2557, 3282 (MD5, location, language) · 6532 (UTF-8) · 3501 and 9051 §6.4.5, §7.4.2/§7.5.2
//! (sections, envelope) · 3516 (binary) · 1939 §7 (TOP).

mod address;
mod charset;
mod date;
mod encoded_word;
mod envelope;
mod header;
mod lex;
mod mime;
mod param;
mod scan;
mod section;
mod transfer;
mod tree;
mod work;

pub use address::{ADDRESS_COUNT_MAX, AddressEntry, NamedAddress, WORD_COUNT_MAX, parse_address_list};
pub use date::parse_date;
pub use encoded_word::decode as decode_words;
pub use envelope::ImapEnvelope;
pub use header::{Field, Fields, split_header, top};
pub use mime::{ContentType, Disposition, LANGUAGE_COUNT_MAX, Mime};
pub use param::{PARAM_COUNT_MAX, Param, Params};
pub use scan::{DEPTH_MAX, PART_COUNT_MAX};
pub use section::{Section, partial};
pub use transfer::{Decoded, TransferEncoding};
pub use tree::{Content, Message, Part};

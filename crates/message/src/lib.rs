//! Reads RFC 5322 and MIME, never rewrites.

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

//! What IMAP calls the envelope of a message: fields of its header (RFC 3501 §7.4.2, RFC 9051 §7.5.2).

use crate::address::{AddressEntry, parse_address_list};
use crate::header::Fields;
use std::borrow::Cow;

/// The members in IMAP's order, undecoded. A missing field is `None`, an empty one an empty string.
///
/// Values may hold any octet: whoever writes them must cope with NUL, which IMAP has only in `literal8`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImapEnvelope<'a> {
    /// `Date`
    pub date: Option<Cow<'a, [u8]>>,
    /// `Subject`
    pub subject: Option<Cow<'a, [u8]>>,
    /// `From`
    pub from: Vec<AddressEntry<'a>>,
    /// `Sender`, or else as `from`
    pub sender: Vec<AddressEntry<'a>>,
    /// `Reply-To`, or else as `from`
    pub reply_to: Vec<AddressEntry<'a>>,
    /// `To`
    pub to: Vec<AddressEntry<'a>>,
    /// `Cc`
    pub cc: Vec<AddressEntry<'a>>,
    /// `Bcc`
    pub bcc: Vec<AddressEntry<'a>>,
    /// `In-Reply-To`
    pub in_reply_to: Option<Cow<'a, [u8]>>,
    /// `Message-ID`
    pub message_id: Option<Cow<'a, [u8]>>,
}

impl<'a> ImapEnvelope<'a> {
    /// Reads a header in one pass.
    ///
    /// A text field counts where it stands first. Repeated address fields are read as one list: hiding the second
    /// `From` would let a sender show one to a check and the other to the reader.
    pub fn read(header: &'a [u8]) -> Self {
        let mut envelope = Self::default();
        for field in Fields::of(header) {
            if let Some(text) = envelope.text_mut(field.name()) {
                text.get_or_insert_with(|| field.value());
            } else if let Some(list) = envelope.list_mut(field.name()) {
                parse_address_list(field.raw_value(), list);
            }
        }
        // RFC 3501 §7.4.2: absent or empty, both become what From is.
        for list in [&mut envelope.sender, &mut envelope.reply_to] {
            if list.is_empty() {
                list.clone_from(&envelope.from);
            }
        }
        envelope
    }

    fn text_mut(&mut self, name: &[u8]) -> Option<&mut Option<Cow<'a, [u8]>>> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("date") {
            Some(&mut self.date)
        } else if is("subject") {
            Some(&mut self.subject)
        } else if is("in-reply-to") {
            Some(&mut self.in_reply_to)
        } else if is("message-id") {
            Some(&mut self.message_id)
        } else {
            None
        }
    }

    fn list_mut(&mut self, name: &[u8]) -> Option<&mut Vec<AddressEntry<'a>>> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("from") {
            Some(&mut self.from)
        } else if is("sender") {
            Some(&mut self.sender)
        } else if is("reply-to") {
            Some(&mut self.reply_to)
        } else if is("to") {
            Some(&mut self.to)
        } else if is("cc") {
            Some(&mut self.cc)
        } else if is("bcc") {
            Some(&mut self.bcc)
        } else {
            None
        }
    }
}

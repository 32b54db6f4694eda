//! Accounts and messages of the simulation. A message is known by its number, which stands in it.

use bytes::Bytes;
use mail_types::{AccountId, Address, DeliveryId};

/// How many accounts there are.
pub(crate) const ACCOUNT_COUNT: u8 = 3;

/// The account of that number.
pub(crate) fn account(number: u8) -> AccountId {
    let mut id = [number; 16];
    if let Some(first) = id.first_mut() {
        *first = 0xa0;
    }
    AccountId::from_bytes(id)
}

/// Its address.
pub(crate) fn address(number: u8) -> Address {
    Address::parse(&format!("user{number}@bigisp.example")).expect("the pattern gives addresses")
}

/// The delivery id of a message.
pub(crate) fn delivery_id(mail: u32) -> DeliveryId {
    let mut id = [0x1d; 16];
    id.iter_mut().zip(mail.to_be_bytes()).for_each(|(place, octet)| *place = octet);
    DeliveryId::from_bytes(id)
}

/// The message of that number.
pub(crate) fn content(mail: u32, octets: usize) -> Bytes {
    let mut content = format!("Message-ID: <{mail}@sim>\r\nSubject: message {mail}\r\n\r\n").into_bytes();
    // A filler of its own length for each message, so that octets of two messages never look alike for long.
    let line = format!("{mail} {}\r\n", "x".repeat(usize::try_from(mail % 61).unwrap_or(0) + 20));
    let lines = octets / line.len() + 1;
    content.extend_from_slice(line.repeat(lines).get(..octets).unwrap_or_default().as_bytes());
    content.into()
}

/// What the store puts before a delivered message.
pub(crate) fn head(to: u8) -> String {
    format!("Return-Path: <>\r\nDelivered-To: {}\r\n", address(to))
}

/// Which message that is.
pub(crate) fn number_of(message: &[u8]) -> Option<u32> {
    let start = message.get(..message.len().min(400))?;
    let text = String::from_utf8_lossy(start);
    let (_, rest) = text.split_once("Message-ID: <")?;
    rest.split_once('@')?.0.parse().ok()
}

//! Messages that prove by themselves whether they are whole.

use crate::random::Random;

/// A message: its Message-ID decides its text, so that what comes back can be checked without a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Without angle brackets.
    pub id: String,
    /// With CRLF line ends.
    pub bytes: Vec<u8>,
}

impl Letter {
    /// The message of an id, with a body of about so many octets.
    pub fn new(id: &str, body_octets: usize) -> Self {
        let mut text = format!(
            "From: Sender <sender@far.example>\r\nTo: somebody@here.example\r\nSubject: {id}\r\n\
             Date: Mon, 02 Feb 2026 10:00:00 +0000\r\nMessage-ID: <{id}>\r\nX-Body-Octets: {body_octets}\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        )
        .into_bytes();
        let end = text.len() + body_octets;
        let mut random = Random::new(
            id.bytes().fold(0xcbf2_9ce4, |sum, octet| (sum ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)),
        );
        while text.len() < end {
            // A leading dot on every fourth line: it must be stuffed and unstuffed on its way.
            let dot = if random.below(4) == 0 { "." } else { "" };
            text.extend_from_slice(format!("{dot}{:016x} {:016x} ä\r\n", random.next(), random.next()).as_bytes());
        }
        Self { id: id.to_owned(), bytes: text }
    }

    /// What is wrong with a message that came back, if anything is: it must end with the message as it was sent, and
    /// have nothing but trace headers before that.
    pub fn fault_in(stored: &[u8]) -> Option<String> {
        let Some(id) = header(stored, "message-id") else { return Some("no Message-ID".to_owned()) };
        let id = id.trim_matches(['<', '>']).to_owned();
        let Some(octets) = header(stored, "x-body-octets").and_then(|octets| octets.parse().ok()) else {
            return Some(format!("{id} has lost X-Body-Octets"));
        };
        let sent = Letter::new(&id, octets);
        let Some(above) = stored.strip_suffix(sent.bytes.as_slice()) else {
            return Some(format!("{id} is not as it was sent: {} octets for {}", stored.len(), sent.bytes.len()));
        };
        trace_fault(above).map(|fault| format!("{id}: {fault}"))
    }
}

/// The Message-ID of a message, without angle brackets.
pub fn id_of(message: &[u8]) -> Option<String> {
    header(message, "message-id").map(|id| id.trim_matches(['<', '>']).to_owned())
}

/// The first line that does not belong into a trace header.
fn trace_fault(above: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(above);
    let stranger = text.lines().find(|line| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !line.starts_with([' ', '\t']) && !TRACE_HEADERS.contains(&name.as_str())
    });
    stranger.map(|line| format!("an unexpected line was put on top: {line}"))
}

/// What may be put on top of a message on its way: RFC 5321 §4.4, what says for whom it was, and what Cyrus notes.
const TRACE_HEADERS: [&str; 7] = [
    "return-path",
    "received",
    "delivered-to",
    "x-original-to",
    "x-cyrus-session-id",
    "x-sieve",
    "authentication-results",
];

/// The value of the first header of a name, on one line.
fn header(message: &[u8], name: &str) -> Option<String> {
    for line in message.split(|&octet| octet == b'\n') {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if line.is_empty() {
            return None;
        }
        if let Some((found, value)) = line.split_once(':')
            && found.eq_ignore_ascii_case(name)
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_knows_itself() {
        let letter = Letter::new("one@x", 3000);
        assert_eq!(Letter::fault_in(&letter.bytes), None);
        assert_eq!(id_of(&letter.bytes).as_deref(), Some("one@x"));
        let carried = [b"Return-Path: <a@b>\r\nReceived: from c\r\n\tby d\r\n".as_slice(), &letter.bytes].concat();
        assert_eq!(Letter::fault_in(&carried), None);
    }

    #[test]
    fn faults_are_seen() {
        let letter = Letter::new("one@x", 3000);
        let mut changed = letter.bytes.clone();
        *changed.last_mut().unwrap() = b' ';
        assert!(Letter::fault_in(&changed).is_some());
        assert!(Letter::fault_in(&letter.bytes[..letter.bytes.len() - 100]).is_some());
        assert!(Letter::fault_in(&[b"Subject: other\r\n".as_slice(), &letter.bytes].concat()).is_some());
    }
}

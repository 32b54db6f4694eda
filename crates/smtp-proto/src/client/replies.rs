//! Replies as they come in (RFC 5321 §4.2.1).

use crate::limits::{REPLY_LINE_COUNT_MAX, REPLY_LINE_OCTETS_READ_MAX};
use crate::line::{Line, LineReader};
use crate::reply::Reply;
use bytes::BytesMut;
use mail_types::{EnhancedCode, ReplyCode};

/// The peer does not speak SMTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoReply;

/// Puts the lines of a reply together.
#[derive(Debug, Default)]
pub(super) struct ReplyReader {
    lines: LineReader,
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    code: ReplyCode,
    enhanced: Option<EnhancedCode>,
    text: String,
    line_count: usize,
}

impl ReplyReader {
    /// The next whole reply, if the input has one.
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, NoReply> {
        loop {
            let line = match self.lines.take(input, REPLY_LINE_OCTETS_READ_MAX) {
                Line::Partial => return Ok(None),
                Line::Whole(line) => line,
                Line::TooLong | Line::Endless | Line::Fault(_) => return Err(NoReply),
            };
            let (code, last, text) = split(&line).ok_or(NoReply)?;
            let begun = self.add(code, &text)?;
            if last {
                return Ok(Some(Reply::new(begun.code, begun.enhanced, begun.text)));
            }
            self.begun = Some(begun);
        }
    }

    fn add(&mut self, code: ReplyCode, text: &str) -> Result<Begun, NoReply> {
        let Some(mut begun) = self.begun.take() else {
            let (enhanced, text) = without_enhanced(code, text);
            return Ok(Begun { code, enhanced, text: text.to_owned(), line_count: 1 });
        };
        begun.line_count += 1;
        // §4.2.1: the code is the same on every line.
        if begun.code != code || begun.line_count > REPLY_LINE_COUNT_MAX {
            return Err(NoReply);
        }
        let (enhanced, rest) = without_enhanced(code, text);
        begun.text.push('\n');
        begun.text.push_str(if enhanced == begun.enhanced { rest } else { text });
        Ok(begun)
    }
}

fn split(line: &[u8]) -> Option<(ReplyCode, bool, String)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let code = ReplyCode::parse(digits)?;
    let (last, text) = match rest.split_first() {
        // §4.2: a code alone is a reply too.
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return None,
    };
    // What a peer says ends in logs and bounces: no control characters.
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    Some((code, last, String::from_utf8_lossy(text).chars().map(printable).collect()))
}

/// RFC 2034 §4: the enhanced code stands first, and its class is that of the reply.
fn without_enhanced(code: ReplyCode, text: &str) -> (Option<EnhancedCode>, &str) {
    match EnhancedCode::parse(text) {
        Some((enhanced, rest)) if u16::from(enhanced.class()) == code.number() / 100 => (Some(enhanced), rest),
        Some(_) | None => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(wire: &str) -> Result<Vec<Reply>, NoReply> {
        let (mut reader, mut input, mut replies) = (ReplyReader::default(), BytesMut::new(), Vec::new());
        for byte in wire.bytes() {
            input.extend_from_slice(&[byte]);
            replies.extend(reader.take(&mut input)?);
        }
        Ok(replies)
    }

    #[test]
    fn replies_of_one_and_many_lines() {
        let replies =
            read("250-5.1.1 x\r\n250\r\n550-5.1.1 no\r\n550-5.1.1 such\r\n550 user\r\n354 go\r\n").expect("replies");
        let expected =
            [Reply::plain(250, "5.1.1 x\n"), Reply::of(550, (5, 1, 1), "no\nsuch\nuser"), Reply::plain(354, "go")];
        assert_eq!(replies, expected);
    }

    #[test]
    fn what_is_no_reply() {
        for wire in ["250-a\r\n251 b\r\n", "25 a\r\n", "x\r\n", "250_a\r\n", "150 a\r\n", "250 a\n", "250 a\r250 b\r\n"]
        {
            assert_eq!(read(wire), Err(NoReply), "{wire:?}");
        }
        assert_eq!(read(&"250-x\r\n".repeat(REPLY_LINE_COUNT_MAX + 1)), Err(NoReply));
        assert_eq!(read(&format!("250 {}\r\n", "x".repeat(REPLY_LINE_OCTETS_READ_MAX))), Err(NoReply));
    }

    proptest! {
        #[test]
        fn what_we_write_we_read(number in 200u16..600, enhanced in any::<bool>(), lines in proptest::collection::vec("[ -~]{0,60}", 1..5)) {
            let class = u8::try_from(number / 100).expect("2 to 5");
            let enhanced = (enhanced && class != 3).then(|| EnhancedCode::new(class, 1, 2));
            // A line that looks like an enhanced code is read as one.
            let reply = Reply::new(ReplyCode::new(number), enhanced, lines.join("\n"));
            prop_assume!(enhanced.is_some() || lines.iter().all(|line| EnhancedCode::parse(line).is_none()));
            let mut wire = BytesMut::new();
            reply.encode(&mut wire);
            prop_assert_eq!(read(std::str::from_utf8(&wire).expect("ASCII")), Ok(vec![reply]));
        }
    }
}

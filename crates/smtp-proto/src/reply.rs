//! Replies: the type, its text on the wire, and the named ones (RFC 5321 §4.2, RFC 3463).

use crate::limits::{REPLY_LINE_COUNT_MAX, REPLY_LINE_OCTETS_MAX};
use bytes::{BufMut, BytesMut};
use mail_types::{EnhancedCode, ReplyCode};
use std::borrow::Cow;
use std::fmt;

/// A reply: code, enhanced code and text of one or more lines.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    code: ReplyCode,
    enhanced: Option<EnhancedCode>,
    text: Cow<'static, str>,
}

/// A reply of 4xx or 5xx. What a role hands over as a refusal can never reach the peer as `250`.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal(Reply);

impl Reply {
    /// 250, and nothing to add.
    pub const OK: Self = Self::of(250, (2, 0, 0), "Ok");
    /// To MAIL.
    pub const SENDER_OK: Self = Self::of(250, (2, 1, 0), "Ok");
    /// To RCPT.
    pub const RECIPIENT_OK: Self = Self::of(250, (2, 1, 5), "Ok");
    /// To a BDAT that is not the last: no promise about the message (RFC 3030 §2).
    pub const CHUNK_OK: Self = Self::of(250, (2, 0, 0), "Chunk received");
    /// To the end of data.
    pub const ACCEPTED: Self = Self::of(250, (2, 0, 0), "Ok: message is on stable storage");
    /// To DATA.
    pub const GO_AHEAD: Self = Self::plain(354, "End data with <CR><LF>.<CR><LF>");
    /// To QUIT.
    pub const BYE: Self = Self::of(221, (2, 0, 0), "Bye");
    /// To STARTTLS.
    pub const TLS_READY: Self = Self::of(220, (2, 0, 0), "Ready to start TLS");
    /// To AUTH (RFC 4954 §6).
    pub const AUTHENTICATED: Self = Self::of(235, (2, 7, 0), "Authentication succeeded");
    /// To VRFY, which never tells who exists (RFC 5321 §3.5.3, §7.3).
    pub const NOT_VERIFIED: Self =
        Self::of(252, (2, 0, 0), "Cannot verify, but will take a message and try to deliver");
    /// To HELP.
    pub const HELP: Self =
        Self::of(214, (2, 0, 0), "The commands are those of RFC 5321 and of the EHLO or LHLO answer");

    /// A reply that stands in the program.
    ///
    /// # Panics
    /// When the codes are none or contradict each other: at compile time in a `const`.
    pub const fn of(code: u16, (class, subject, detail): (u8, u16, u16), text: &'static str) -> Self {
        assert!(code / 100 == class as u16, "the enhanced code repeats the class of the reply (RFC 2034 §4)");
        let enhanced = Some(EnhancedCode::new(class, subject, detail));
        Self { code: ReplyCode::new(code), enhanced, text: Cow::Borrowed(text) }
    }

    /// A reply that has no enhanced code: 3xx, the greeting, the answer to EHLO (RFC 2034 §4).
    pub const fn plain(code: u16, text: &'static str) -> Self {
        Self { code: ReplyCode::new(code), enhanced: None, text: Cow::Borrowed(text) }
    }

    /// A reply of any text; `\n` separates its lines.
    pub fn new(code: ReplyCode, enhanced: Option<EnhancedCode>, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, enhanced, text: text.into() }
    }

    /// The same codes with another text.
    #[must_use]
    pub fn with_text(self, text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), ..self }
    }

    /// The three digits.
    pub fn code(&self) -> ReplyCode {
        self.code
    }

    /// `2.1.5` and such, where there is one.
    pub fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The lines of its text, without codes; at least one.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// Writes it as it goes over the wire. Only printable US-ASCII leaves (RFC 5321 §4.2), so a text cannot end a line
    /// or forge another reply; what is longer than a reply line is cut.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        let mut lines = self.lines().take(REPLY_LINE_COUNT_MAX).peekable();
        while let Some(line) = lines.next() {
            let start = out.len();
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            put(out, format_args!("{}{separator}", self.code));
            if let Some(enhanced) = self.enhanced {
                put(out, format_args!("{enhanced} "));
            }
            let room = REPLY_LINE_OCTETS_MAX - 2 - (out.len() - start);
            let printable = |c: char| u8::try_from(c).ok().filter(|b| (b' '..=b'~').contains(b)).unwrap_or(b'?');
            out.extend(line.chars().filter(|c| *c != '\r').take(room).map(printable));
            out.put_slice(b"\r\n");
        }
    }
}

impl Refusal {
    /// The line is no command, or its octets are none of a command.
    pub const SYNTAX: Self = Self::of(500, (5, 5, 2), "Syntax error");
    /// The line is over its limit (RFC 5321 §4.5.3.1.9).
    pub const LINE_TOO_LONG: Self = Self::of(500, (5, 5, 2), "Line too long");
    /// A CR without LF or LF without CR in a command (RFC 5321 §2.3.8).
    pub const BARE_LINE_END: Self = Self::of(500, (5, 5, 2), "Lines end with CR LF only; closing");
    /// No such command.
    pub const UNRECOGNISED: Self = Self::of(500, (5, 5, 1), "Command not recognised");
    /// What follows the command's name is wrong.
    pub const BAD_ARGUMENTS: Self = Self::of(501, (5, 5, 4), "Syntax error in arguments");
    /// The path of MAIL is none.
    pub const BAD_SENDER: Self = Self::of(501, (5, 1, 7), "Bad sender address syntax");
    /// The path of RCPT is none.
    pub const BAD_RECIPIENT: Self = Self::of(501, (5, 1, 3), "Bad recipient address syntax");
    /// A command that we know and do not offer.
    pub const NOT_IMPLEMENTED: Self = Self::of(502, (5, 5, 1), "Command not implemented");
    /// Not now.
    pub const BAD_SEQUENCE: Self = Self::of(503, (5, 5, 1), "Bad sequence of commands");
    /// Not before the greeting.
    pub const HELLO_FIRST: Self = Self::of(503, (5, 5, 1), "Say hello first");
    /// DATA without a recipient that was accepted (RFC 5321 §4.1.1.4, RFC 2033 §4.2).
    pub const NO_RECIPIENTS: Self = Self::of(503, (5, 5, 1), "No valid recipients");
    /// A parameter of MAIL or RCPT that we do not offer (RFC 5321 §4.1.1.11).
    pub const UNKNOWN_PARAMETER: Self = Self::of(555, (5, 5, 4), "Parameter not recognised or not implemented");
    /// An address beyond ASCII without SMTPUTF8 (RFC 6531 §3.5).
    pub const NEEDS_SMTPUTF8: Self = Self::of(553, (5, 6, 7), "This address needs SMTPUTF8");
    /// The message is over the size we take (RFC 1870 §6).
    pub const TOO_BIG: Self = Self::of(552, (5, 3, 4), "Message is larger than the limit");
    /// One recipient more than a transaction takes (RFC 5321 §4.5.3.1.10).
    pub const TOO_MANY_RECIPIENTS: Self = Self::of(452, (4, 5, 3), "Too many recipients, send the others again");
    /// A CR without LF in the message (RFC 5321 §2.3.8).
    pub const BARE_CR: Self = Self::of(554, (5, 6, 0), "Message holds a CR without LF");
    /// A LF without CR in the message (RFC 5321 §2.3.8).
    pub const BARE_LF: Self = Self::of(554, (5, 6, 0), "Message holds a LF without CR");
    /// A line of the message is over its limit (RFC 5321 §4.5.3.1.6).
    pub const TEXT_LINE_TOO_LONG: Self = Self::of(554, (5, 6, 0), "Message holds a line over the limit");
    /// AUTH with a mechanism that is not offered (RFC 4954 §4).
    pub const UNKNOWN_MECHANISM: Self = Self::of(504, (5, 5, 4), "Mechanism not offered");
    /// The client gave the exchange up (RFC 4954 §4).
    pub const AUTH_CANCELLED: Self = Self::of(501, (5, 7, 0), "Authentication cancelled");
    /// What came is not base64 (RFC 4954 §4).
    pub const BAD_BASE64: Self = Self::of(501, (5, 5, 2), "Not base64");
    /// Name or password is wrong (RFC 4954 §6).
    pub const AUTH_FAILED: Self = Self::of(535, (5, 7, 8), "Authentication credentials invalid");
    /// Whoever checks passwords does not answer (RFC 4954 §6).
    pub const AUTH_UNAVAILABLE: Self = Self::of(454, (4, 7, 0), "Temporary authentication failure");
    /// Log in first (RFC 4954 §6).
    pub const AUTH_REQUIRED: Self = Self::of(530, (5, 7, 0), "Authentication required");
    /// Not in plain text (RFC 4954 §6).
    pub const ENCRYPTION_REQUIRED: Self = Self::of(538, (5, 7, 11), "Encryption required for this mechanism");
    /// Start TLS first (RFC 3207 §4).
    pub const TLS_REQUIRED: Self = Self::of(530, (5, 7, 0), "Must issue a STARTTLS command first");
    /// No TLS now (RFC 3207 §4).
    pub const TLS_UNAVAILABLE: Self = Self::of(454, (4, 7, 0), "TLS not available due to temporary reason");
    /// Octets came behind STARTTLS before TLS was there (RFC 3207 §4.2; CVE-2011-0411).
    pub const TLS_INJECTION: Self = Self::of(554, (5, 5, 1), "Nothing may follow STARTTLS; closing");
    /// Nothing came for too long (RFC 5321 §4.5.3.2).
    pub const IDLE: Self = Self::of(421, (4, 4, 2), "Idle for too long, closing");
    /// The message took too long in all (RFC 3463 §3.5, X.4.2: bad connection).
    pub const TOO_SLOW: Self = Self::of(421, (4, 4, 2), "Message takes too long, closing");
    /// The login took too long in all (RFC 3463 §3.5, X.4.2).
    pub const LOGIN_TOO_SLOW: Self = Self::of(421, (4, 4, 2), "Login takes too long, closing");
    /// Too many commands that were none (RFC 5321 §7.8).
    pub const TOO_MANY_ERRORS: Self = Self::of(421, (4, 7, 0), "Too many errors, closing");
    /// This server goes down.
    pub const SHUTTING_DOWN: Self = Self::of(421, (4, 3, 2), "Service shutting down, closing");
    /// This server has connections enough.
    pub const TOO_BUSY: Self = Self::of(421, (4, 3, 2), "Too many connections, try again later");
    /// Nobody of that name.
    pub const NO_SUCH_USER: Self = Self::of(550, (5, 1, 1), "No such user here");
    /// Neither ours nor known to us.
    pub const RELAY_DENIED: Self = Self::of(550, (5, 7, 1), "Relaying denied");
    /// The account takes no mail.
    pub const MAILBOX_DISABLED: Self = Self::of(550, (5, 2, 1), "Mailbox disabled");
    /// Over quota.
    pub const MAILBOX_FULL: Self = Self::of(452, (4, 2, 2), "Mailbox full");
    /// Over quota, and would be in an empty mailbox too (RFC 3463 §3.3, X.2.3).
    pub const BEYOND_QUOTA: Self = Self::of(552, (5, 2, 3), "Message is larger than the mailbox may ever hold");
    /// Who knows accounts does not answer: never taken for an unknown user.
    pub const DIRECTORY_UNAVAILABLE: Self = Self::of(451, (4, 4, 3), "Directory unavailable, try again later");
    /// The disk is full.
    pub const NO_SPACE: Self = Self::of(452, (4, 3, 1), "Insufficient storage");
    /// Something went wrong here.
    pub const TRY_LATER: Self = Self::of(451, (4, 3, 0), "Try again later");

    /// A refusal that stands in the program.
    ///
    /// # Panics
    /// When the code is not 4xx or 5xx: at compile time in a `const`.
    pub const fn of(code: u16, enhanced: (u8, u16, u16), text: &'static str) -> Self {
        assert!(code >= 400, "a refusal is 4xx or 5xx");
        Self(Reply::of(code, enhanced, text))
    }

    /// The same codes with another text.
    #[must_use]
    pub fn with_text(self, text: impl Into<Cow<'static, str>>) -> Self {
        Self(self.0.with_text(text))
    }

    /// The reply that it is.
    pub fn reply(&self) -> &Reply {
        &self.0
    }

    /// 421: the connection ends with it (RFC 5321 §3.8).
    pub fn closes(&self) -> bool {
        self.0.code.number() == 421
    }
}

impl TryFrom<Reply> for Refusal {
    /// The reply, which is no refusal.
    type Error = Reply;

    fn try_from(reply: Reply) -> Result<Self, Reply> {
        if reply.code.number() >= 400 { Ok(Self(reply)) } else { Err(reply) }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        refusal.0
    }
}

impl fmt::Display for Reply {
    /// On one line, for logs and reports.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in self.lines() {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({self})")
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({})", self.0)
    }
}

/// Formats into a buffer.
pub(crate) fn put(out: &mut BytesMut, text: fmt::Arguments<'_>) {
    fmt::Write::write_fmt(out, text).expect("a growing buffer takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = BytesMut::new();
        reply.encode(&mut out);
        String::from_utf8(out.to_vec()).expect("ASCII")
    }

    #[test]
    fn replies_on_the_wire() {
        assert_eq!(wire(&Reply::OK), "250 2.0.0 Ok\r\n");
        assert_eq!(wire(&Reply::GO_AHEAD), "354 End data with <CR><LF>.<CR><LF>\r\n");
        let two = Reply::of(550, (5, 7, 1), "one\ntwo");
        assert_eq!(wire(&two), "550-5.7.1 one\r\n550 5.7.1 two\r\n");
    }

    #[test]
    fn a_text_cannot_forge_a_line() {
        let forged = Reply::of(550, (5, 7, 1), "no\r\n250 yes\rno\0 \u{e9}");
        assert_eq!(wire(&forged), "550-5.7.1 no\r\n550 5.7.1 250 yesno? ?\r\n");
        let long = Reply::of(550, (5, 7, 1), "").with_text("x".repeat(2000));
        assert_eq!(wire(&long).len(), REPLY_LINE_OCTETS_MAX);
        let many = Reply::OK.with_text("\n".repeat(500));
        assert_eq!(wire(&many).lines().count(), REPLY_LINE_COUNT_MAX);
    }

    #[test]
    fn only_refusals_refuse() {
        assert_eq!(Refusal::try_from(Reply::OK), Err(Reply::OK));
        assert_eq!(Refusal::try_from(Reply::GO_AHEAD), Err(Reply::GO_AHEAD));
        assert!(Refusal::try_from(Refusal::NO_SUCH_USER.reply().clone()).is_ok());
        assert!(Refusal::IDLE.closes() && !Refusal::TRY_LATER.closes());
    }
}

//! What a server offers (RFC 5321 §4.1.1.1).

use crate::envelope::{BodyType, Mail, Rcpt};
use crate::reply::Reply;

/// The answer to EHLO or LHLO; empty after HELO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// SIZE: `Some(0)` says that it is offered without a limit (RFC 1870 §4).
    pub size: Option<u64>,
    /// 8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_codes: bool,
    /// XPOSTHOUSE: it is a node of our cluster (docs/format/cluster-lmtp.md).
    pub xposthouse: bool,
    /// The mechanisms of AUTH, in upper case (RFC 4954).
    pub auth: Vec<String>,
}

/// Why a message cannot go to this server as it is. The role may change it and ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsendable {
    /// It needs SMTPUTF8, which is not offered: 5.6.7 (RFC 6531 §3.5).
    Smtputf8,
    /// It has octets over 127 and 8BITMIME is not offered: 5.6.3 (RFC 6152 §3). Declared as 7BIT, it is sent all the same.
    EightBit,
    /// It is over the size that is offered: 5.3.4 (RFC 1870 §6).
    Size,
    /// It is for a store of a node, and XPOSTHOUSE is not offered: to whom it would go, nobody could say.
    Relayed,
    /// One recipient more than a transaction has; the others go in the next.
    Recipients,
}

impl Capabilities {
    /// The first line is the server's name; the others are a keyword and its parameters.
    pub(super) fn parse(reply: &Reply) -> Self {
        let mut offered = Self::default();
        for line in reply.lines().skip(1) {
            let mut words = line.split(' ').filter(|word| !word.is_empty());
            match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
                "SIZE" => offered.size = Some(words.next().and_then(|size| size.parse().ok()).unwrap_or(0)),
                "8BITMIME" => offered.eight_bit = true,
                "SMTPUTF8" => offered.smtputf8 = true,
                "PIPELINING" => offered.pipelining = true,
                "CHUNKING" => offered.chunking = true,
                "STARTTLS" => offered.starttls = true,
                "DSN" => offered.dsn = true,
                "ENHANCEDSTATUSCODES" => offered.enhanced_codes = true,
                "XPOSTHOUSE" => offered.xposthouse = true,
                "AUTH" => offered.auth.extend(words.map(str::to_ascii_uppercase)),
                _ => {}
            }
        }
        offered
    }

    /// Whether a message can go there.
    pub fn check(&self, mail: &Mail) -> Result<(), Unsendable> {
        let needs_smtputf8 = match &mail.from {
            mail_types::ReversePath::Null => mail.smtputf8,
            mail_types::ReversePath::Address(from) => mail.smtputf8 || from.needs_smtputf8(),
        };
        match () {
            () if mail.relayed.is_some() && !self.xposthouse => Err(Unsendable::Relayed),
            () if needs_smtputf8 && !self.smtputf8 => Err(Unsendable::Smtputf8),
            () if mail.body == BodyType::EightBit && !self.eight_bit => Err(Unsendable::EightBit),
            () if self.size.is_some_and(|max| max > 0 && mail.size.is_some_and(|size| size > max)) => {
                Err(Unsendable::Size)
            }
            () => Ok(()),
        }
    }

    /// Leaves out the parameters that are not offered.
    pub(super) fn fit_mail(&self, mut mail: Mail) -> Mail {
        mail.size = mail.size.filter(|_| self.size.is_some());
        mail.ret = mail.ret.filter(|_| self.dsn);
        mail.envid = mail.envid.filter(|_| self.dsn);
        // A submitter beyond ASCII is xtext, which is ASCII.
        mail.auth = mail.auth.filter(|_| !self.auth.is_empty());
        mail
    }

    /// Leaves out the parameters that are not offered.
    pub(super) fn fit_rcpt(&self, mut rcpt: Rcpt) -> Rcpt {
        rcpt.notify = rcpt.notify.filter(|_| self.dsn);
        rcpt.orcpt = rcpt.orcpt.filter(|_| self.dsn);
        rcpt.received_as = rcpt.received_as.filter(|_| self.xposthouse);
        rcpt
    }
}

//! What a server offers before the login, as far as a login depends on it.

use crate::LiteralMode;

/// What was learnt of a server (RFC 9051 §7.2.2): a few bits, however long its list. Who logs in at the same server again
/// may give them to [`super::Client::knowing`]: they are those from behind TLS, if there is TLS, and before a login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// STARTTLS (RFC 9051 §6.2.1).
    pub starttls: bool,
    /// AUTH=PLAIN (RFC 4616).
    pub auth_plain: bool,
    /// AUTH=OAUTHBEARER (RFC 7628).
    pub auth_oauthbearer: bool,
    /// AUTH=XOAUTH2, which is older.
    pub auth_xoauth2: bool,
    /// AUTH=EXTERNAL (RFC 4422 App. A).
    pub auth_external: bool,
    /// SASL-IR (RFC 4959): a login may come with AUTHENTICATE, and saves a round trip.
    pub sasl_ir: bool,
    /// LOGINDISABLED (RFC 9051 §6.2.3).
    pub login_disabled: bool,
    /// Which literals need not wait: LITERAL+ or LITERAL- (RFC 7888).
    pub literal_mode: Option<LiteralMode>,
    /// ID (RFC 2971).
    pub id: bool,
}

impl Capabilities {
    /// From the list, as it stands behind `CAPABILITY `. Names come in any case; what a login does not depend on is passed
    /// over.
    pub fn parse(list: &[u8]) -> Self {
        let mut known = Self::default();
        for name in list.split(|octet| *octet == b' ') {
            match name.to_ascii_uppercase().as_slice() {
                b"STARTTLS" => known.starttls = true,
                b"AUTH=PLAIN" => known.auth_plain = true,
                b"AUTH=OAUTHBEARER" => known.auth_oauthbearer = true,
                b"AUTH=XOAUTH2" => known.auth_xoauth2 = true,
                b"AUTH=EXTERNAL" => known.auth_external = true,
                b"SASL-IR" => known.sasl_ir = true,
                b"LOGINDISABLED" => known.login_disabled = true,
                b"LITERAL+" => known.literal_mode = Some(LiteralMode::Plus),
                b"LITERAL-" => known.add_literal_minus(),
                b"ID" => known.id = true,
                // RFC 9051 App. E: these are part of it, whether or not they are named.
                b"IMAP4REV2" => {
                    known.sasl_ir = true;
                    known.add_literal_minus();
                }
                _ => {}
            }
        }
        known
    }

    fn add_literal_minus(&mut self) {
        self.literal_mode.get_or_insert(LiteralMode::Minus);
    }
}

//! What a server offers before the login, as far as a login depends on it.

/// What was learnt of a server by CAPA (RFC 2449 §5): a few bits, however long its list. Who logs in at the same server
/// again may give them to [`super::Client::knowing`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// STLS (RFC 2595 §4).
    pub stls: bool,
    /// USER: a login by USER and PASS (RFC 2449 §6.3).
    pub user: bool,
    /// SASL with PLAIN (RFC 4616, RFC 5034 §3).
    pub sasl_plain: bool,
    /// SASL with OAUTHBEARER (RFC 7628).
    pub sasl_oauthbearer: bool,
    /// SASL with XOAUTH2, which is older.
    pub sasl_xoauth2: bool,
    /// SASL with EXTERNAL (RFC 4422 App. A).
    pub sasl_external: bool,
    /// PIPELINING (RFC 2449 §6.6).
    pub pipelining: bool,
    /// UTF8 (RFC 6856 §2).
    pub utf8: bool,
}

impl Capabilities {
    /// Of a server from before CAPA: USER and PASS are all that it has.
    pub(super) fn of_old_server() -> Self {
        Self { user: true, ..Self::default() }
    }

    /// One line of the list. Names come in any case; what a login does not depend on is passed over.
    pub fn add_line(&mut self, line: &[u8]) {
        let mut words = line.split(|octet| *octet == b' ').map(<[u8]>::to_ascii_uppercase);
        match words.next().as_deref() {
            Some(b"STLS") => self.stls = true,
            Some(b"USER") => self.user = true,
            Some(b"PIPELINING") => self.pipelining = true,
            Some(b"UTF8") => self.utf8 = true,
            Some(b"SASL") => {
                for mechanism in words {
                    self.sasl_plain |= mechanism == b"PLAIN";
                    self.sasl_oauthbearer |= mechanism == b"OAUTHBEARER";
                    self.sasl_xoauth2 |= mechanism == b"XOAUTH2";
                    self.sasl_external |= mechanism == b"EXTERNAL";
                }
            }
            Some(_) | None => {}
        }
    }
}

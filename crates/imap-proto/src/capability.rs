//! What a server offers (RFC 9051 §6.1.1, §7.2.2), decided in one function: [`offered`].

use crate::encode::Encoder;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A capability that needs no parameter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Capability { $($(#[$doc])* $name),* }
        impl Capability {
            /// All, in the order they are told in.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

capabilities! {
    /// RFC 3501
    Imap4rev1 = "IMAP4rev1";
    /// RFC 9051
    Imap4rev2 = "IMAP4rev2";
    /// RFC 9051 §6.2.1
    StartTls = "STARTTLS";
    /// RFC 9051 §6.2.3
    LoginDisabled = "LOGINDISABLED";
    /// RFC 4959
    SaslIr = "SASL-IR";
    /// RFC 7888 §4
    LiteralPlus = "LITERAL+";
    /// RFC 7888 §5
    LiteralMinus = "LITERAL-";
    /// RFC 2971
    Id = "ID";
    /// RFC 5161
    Enable = "ENABLE";
    /// RFC 2177
    Idle = "IDLE";
    /// RFC 2342
    Namespace = "NAMESPACE";
    /// RFC 3691
    Unselect = "UNSELECT";
    /// RFC 4315
    UidPlus = "UIDPLUS";
    /// RFC 6851
    Move = "MOVE";
    /// RFC 3348
    Children = "CHILDREN";
    /// RFC 5258
    ListExtended = "LIST-EXTENDED";
    /// RFC 5819
    ListStatus = "LIST-STATUS";
    /// RFC 6154 §2
    SpecialUse = "SPECIAL-USE";
    /// RFC 6154 §3
    CreateSpecialUse = "CREATE-SPECIAL-USE";
    /// RFC 4731
    Esearch = "ESEARCH";
    /// RFC 5182
    SearchRes = "SEARCHRES";
    /// RFC 5032
    Within = "WITHIN";
    /// RFC 8438
    StatusSize = "STATUS=SIZE";
    /// RFC 7162 §3.1
    Condstore = "CONDSTORE";
    /// RFC 7162 §3.2
    Qresync = "QRESYNC";
    /// RFC 3516
    Binary = "BINARY";
    /// RFC 3502
    MultiAppend = "MULTIAPPEND";
    /// RFC 6855
    Utf8Accept = "UTF8=ACCEPT";
    /// RFC 9208
    Quota = "QUOTA";
    /// RFC 9208 §5.1
    QuotaResStorage = "QUOTA=RES-STORAGE";
    /// RFC 9208 §5.2
    QuotaResMessage = "QUOTA=RES-MESSAGE";
    /// RFC 9208 §3.2
    QuotaSet = "QUOTASET";
    /// RFC 4978
    CompressDeflate = "COMPRESS=DEFLATE";
}

/// Capabilities, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySet {
    bits: u64,
    mechanisms: Vec<Box<str>>,
    append_limit: Option<u32>,
}

/// What the session behind the machine can do.
#[derive(Clone, Debug, Default)]
pub struct Support {
    /// What may be told to everybody, before login too.
    pub before_login: Vec<Capability>,
    /// What is added after login.
    pub after_login: Vec<Capability>,
    /// SASL mechanisms that show no password on the wire.
    pub mechanisms: Vec<Box<str>>,
    /// SASL mechanisms that do: PLAIN, LOGIN, XOAUTH2 and their like.
    pub plain_mechanisms: Vec<Box<str>>,
    /// `APPENDLIMIT=` (RFC 7889 §3).
    pub append_limit: Option<u32>,
}

/// Whether the connection is private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// TLS is on, or nobody can listen (an inner network that the configuration excepts).
    Private,
    /// STARTTLS can be had; until then passwords are refused.
    StartTls,
    /// STARTTLS can be had, and passwords are taken without it.
    StartTlsOptional,
    /// There is no TLS, and passwords are refused.
    Exposed,
}

/// Whether somebody logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Not yet.
    Before,
    /// Yes: mechanisms, STARTTLS and LOGINDISABLED are not told any more.
    After,
}

/// The one place that decides what is offered.
pub fn offered(support: &Support, login: Login, privacy: Privacy) -> CapabilitySet {
    let mut set = CapabilitySet::default();
    set.extend(&support.before_login);
    match login {
        Login::After => {
            set.extend(&support.after_login);
            set.append_limit = support.append_limit;
        }
        Login::Before => {
            let (starttls, plain) = match privacy {
                Privacy::Private => (false, true),
                Privacy::StartTls => (true, false),
                Privacy::StartTlsOptional => (true, true),
                Privacy::Exposed => (false, false),
            };
            if starttls {
                set.insert(Capability::StartTls);
            }
            set.mechanisms.clone_from(&support.mechanisms);
            if plain {
                set.mechanisms.extend(support.plain_mechanisms.iter().cloned());
            } else {
                // RFC 9051 §6.2.3, §11.1: no password in the clear.
                set.insert(Capability::LoginDisabled);
            }
        }
    }
    set
}

impl CapabilitySet {
    /// Adds one.
    pub fn insert(&mut self, capability: Capability) {
        self.bits |= 1 << capability as u8;
    }

    /// Whether it is in.
    pub fn contains(&self, capability: Capability) -> bool {
        self.bits & (1 << capability as u8) != 0
    }

    /// The SASL mechanisms in it.
    pub fn mechanisms(&self) -> &[Box<str>] {
        &self.mechanisms
    }

    fn extend(&mut self, capabilities: &[Capability]) {
        for capability in capabilities {
            self.insert(*capability);
        }
    }

    /// Names separated by spaces, as in the response and the response code.
    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.raw(b"CAPABILITY");
        for capability in Capability::ALL.iter().filter(|known| self.contains(**known)) {
            out.raw(b" ");
            out.raw(capability.name().as_bytes());
        }
        for mechanism in &self.mechanisms {
            out.raw(b" AUTH=");
            out.raw(mechanism.as_bytes());
        }
        if let Some(octets) = self.append_limit {
            out.display(format_args!(" APPENDLIMIT={octets}"));
        }
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        let mut set = Self::default();
        for capability in capabilities {
            set.insert(capability);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Dialect;

    fn support() -> Support {
        Support {
            before_login: vec![Capability::Imap4rev1, Capability::SaslIr],
            after_login: vec![Capability::Idle],
            mechanisms: vec!["SCRAM-SHA-256".into()],
            plain_mechanisms: vec!["PLAIN".into()],
            append_limit: Some(50),
        }
    }

    fn told(login: Login, privacy: Privacy) -> String {
        let mut out = Encoder::new(Dialect::Rev1);
        offered(&support(), login, privacy).encode(&mut out);
        String::from_utf8(out.into_bytes().to_vec()).expect("ASCII")
    }

    #[test]
    fn passwords_need_privacy() {
        for (privacy, expected) in [
            (Privacy::Private, "CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN"),
            (Privacy::StartTls, "CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED SASL-IR AUTH=SCRAM-SHA-256"),
            (Privacy::StartTlsOptional, "CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN"),
            (Privacy::Exposed, "CAPABILITY IMAP4rev1 LOGINDISABLED SASL-IR AUTH=SCRAM-SHA-256"),
        ] {
            assert_eq!(told(Login::Before, privacy), expected);
        }
        assert_eq!(told(Login::After, Privacy::StartTls), "CAPABILITY IMAP4rev1 SASL-IR IDLE APPENDLIMIT=50");
    }

    #[test]
    fn all_fit_in_the_set() {
        assert!(Capability::ALL.len() <= 64);
    }
}

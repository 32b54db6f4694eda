//! What this server can do, and CAPA's list of it (RFC 2449 §5): only what would be honoured if asked for now.

use std::fmt::Write;

/// What is the same for every connection of a listener. Share it in an `Arc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The text of the greeting, behind `+OK`.
    pub greeting: String,
    /// RFC 2449 §6.9: what IMPLEMENTATION says; told after login only.
    pub implementation: Option<String>,
    /// How one may log in on a connection that others can read.
    pub in_clear: LoginMethods,
    /// How one may log in under TLS.
    pub under_tls: LoginMethods,
    /// The ways to log in that CAPA tells once somebody has, where they are others than those taken here: a client whose
    /// session another node passes to us came in by that node's. RFC 2449 §5: what is told before the login is told behind
    /// it too.
    pub behind_login: Option<LoginMethods>,
    /// RFC 2449 §6.7.
    pub expire: Option<Expire>,
    /// RFC 2449 §6.5: seconds between two logins that we insist on.
    pub login_delay_seconds: Option<u32>,
    /// RFC 6856 §2.
    pub utf8: Utf8,
}

/// Ways to log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginMethods {
    /// USER and PASS.
    pub user: UserPass,
    /// Registered names of the SASL mechanisms, upper case.
    pub mechanisms: Vec<String>,
}

/// Whether USER and PASS are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserPass {
    /// They are.
    Offered,
    /// They are answered by `-ERR [AUTH]`.
    #[default]
    Refused,
}

/// Whether the UTF8 command is taken (RFC 6856 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Utf8 {
    /// It is. CAPA says `UTF8 USER`: names at login are UTF-8 whether or not the command came first.
    Offered,
    /// It is not.
    #[default]
    Refused,
}

/// In which form messages are told (RFC 6856 §2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Headers are ASCII: where every session begins.
    #[default]
    Ascii,
    /// Headers may hold UTF-8: the client said UTF8.
    Utf8,
}

/// How long mail stays on the server (RFC 2449 §6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expire {
    /// Until it is deleted.
    Never,
    /// At least so many days.
    Days(u32),
}

/// What CAPA depends on beside the configuration.
#[derive(Clone, Copy)]
pub(crate) struct Standing<'a> {
    pub(crate) methods: &'a LoginMethods,
    /// Whether STLS would be obeyed now.
    pub(crate) stls: bool,
    pub(crate) logged_in: bool,
}

impl LoginMethods {
    /// The ways that exist where the connection is protected: USER and PASS, and these mechanisms.
    pub fn with_user(mechanisms: &[&str]) -> Self {
        Self { user: UserPass::Offered, mechanisms: mechanisms.iter().map(|name| name.to_ascii_uppercase()).collect() }
    }
}

/// The whole answer to CAPA, its end included.
pub(crate) fn capa(config: &Config, standing: Standing<'_>) -> String {
    let mut text =
        String::from("+OK Capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n");
    let mut add = |args: std::fmt::Arguments<'_>| {
        text.write_fmt(args).and_then(|()| text.write_str("\r\n")).expect("writing to a String cannot fail");
    };
    let methods = standing.methods;
    if methods.user == UserPass::Offered {
        add(format_args!("USER"));
    }
    if !methods.mechanisms.is_empty() {
        add(format_args!("SASL {}", methods.mechanisms.join(" ")));
    }
    if standing.stls {
        add(format_args!("STLS"));
    }
    if let Some(seconds) = config.login_delay_seconds {
        add(format_args!("LOGIN-DELAY {seconds}"));
    }
    match config.expire {
        Some(Expire::Never) => add(format_args!("EXPIRE NEVER")),
        Some(Expire::Days(days)) => add(format_args!("EXPIRE {days}")),
        None => {}
    }
    if config.utf8 == Utf8::Offered {
        add(format_args!("UTF8 USER"));
    }
    add(format_args!("LANG"));
    if let Some(implementation) = config.implementation.as_ref().filter(|_| standing.logged_in) {
        add(format_args!("IMPLEMENTATION {}", implementation.replace(char::is_control, " ")));
    }
    text.push_str(".\r\n");
    text
}

//! Why a line of a map is bad.

/// Why a line could not be read. Says nothing of what stood after the key: that may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than any line of such a file.
    #[error("the line is longer than {max} octets")]
    TooLong {
        /// The limit, which holds for a line with its continuation lines.
        max: usize,
    },
    /// A continuation line comes first.
    #[error("the line begins with white space, but there is none that it could continue")]
    NothingToContinue,
    /// Not text.
    #[error("the line is not UTF-8")]
    NotUtf8,
    /// There is no separator.
    #[error("there is no ':' after the key")]
    NoSeparator,
    /// There is only a key.
    #[error("there is nothing after the key")]
    NoValue,
    /// There is no key.
    #[error("there is nothing before the ':'")]
    NoKey,
    /// The key is no address and no local part.
    #[error("{key:?} is not an address or the local part of one")]
    BadKey {
        /// The key.
        key: String,
    },
    /// The key lacks a domain, and the site has none of its own.
    #[error("{key:?} has no domain, and no domain was named for such keys")]
    NoDomain {
        /// The key.
        key: String,
    },
    /// An earlier line has the same key, perhaps in another case or Unicode form.
    #[error("{key:?} is the same {what} as {earlier} on line {line}")]
    Collision {
        /// What the keys of this file are.
        what: &'static str,
        /// The key.
        key: String,
        /// How the earlier line wrote it.
        earlier: String,
        /// The earlier line's number.
        line: usize,
    },
    /// The password field is no hash.
    #[error("the password of {key:?} is not of the form {{SCHEME}}hash or a crypt hash")]
    BadPassword {
        /// The key.
        key: String,
    },
    /// The password's hash is one that nobody could log in with.
    #[error("the password of {key:?} cannot be used: {why}")]
    UnusablePassword {
        /// The key.
        key: String,
        /// Why, without the hash.
        why: String,
    },
    /// An extra field has a value that cannot be read.
    #[error("the field {field} cannot be read")]
    BadField {
        /// Its name.
        field: String,
    },
    /// There is no host.
    #[error("there is no host after the ':'")]
    NoHost,
    /// The port is no port.
    #[error("{port:?} is not a port")]
    BadPort {
        /// What stood there.
        port: String,
    },
    /// Several stores belong to the host, and no port tells which.
    #[error("several stores are at {host:?}{}: name a port that one of them has", port.map(|port| format!(", and none of them alone has port {port}")).unwrap_or_default())]
    ManyStores {
        /// The host.
        host: String,
        /// The port that was given.
        port: Option<u16>,
    },
    /// No store belongs to the host.
    #[error("no store is called {host:?} or mapped to it{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    UnknownStore {
        /// The host.
        host: String,
        /// The store that was probably meant.
        nearest: Option<String>,
    },
    /// More lines than a map of this kind may have.
    #[error("a map of this kind has at most {max} entries")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// An expression cannot be compiled.
    #[error("the expression cannot be used: {why}")]
    BadPattern {
        /// What the compiler says, in one line.
        why: String,
    },
    /// What a key leads to has no place in the directory.
    #[error("{value:?} cannot be imported: {why}")]
    Refused {
        /// What stood there.
        value: String,
        /// Why.
        why: &'static str,
    },
}

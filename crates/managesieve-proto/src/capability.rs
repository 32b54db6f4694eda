//! What a server can do, as its greeting and CAPABILITY tell it (RFC 5804 §1.7): only what would be honoured now, and of
//! what a back-end does with scripts only what back-ends have told.

use crate::reply::string;
use crate::words::{Secret, Word};

/// What is the same for every connection of a listener. Share it in an `Arc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// RFC 5804 §1.7: IMPLEMENTATION.
    pub implementation: String,
    /// The text of the greeting, behind `OK`.
    pub greeting: String,
    /// Registered names of the SASL mechanisms that are taken on a connection that others can read, upper case.
    pub in_clear: Vec<String>,
    /// Those taken under TLS.
    pub under_tls: Vec<String>,
}

/// What is done with scripts behind a login. The default is what holds wherever: the language without an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// SIEVE: names of extensions (RFC 5228 §6).
    sieve: Vec<String>,
    /// NOTIFY: methods (RFC 5435 §8).
    notify: Vec<String>,
    /// MAXREDIRECTS.
    redirects_max: Option<u32>,
    /// Whether VERSION says 1.0. Servers from before RFC 5804 lack it, and RENAMESCRIPT, CHECKSCRIPT and NOOP.
    is_current: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self { sieve: Vec::new(), notify: Vec::new(), redirects_max: None, is_current: true }
    }
}

impl Offer {
    /// Of a server that has told nothing yet.
    pub(crate) fn untold() -> Self {
        Self { is_current: false, ..Self::default() }
    }

    /// What is there wherever a session leads: what both have.
    #[must_use]
    pub fn both(mut self, other: &Self) -> Self {
        self.sieve.retain(|name| other.sieve.contains(name));
        self.notify.retain(|name| other.notify.contains(name));
        self.redirects_max = match (self.redirects_max, other.redirects_max) {
            (Some(one), Some(another)) => Some(one.min(another)),
            (one, another) => one.or(another),
        };
        self.is_current &= other.is_current;
        self
    }

    /// The names of the extensions.
    pub fn extensions(&self) -> &[String] {
        &self.sieve
    }

    /// One line of a server's; other capabilities are passed over.
    pub(crate) fn add(&mut self, name: &str, value: &[u8]) {
        match name {
            "SIEVE" => self.sieve = names(value),
            "NOTIFY" => self.notify = names(value),
            "MAXREDIRECTS" => {
                self.redirects_max = std::str::from_utf8(value).ok().and_then(|number| number.parse().ok());
            }
            "VERSION" => self.is_current = value == b"1.0",
            _ => {}
        }
    }
}

/// Words of visible ASCII that a quoted string holds as they are; others are no names.
fn names(value: &[u8]) -> Vec<String> {
    let words = value.split(|octet| *octet == b' ');
    let is_name = |word: &&[u8]| {
        !word.is_empty() && word.iter().all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'"' | b'\\'))
    };
    words.filter(is_name).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// What the list depends on beside configuration and offer.
#[derive(Clone, Copy)]
pub(crate) struct Standing<'a> {
    pub(crate) mechanisms: &'a [String],
    /// Whether STARTTLS would be obeyed now.
    pub(crate) starttls: bool,
}

/// The lines of capabilities, without the answer behind them.
pub(crate) fn list(config: &Config, offer: &Offer, standing: Standing<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut add = |name: &str, value: Option<&str>| {
        lines.extend_from_slice(&string(name.as_bytes()));
        if let Some(value) = value {
            lines.push(b' ');
            lines.extend_from_slice(&string(value.as_bytes()));
        }
        lines.extend_from_slice(b"\r\n");
    };
    add("IMPLEMENTATION", Some(&config.implementation));
    // RFC 5804 §1.7: also where there is none, which is where TLS has to come first.
    add("SASL", Some(&standing.mechanisms.join(" ")));
    add("SIEVE", Some(&offer.sieve.join(" ")));
    if standing.starttls {
        add("STARTTLS", None);
    }
    if !offer.notify.is_empty() {
        add("NOTIFY", Some(&offer.notify.join(" ")));
    }
    if let Some(count) = offer.redirects_max {
        add("MAXREDIRECTS", Some(&count.to_string()));
    }
    if offer.is_current {
        add("VERSION", Some("1.0"));
    }
    lines
}

/// A line of a server's list: its name in upper case, and its value.
pub(crate) fn read(words: Vec<Word>) -> Option<(String, Secret)> {
    let mut words = words.into_iter();
    let Some(Word::Text(name)) = words.next() else { return None };
    let value = match words.next() {
        None => Secret::new(Vec::new()),
        Some(Word::Text(value)) => value,
        // RFC 5804 §1.7: others may have values of other forms.
        Some(Word::Atom(_) | Word::Open | Word::Close) => Secret::new(Vec::new()),
    };
    let name = String::from_utf8_lossy(name.as_bytes()).to_ascii_uppercase();
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(lines: &[(&str, &str)]) -> Offer {
        let mut offer = Offer::untold();
        lines.iter().for_each(|(name, value)| offer.add(name, value.as_bytes()));
        offer
    }

    #[test]
    fn only_what_both_have_is_told() {
        let one = offer(&[("SIEVE", "fileinto vacation  reject"), ("NOTIFY", "mailto xmpp"), ("VERSION", "1.0")]);
        let other = offer(&[
            ("SIEVE", "vacation\r\nx fileinto"),
            ("NOTIFY", "mailto"),
            ("MAXREDIRECTS", "4"),
            ("VERSION", "1.0"),
        ]);
        let both = one.clone().both(&other);
        assert_eq!(
            both,
            offer(&[("SIEVE", "fileinto"), ("NOTIFY", "mailto"), ("MAXREDIRECTS", "4"), ("VERSION", "1.0")])
        );
        assert_eq!(both.clone().both(&offer(&[("MAXREDIRECTS", "9")])), offer(&[("MAXREDIRECTS", "4")]));
        assert_eq!(one.extensions(), ["fileinto", "vacation", "reject"]);
    }
}

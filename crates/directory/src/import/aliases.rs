//! Sendmail's and Postfix's aliases: `name: target, target, …`, over several lines.

use super::pieces::Form;
use super::reading::{Grammar, Keyed, Said};
use super::target::Names;
use super::{Entry, LineError, Parsed, StoreMap, addresses};
use crate::key::AddressKey;
use crate::record::{AliasRecord, Record};
use mail_types::{Address, Domain};
use std::collections::BTreeSet;

/// Reads an aliases file. Lists that it includes must stand in it already ([`super::with_includes`]).
///
/// One target `user@host` at a store is a placement. Programs, files and lists that were not read are refused.
pub fn aliases(bytes: &[u8], own: &[Domain], stores: &StoreMap) -> Parsed<Entry> {
    alias_lines(own, stores).parse(bytes)
}

pub(crate) fn alias_lines<'n>(
    own: &'n [Domain],
    stores: &'n StoreMap,
) -> Grammar<impl Fn(&str) -> Result<Said<Entry>, LineError> + Sync> {
    let names = Names { own, stores };
    Grammar { form: Form::Continued, said: move |text: &str| said(text, names) }
}

fn said(text: &str, names: Names<'_>) -> Result<Said<Entry>, LineError> {
    let (key, targets) = split_unquoted(text, ':').ok_or(LineError::NoSeparator)?;
    let key = key.trim();
    if key.is_empty() {
        return Err(LineError::NoKey);
    }
    let targets = Targets::parse(targets)?;
    let keyed = addresses(key, names.own)?.into_iter().map(|address| {
        let entry = targets.of(&address, names)?;
        Ok(Keyed::address(&address, Some(entry)))
    });
    let keyed = keyed.collect::<Result<_, _>>()?;
    // Sendmail makes `owner-x` the envelope sender of what goes through `x`.
    let list = key.strip_prefix("owner-").filter(|list| !list.is_empty());
    let ignored =
        list.map(|list| format!("{key} is an alias only: what goes through {list} keeps its envelope sender"));
    Ok(Said { keyed, ignored })
}

/// The targets of a line, as they are written but for quotes and backslashes.
pub(super) struct Targets<'t>(Vec<&'t str>);

impl<'t> Targets<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, LineError> {
        let (mut targets, mut rest) = (Vec::new(), Some(text));
        while let Some(text) = rest {
            let (target, behind) =
                split_unquoted(text, ',').map_or((text, None), |(target, behind)| (target, Some(behind)));
            targets.extend(Some(target.trim()).filter(|target| !target.is_empty()));
            rest = behind;
        }
        match targets.is_empty() {
            true => Err(LineError::NoValue),
            false => targets.into_iter().map(plain).collect::<Result<_, _>>().map(Self),
        }
    }

    /// The target of a line that has one.
    pub(super) fn only(&self) -> Option<&'t str> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    pub(super) fn of(&self, address: &Address, names: Names<'_>) -> Result<Entry, LineError> {
        if let [only] = self.0.as_slice() {
            return names.leads(address.clone(), only);
        }
        let mut seen = BTreeSet::new();
        let mut targets = Vec::new();
        for text in &self.0 {
            if names.user_at_store(text)?.is_some() {
                let why = "a user at a store, beside others; give him a line of his own, and name that";
                return Err(LineError::Refused { value: (*text).to_owned(), why });
            }
            let target = names.target(text, address.domain())?;
            if seen.insert(AddressKey::of(&target)) {
                targets.push(target);
            }
        }
        let alias = AliasRecord { address: address.clone(), targets };
        let why = "it leads to more than 1000 addresses";
        alias.check().map_err(|_| LineError::Refused { value: address.to_string(), why })?;
        Ok(Entry::Alias(alias))
    }
}

/// A target that is the name of somebody: no program, file or list.
fn plain(target: &str) -> Result<&str, LineError> {
    let quoted = target.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let refused = |why| Err(LineError::Refused { value: target.to_owned(), why });
    let inner = quoted.unwrap_or(target);
    if inner.starts_with('|') {
        return refused("it is a program, and mail is not handed to programs");
    }
    if inner.starts_with('/') {
        return refused("it is a file, and mail is kept in accounts only");
    }
    if inner.starts_with(INCLUDE) {
        return refused("the list could not be read");
    }
    if inner.starts_with(':') {
        return refused("there is no record of that");
    }
    // `\anna` is anna herself, even where she is an alias; that is what an account's own address means here.
    let named = target.strip_prefix('\\').unwrap_or(target);
    Ok(named.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(named))
}

/// Splits at the first `separator` outside of quotes.
fn split_unquoted(text: &str, separator: char) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if std::mem::take(&mut escaped) => {}
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => return Some((text.get(..at)?, text.get(at + c.len_utf8()..)?)),
            _ => {}
        }
    }
    None
}

/// What a list begins with that is kept in a file of its own.
pub(super) const INCLUDE: &str = ":include:";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::testing::{bad, ignored, own, shown, stores};

    #[test]
    fn names_lead_to_those_that_lines_go_on_with() {
        let file = b"# local\npostmaster: root\nroot:\tanna,\n\tbert@far.test\n\n  # in between\n , \\carl\n\
            \"a b\": \"c, d\", <zoe@site.test>\nAnna : ANNA, anna, \"x\"@far.test,\nfriend@two.test: emil@two.test\n\
            dora: dora1@fritz\nowner-list: anna\n";
        let parsed = aliases(file, &own(), &stores());
        assert_eq!(bad(&parsed), Vec::<String>::new());
        assert_eq!(
            shown(&parsed),
            [
                "2 postmaster@site.test leads to root@site.test",
                "3 root@site.test leads to anna@site.test and bert@far.test and carl@site.test",
                "8 \"a b\"@site.test leads to \"c, d\"@site.test and zoe@site.test",
                "9 Anna@site.test leads to ANNA@site.test and x@far.test",
                "10 friend@two.test leads to emil@two.test",
                "11 dora@site.test is at fritz as dora1",
                "12 owner-list@site.test leads to anna@site.test",
            ]
        );
        assert_eq!(
            ignored(&parsed),
            ["12: owner-list is an alias only: what goes through list keeps its envelope sender"]
        );
    }

    #[test]
    fn programs_files_and_other_bad_lines_are_named() {
        let many: Vec<String> = (0..=1000).map(|n| format!("u{n}")).collect();
        let file = format!(
            " first\na: |/bin/vacation\nb: anna, \"|/bin/x a, b\"\nc: /dev/null\nd: \"/var/mail/d\"\n\
             e: :include:/etc/list\nf: \":include:/etc/my list\"\ng: :fail: gone\nh\n: x\ni: ,\nj: two words\n\
             k: x, y@ingrid\nK: x\nl: x\nL: x\nm: {}\nn: \"open, x\n",
            many.join(",\n ")
        );
        let parsed = aliases(file.as_bytes(), &own(), &stores());
        assert_eq!(shown(&parsed), ["14 K@site.test leads to x@site.test", "15 l@site.test leads to x@site.test"]);
        assert_eq!(
            bad(&parsed),
            [
                "1: the line begins with white space, but there is none that it could continue",
                "2: \"|/bin/vacation\" cannot be imported: it is a program, and mail is not handed to programs",
                "3: \"\\\"|/bin/x a, b\\\"\" cannot be imported: it is a program, and mail is not handed to programs",
                "4: \"/dev/null\" cannot be imported: it is a file, and mail is kept in accounts only",
                "5: \"\\\"/var/mail/d\\\"\" cannot be imported: it is a file, and mail is kept in accounts only",
                "6: \":include:/etc/list\" cannot be imported: the list could not be read",
                "7: \"\\\":include:/etc/my list\\\"\" cannot be imported: the list could not be read",
                "8: \":fail: gone\" cannot be imported: there is no record of that",
                "9: there is no ':' after the key",
                "10: there is nothing before the ':'",
                "11: there is nothing after the key",
                "12: \"two words\" cannot be imported: it is not an address",
                "13: \"y@ingrid\" cannot be imported: a user at a store, beside others; give him a line of his own, and name that",
                "16: \"L@site.test\" is the same address as l@site.test on line 15",
                "17: \"m@site.test\" cannot be imported: it leads to more than 1000 addresses",
                "1018: \"\\\"open, x\" cannot be imported: it is not an address",
            ]
        );
        let long = format!("a: {}\n", "x,\n ".repeat(200_000));
        assert_eq!(bad(&aliases(long.as_bytes(), &own(), &stores())), ["1: the line is longer than 262144 octets"]);
    }
}

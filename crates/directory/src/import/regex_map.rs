//! Perdition's regex map: `expression: [user@]host[:port]`, of which the first line that matches counts.

use super::lines::lines;
use super::pieces::Piece;
use super::reading::{Gathered, Keyed, Reading, Said};
use super::{Entry, LineError, Parsed, StoreMap};
use crate::record::{RuleKind, RuleName, RuleOn, RuleRecord};
use crate::rule::compile;
use mail_types::{Domain, StoreName};

/// Reads a regex map. Each line becomes a rule, in the order of the file; with domains in `own`, one in each of them.
///
/// An expression with an `@` sees the whole address, any other the local part: Perdition sees the name as it was typed,
/// which has a domain or has none.
pub fn regex_map(bytes: &[u8], own: &[Domain], stores: &StoreMap) -> Parsed<Entry> {
    let mut reading = Reading::of(bytes, Vec::with_capacity);
    for (count, (number, line)) in lines(Piece::whole(bytes)).enumerate() {
        let said = line.and_then(|text| match count < ENTRIES_MAX {
            true => said(number, text, own, stores),
            false => Err(LineError::TooMany { max: ENTRIES_MAX }),
        });
        reading.take(number, said);
    }
    let Gathered { items, bad, ignored } = reading.finish();
    Parsed { items, bad, ignored }
}

/// Whether a rule is one that [`regex_map`] made.
pub(super) fn is_imported(name: &RuleName) -> bool {
    name.as_str().starts_with(NAME_PREFIX)
}

fn said(number: usize, text: &str, own: &[Domain], stores: &StoreMap) -> Result<Said<Entry>, LineError> {
    let (pattern, value) = split(text).ok_or(LineError::NoSeparator)?;
    if pattern.is_empty() {
        return Err(LineError::NoKey);
    }
    compile(pattern).map_err(|error| LineError::BadPattern { why: one_line(&error.to_string()) })?;
    let (user, host) = value.rsplit_once('@').map_or((None, value), |(user, host)| (Some(user), host));
    if host.contains('$') {
        let why = "a rule gives one store; write a line for each host that can come out";
        return Err(LineError::Refused { value: host.to_owned(), why });
    }
    let store = stores.find(host)?;
    // A rule gives a store and nothing else. Stores of ours know a user by his address, so this loses nothing there.
    let ignored = user.map(|user| format!("the user name {user:?}: a rule cannot rename users at a back-end"));
    let domains: Vec<Option<Domain>> = match own {
        [] => vec![None],
        own => own.iter().cloned().map(Some).collect(),
    };
    let keyed = (1..).zip(domains).map(|(nth, domain)| rule(number, nth, pattern, domain, &store));
    Ok(Said { keyed: keyed.collect::<Result<_, _>>()?, ignored })
}

fn rule(
    number: usize,
    nth: usize,
    pattern: &str,
    domain: Option<Domain>,
    store: &StoreName,
) -> Result<Keyed<Entry>, LineError> {
    // The name is that of the line, so that a file which is imported again changes its own rules.
    let name = match nth {
        1 => format!("{NAME_PREFIX}{number}"),
        nth => format!("{NAME_PREFIX}{number}-{nth}"),
    };
    let name = RuleName::parse(&name).map_err(|_| LineError::TooMany { max: ENTRIES_MAX })?;
    let on = if pattern.contains('@') { RuleOn::Address } else { RuleOn::Local };
    let folded = format!("{pattern} {}", domain.as_ref().map_or("", Domain::as_str)).into();
    let kind = RuleKind::Regex { pattern: pattern.to_owned(), on, store: store.clone() };
    let order = FIRST_ORDER.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
    let item = Some(Entry::Rule(RuleRecord { name, order, domain, kind }));
    Ok(Keyed { what: "expression", folded, shown: Some(pattern.to_owned()), item })
}

/// Splits at the first `:` that the expression does not need: not after `\`, in brackets (`[[:alpha:]]`) or in `(?:`.
fn split(text: &str) -> Option<(&str, &str)> {
    let (mut before, mut escaped, mut brackets) = ('\0', false, Brackets::Outside);
    for (at, c) in text.char_indices() {
        let here = std::mem::take(&mut escaped);
        brackets = match (brackets, c) {
            (Brackets::Outside, '\\') if !here => {
                escaped = true;
                Brackets::Outside
            }
            (Brackets::Outside, '[') if !here => Brackets::Opened,
            (Brackets::Outside, ':') if !here && before != '?' => {
                return Some((text.get(..at)?.trim(), text.get(at + 1..)?.trim()));
            }
            // What stands first in brackets is a member of them, a `]` too.
            (Brackets::Opened, '^') if before == '[' => Brackets::Opened,
            (Brackets::Inside, '[') => Brackets::Nested,
            (Brackets::Inside, ']') => Brackets::Outside,
            (Brackets::Nested, ']') if matches!(before, ':' | '.' | '=') => Brackets::Inside,
            (Brackets::Nested, ']') => Brackets::Outside,
            (Brackets::Opened, '[') => Brackets::Nested,
            (Brackets::Opened | Brackets::Inside, _) => Brackets::Inside,
            (same @ (Brackets::Outside | Brackets::Nested), _) => same,
        };
        before = c;
    }
    None
}

/// Where a character of an expression stands.
#[derive(Clone, Copy)]
enum Brackets {
    Outside,
    /// After `[` or `[^`.
    Opened,
    Inside,
    /// After a `[` in brackets: `[[:alpha:]]`, or just a member.
    Nested,
}

/// The last line of what the compiler says: the ones before draw the expression.
fn one_line(text: &str) -> String {
    text.lines().last().unwrap_or(text).trim().trim_start_matches("error: ").to_owned()
}

/// What the names of imported rules start with; the number of the line follows.
const NAME_PREFIX: &str = "regex-map-";
/// The order of imported rules starts here, so that an operator has room before them.
pub(crate) const FIRST_ORDER: u32 = 1000;
/// Of one map: each of its rules may be tried for every address.
pub(crate) const ENTRIES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Line;
    use crate::import::testing::{bad, ignored, stores};

    fn shown(parsed: &Parsed<Entry>) -> Vec<String> {
        let show = |line: &Line<Entry>| {
            let Entry::Rule(RuleRecord { name, order, domain, kind: RuleKind::Regex { pattern, on, store } }) =
                &line.item
            else {
                panic!("a rule by expression")
            };
            let domain = domain.as_ref().map_or("-", Domain::as_str);
            format!("{} {name} {order} {domain} {on:?} {pattern} {store}", line.number)
        };
        parsed.items.iter().map(show).collect()
    }

    #[test]
    fn lines_become_rules_in_their_order() {
        let file = b"# by letter\n^[a-k]: ingrid\n\n^[[:alpha:]]+x:fritz:143\n (?:a|b)\\:c : mail1.old.test:110\n\
            ^(.*)@site\\.test$: $1@fritz\n[]:]: fritz\n[^]:]x: fritz\n.: ingrid\n";
        let parsed = regex_map(file, &[], &stores());
        assert_eq!(bad(&parsed), Vec::<String>::new());
        assert_eq!(
            shown(&parsed),
            [
                "2 regex-map-2 1002 - Local ^[a-k] ingrid",
                "4 regex-map-4 1004 - Local ^[[:alpha:]]+x fritz",
                "5 regex-map-5 1005 - Local (?:a|b)\\:c ingrid",
                "6 regex-map-6 1006 - Address ^(.*)@site\\.test$ fritz",
                "7 regex-map-7 1007 - Local []:] fritz",
                "8 regex-map-8 1008 - Local [^]:]x fritz",
                "9 regex-map-9 1009 - Local . ingrid",
            ]
        );
        assert_eq!(ignored(&parsed), ["6: the user name \"$1\": a rule cannot rename users at a back-end"]);
        let own = ["a.test", "b.test"].map(|name| Domain::parse(name).expect("a domain"));
        assert_eq!(
            shown(&regex_map(b"^a:fritz", &own, &stores())),
            ["1 regex-map-1 1001 a.test Local ^a fritz", "1 regex-map-1-2 1001 b.test Local ^a fritz"]
        );
    }

    #[test]
    fn bad_lines_are_named() {
        let file = b"nothing\n: fritz\n(: fritz\n*: fritz\na: fritzz\nb: mail$1.old.test\nc: $1@\nd: fritz:0\n\
            e: fritz\ne: ingrid\n[abc: fritz\n\xff: fritz\n";
        assert_eq!(
            bad(&regex_map(file, &[], &stores())),
            [
                "1: there is no ':' after the key",
                "2: there is nothing before the ':'",
                "3: the expression cannot be used: unclosed group",
                "4: the expression cannot be used: repetition operator missing expression",
                "5: no store is called \"fritzz\" or mapped to it; did you mean fritz?",
                "6: \"mail$1.old.test\" cannot be imported: a rule gives one store; write a line for each host that can come out",
                "7: there is no host after the ':'",
                "8: \"0\" is not a port",
                "10: \"e\" is the same expression as e on line 9",
                "11: there is no ':' after the key",
                "12: the line is not UTF-8",
            ]
        );
        let many: String = (0..=ENTRIES_MAX).map(|n| format!("^{n}$: fritz\n")).collect();
        assert_eq!(
            bad(&regex_map(many.as_bytes(), &[], &stores())),
            ["1001: a map of this kind has at most 1000 entries"]
        );
    }
}

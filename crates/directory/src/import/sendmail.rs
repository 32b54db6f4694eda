//! Sendmail's user map and virtusertable: `key value`, one line each.

use super::pieces::Form;
use super::reading::{Grammar, Keyed, Said};
use super::target::Names;
use super::{Entry, LineError, Parsed, StoreMap, addresses};
use mail_types::Domain;

/// Reads a user map or a virtusertable.
///
/// A key is an address, a name in each of `own`, or `@domain` for whatever nobody has there. A value is `user@host` at a
/// store (a placement), another address (an alias), or `error:…`. In it, `%1` is the key's user, `%2` his detail and `%3`
/// the detail with its `+`.
pub fn user_map(bytes: &[u8], own: &[Domain], stores: &StoreMap) -> Parsed<Entry> {
    user_lines(own, stores).parse(bytes)
}

pub(crate) fn user_lines<'n>(
    own: &'n [Domain],
    stores: &'n StoreMap,
) -> Grammar<impl Fn(&str) -> Result<Said<Entry>, LineError> + Sync> {
    let names = Names { own, stores };
    Grammar { form: Form::Lines, said: move |text: &str| said(text, names) }
}

fn said(text: &str, names: Names<'_>) -> Result<Said<Entry>, LineError> {
    let (key, value) = text.split_once(char::is_whitespace).ok_or(LineError::NoValue)?;
    let value = value.trim();
    match key.strip_prefix('@') {
        Some(domain) => {
            let domain = Domain::parse(domain).map_err(|_| LineError::BadKey { key: key.to_owned() })?;
            catch_all(domain, value, names)
        }
        None => one(key, value, names),
    }
}

fn one(key: &str, value: &str, names: Names<'_>) -> Result<Said<Entry>, LineError> {
    let user = key.rsplit_once('@').map_or(key, |(user, _)| user);
    let (user, detail) = user.split_once('+').map_or((user, None), |(user, detail)| (user, Some(detail)));
    if matches!(detail, Some("*" | "+")) {
        let why = "a user gets what is sent to his details; write the user alone";
        return Err(LineError::Refused { value: key.to_owned(), why });
    }
    let addresses = addresses(key, names.own)?;
    if let Some(refusal) = refusal(value) {
        let keyed = addresses.iter().map(|address| Keyed::address(address, None)).collect();
        let ignored =
            Some(format!("{key} {refusal}: there is no record of a refusal; nobody has it, unless others say so"));
        return Ok(Said { keyed, ignored });
    }
    let value = expand(value, user, detail.unwrap_or_default())?;
    let keyed = addresses.into_iter().map(|address| {
        let entry = names.leads(address.clone(), &value)?;
        Ok(Keyed::address(&address, Some(entry)))
    });
    Ok(keyed.collect::<Result<Vec<_>, _>>()?.into())
}

fn catch_all(domain: Domain, value: &str, names: Names<'_>) -> Result<Said<Entry>, LineError> {
    let refused = |why| Err(LineError::Refused { value: value.to_owned(), why });
    if let Some(refusal) = refusal(value) {
        let ignored = Some(format!("@{domain} {refusal}: without a catch-all, what nobody has is refused anyway"));
        return Ok(Said { keyed: vec![Keyed::catch_all(&domain, None)], ignored });
    }
    if value.contains('%') {
        return refused("no record maps all names of a domain at once; write a line for each address");
    }
    if names.user_at_store(value)?.is_some() {
        return refused("a catch-all leads to an address, and that is a user at a store");
    }
    let reader = names.target(value, &domain)?;
    Ok(vec![Keyed::catch_all(&domain, Some(Entry::CatchAll { domain: domain.clone(), reader }))].into())
}

/// `error:…`. Without the colon it is a user of that name.
fn refusal(value: &str) -> Option<&str> {
    value.starts_with("error:").then_some(value)
}

fn expand(value: &str, user: &str, detail: &str) -> Result<String, LineError> {
    let mut expanded = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match (c == '%').then(|| rest.next()) {
            None => expanded.push(c),
            Some(Some('1')) => expanded.push_str(user),
            Some(Some('2')) => expanded.push_str(detail),
            Some(Some('3')) if detail.is_empty() => {}
            Some(Some('3')) => expanded.extend(["+", detail]),
            Some(Some('%')) => expanded.push('%'),
            Some(_) => {
                let why = "after % there is 1, 2, 3 or another %";
                return Err(LineError::Refused { value: value.to_owned(), why });
            }
        }
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::testing::{bad, ignored, own, shown, stores};

    #[test]
    fn keys_lead_to_stores_and_addresses() {
        let file =
            b"# comment\nanna anna1@ingrid\nbert@two.test\tbert@Fritz:143\ncarl zoe\ndora@two.test carl@far.test\n\
            Emil error\nfritz@two.test frieda@site.test\ngerd+x@two.test %1%3@far.test\nhans %1.%2x@mail1.old.test\n\
            @two.test anna@site.test\n@site.test postmaster\nida@two.test otto\n";
        let parsed = user_map(file, &own(), &stores());
        assert_eq!(bad(&parsed), Vec::<String>::new());
        assert_eq!(
            shown(&parsed),
            [
                "2 anna@site.test is at ingrid as anna1",
                "3 bert@two.test is at fritz as bert",
                "4 carl@site.test leads to zoe@site.test",
                "5 dora@two.test leads to carl@far.test",
                "6 Emil@site.test leads to error@site.test",
                "7 fritz@two.test leads to frieda@site.test",
                "8 gerd+x@two.test leads to gerd+x@far.test",
                "9 hans@site.test is at ingrid as hans.x",
                "10 @two.test leads to anna@site.test",
                "11 @site.test leads to postmaster@site.test",
                "12 ida@two.test leads to otto@site.test",
            ]
        );
        let both = [own(), vec![Domain::parse("two.test").expect("a domain")]].concat();
        assert_eq!(
            shown(&user_map(b"anna bert\n", &both, &stores())),
            ["1 anna@site.test leads to bert@site.test", "1 anna@two.test leads to bert@two.test"]
        );
    }

    #[test]
    fn refusals_are_told_and_bad_lines_named() {
        let file = b"gone error:nouser 550 no\n@two.test error:nouser\nGone anna\nalone\n@two.test anna\n@- anna\n\
            x%2 anna\na %1@%4\nb+* anna\n@c.test %1@site.test\n@d.test x@ingrid\ne two words\nf@two.test x@-\n\
            g x@fritz:0\nh @ingrid\n";
        let parsed = user_map(file, &own(), &stores());
        assert_eq!(shown(&parsed), ["7 x%2@site.test leads to anna@site.test"]);
        assert_eq!(
            ignored(&parsed),
            [
                "1: gone error:nouser 550 no: there is no record of a refusal; nobody has it, unless others say so",
                "2: @two.test error:nouser: without a catch-all, what nobody has is refused anyway",
            ]
        );
        assert_eq!(
            bad(&parsed),
            [
                "3: \"Gone@site.test\" is the same address as gone@site.test on line 1",
                "4: there is nothing after the key",
                "5: \"@two.test\" is the same catch-all as @two.test on line 2",
                "6: \"@-\" is not an address or the local part of one",
                "8: \"%1@%4\" cannot be imported: after % there is 1, 2, 3 or another %",
                "9: \"b+*\" cannot be imported: a user gets what is sent to his details; write the user alone",
                "10: \"%1@site.test\" cannot be imported: no record maps all names of a domain at once; write a line for each address",
                "11: \"x@ingrid\" cannot be imported: a catch-all leads to an address, and that is a user at a store",
                "12: \"two words\" cannot be imported: it is not an address",
                "13: \"x@-\" cannot be imported: it is not an address",
                "14: \"0\" is not a port",
                "15: the field user cannot be read",
            ]
        );
        assert_eq!(
            bad(&user_map(b"a b\nx@far.test y\n", &[], &stores())),
            [
                "1: \"a\" has no domain, and no domain was named for such keys",
                "2: \"y\" cannot be imported: it has no domain, and the key's is not one that was named for such names",
            ]
        );
    }
}

//! Postfix's tables: virtual (`address target, …`) and transport (`address or domain transport:host`).

use super::aliases::Targets;
use super::pieces::Form;
use super::reading::{Grammar, Keyed, Said};
use super::target::Names;
use super::{Entry, LineError, Parsed, StoreMap, addresses};
use crate::record::PlacementRecord;
use mail_types::{Domain, StoreName};

/// Reads a virtual table. Of `ours`, a line only says that the domain is there.
pub fn postfix_virtual(bytes: &[u8], own: &[Domain], ours: &[Domain], stores: &StoreMap) -> Parsed<Entry> {
    virtual_lines(own, ours, stores).parse(bytes)
}

pub(crate) fn virtual_lines<'n>(
    own: &'n [Domain],
    ours: &'n [Domain],
    stores: &'n StoreMap,
) -> Grammar<impl Fn(&str) -> Result<Said<Entry>, LineError> + Sync> {
    let names = Names { own, stores };
    grammar(move |key, value| {
        if let Some(domain) = key.strip_prefix('@') {
            let domain = Domain::parse(domain).map_err(|_| LineError::BadKey { key: key.to_owned() })?;
            return catch_all(domain, value, names);
        }
        if !key.contains('@') && Domain::parse(key).is_ok_and(|domain| ours.contains(&domain)) {
            return Ok(Said { keyed: Vec::new(), ignored: Some(format!("{key} is a domain, and is there already")) });
        }
        let targets = Targets::parse(value)?;
        let keyed = addresses(key, own)?.into_iter().map(|address| {
            let entry = targets.of(&address, names)?;
            Ok(Keyed::address(&address, Some(entry)))
        });
        Ok(keyed.collect::<Result<Vec<_>, _>>()?.into())
    })
}

/// Reads a transport table: an address becomes a placement, a domain gets a default store.
pub fn transport(bytes: &[u8], own: &[Domain], stores: &StoreMap) -> Parsed<Entry> {
    transport_lines(own, stores).parse(bytes)
}

pub(crate) fn transport_lines<'n>(
    own: &'n [Domain],
    stores: &'n StoreMap,
) -> Grammar<impl Fn(&str) -> Result<Said<Entry>, LineError> + Sync> {
    grammar(move |key, value| {
        let refused = |why| Err(LineError::Refused { value: key.to_owned(), why });
        if key == "*" {
            return refused("the store of everything else is the site's default store; set it there");
        }
        if key.starts_with('.') {
            return refused("no record is about all domains below one; write a line for each");
        }
        let whom = match key.contains('@') {
            true => Whom::Address(addresses(key, own)?),
            false => Whom::Domain(Domain::parse(key).map_err(|_| LineError::BadKey { key: key.to_owned() })?),
        };
        if value.starts_with("error:") {
            let ignored = Some(format!("{key} {value}: there is no record of a refusal"));
            return Ok(Said { keyed: whom.keyed(None), ignored });
        }
        let store = next_hop(value).and_then(|host| stores.find(host))?;
        Ok(whom.keyed(Some(&store)).into())
    })
}

/// Of lines with a key and, after white space, a value.
fn grammar(
    said: impl Fn(&str, &str) -> Result<Said<Entry>, LineError> + Sync,
) -> Grammar<impl Fn(&str) -> Result<Said<Entry>, LineError> + Sync> {
    let said = move |text: &str| {
        let (key, value) = text.split_once(char::is_whitespace).ok_or(LineError::NoValue)?;
        said(key, value.trim())
    };
    Grammar { form: Form::Continued, said }
}

fn catch_all(domain: Domain, value: &str, names: Names<'_>) -> Result<Said<Entry>, LineError> {
    let refused = |why| Err(LineError::Refused { value: value.to_owned(), why });
    if value.starts_with('@') {
        return refused("no record maps all names of a domain at once; write a line for each address");
    }
    let Some(reader) = Targets::parse(value)?.only() else {
        return refused("a catch-all leads to one address; make an alias of these, and name that");
    };
    if names.user_at_store(reader)?.is_some() {
        return refused("a catch-all leads to an address, and that is a user at a store");
    }
    let reader = names.target(reader, &domain)?;
    Ok(vec![Keyed::catch_all(&domain, Some(Entry::CatchAll { domain: domain.clone(), reader }))].into())
}

/// Whom a line of a transport table is about.
enum Whom {
    Address(Vec<mail_types::Address>),
    Domain(Domain),
}

impl Whom {
    fn keyed(self, store: Option<&StoreName>) -> Vec<Keyed<Entry>> {
        match self {
            Self::Address(addresses) => {
                let keyed = addresses.into_iter().map(|address| {
                    let place = |store: &StoreName| PlacementRecord {
                        address: address.clone(),
                        store: store.clone(),
                        user: None,
                    };
                    Keyed::address(&address, store.map(place).map(Entry::Placement))
                });
                keyed.collect()
            }
            Self::Domain(domain) => {
                let folded = domain.as_str().into();
                let item = store.cloned().map(|store| Entry::DomainStore { domain, store });
                vec![Keyed { what: "domain", folded, shown: None, item }]
            }
        }
    }
}

/// The host that a transport hands mail to: `lmtp:[host]:port`, `lmtp:inet:host:port`, `smtp:host`.
fn next_hop(value: &str) -> Result<&str, LineError> {
    let refused = |why| Err(LineError::Refused { value: value.to_owned(), why });
    let Some((transport, hop)) = value.split_once(':') else {
        return refused("it is not of the form transport:host");
    };
    if !matches!(transport, "" | "lmtp" | "smtp" | "relay") {
        return refused("no store is behind that transport");
    }
    if hop.starts_with("unix:") {
        return refused("it is a socket of one machine; name the store's host");
    }
    match hop.strip_prefix("inet:").unwrap_or(hop) {
        "" => refused("it names no host"),
        host => Ok(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::testing::{bad, ignored, own, shown, stores};

    fn ours() -> Vec<Domain> {
        ["site.test", "two.test"].map(|name| Domain::parse(name).expect("a domain")).into()
    }

    #[test]
    fn virtual_tables_become_aliases_and_catch_alls() {
        let file = b"# domains\ntwo.test anything\ninfo@two.test anna,\n\tbert@far.test\nfirst.last anna@two.test\n\
            @two.test info@two.test\nx@two.test x@fritz\n@site.test @two.test\n@far.test a, b\nINFO@two.test a\nalone\n\
            @third.test x@ingrid\ny |/bin/y\n";
        let parsed = postfix_virtual(file, &own(), &ours(), &stores());
        assert_eq!(
            shown(&parsed),
            [
                "3 info@two.test leads to anna@site.test and bert@far.test",
                "5 first.last@site.test leads to anna@two.test",
                "6 @two.test leads to info@two.test",
                "7 x@two.test is at fritz as x",
            ]
        );
        assert_eq!(ignored(&parsed), ["2: two.test is a domain, and is there already"]);
        assert_eq!(
            bad(&parsed),
            [
                "8: \"@two.test\" cannot be imported: no record maps all names of a domain at once; write a line for each address",
                "9: \"a, b\" cannot be imported: a catch-all leads to one address; make an alias of these, and name that",
                "10: \"INFO@two.test\" is the same address as info@two.test on line 3",
                "11: there is nothing after the key",
                "12: \"x@ingrid\" cannot be imported: a catch-all leads to an address, and that is a user at a store",
                "13: \"|/bin/y\" cannot be imported: it is a program, and mail is not handed to programs",
            ]
        );
    }

    #[test]
    fn transports_become_placements_and_default_stores() {
        let file =
            b"anna@site.test lmtp:[fritz]:24\nsite.test lmtp:inet:ingrid:24\ntwo.test\n  smtp:[mail1.old.test]\n\
            bert@two.test relay:multi.test:1143\nc@two.test :ingrid\nsix@two.test lmtp:inet:[::1]:24\n\
            gone@two.test error:5.1.1 moved\n";
        let parsed = transport(file, &own(), &stores());
        assert_eq!(bad(&parsed), Vec::<String>::new());
        assert_eq!(
            shown(&parsed),
            [
                "1 anna@site.test is at fritz",
                "2 site.test is at ingrid",
                "3 two.test is at ingrid",
                "5 bert@two.test is at ingrid",
                "6 c@two.test is at ingrid",
                "7 six@two.test is at fritz",
            ]
        );
        assert_eq!(ignored(&parsed), ["8: gone@two.test error:5.1.1 moved: there is no record of a refusal"]);
    }

    #[test]
    fn transports_to_no_store_are_named() {
        let file = b"* lmtp:ingrid\n.two.test lmtp:ingrid\na.test lmtp:unix:/run/lmtp\nb.test smtp:\nc.test local:\n\
            d.test ingrid\ne.test lmtp:[ingird]:24\nf.test lmtp:ingrid:0\n- lmtp:ingrid\n@ lmtp:ingrid\ng.test\n\
            h.test lmtp:ingrid\nH.test lmtp:fritz\n";
        let parsed = transport(file, &own(), &stores());
        assert_eq!(shown(&parsed), ["12 h.test is at ingrid"]);
        assert_eq!(
            bad(&parsed),
            [
                "1: \"*\" cannot be imported: the store of everything else is the site's default store; set it there",
                "2: \".two.test\" cannot be imported: no record is about all domains below one; write a line for each",
                "3: \"lmtp:unix:/run/lmtp\" cannot be imported: it is a socket of one machine; name the store's host",
                "4: \"smtp:\" cannot be imported: it names no host",
                "5: \"local:\" cannot be imported: no store is behind that transport",
                "6: \"ingrid\" cannot be imported: it is not of the form transport:host",
                "7: no store is called \"ingird\" or mapped to it; did you mean ingrid?",
                "8: \"0\" is not a port",
                "9: \"-\" is not an address or the local part of one",
                "10: \"@\" is not an address or the local part of one",
                "11: there is nothing after the key",
                "13: \"h.test\" is the same domain as h.test on line 12",
            ]
        );
    }
}

//! Addresses, names and modified UTF-7.

use mail_types::{Address, Domain, Keyword, LocalPart, MailboxName, StoreName, utf7};

/// One text as each of the words. What parses is written in a form that parses to the same; keys of equals are equal.
pub fn mail_types(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(address) = Address::parse(&text) {
        assert_eq!(Address::parse(&address.to_string()).as_ref(), Ok(&address));
        assert_eq!(address.key(), format!("{}@{}", address.local().key(), address.domain()));
    }
    if let Ok(local) = LocalPart::parse(&text) {
        assert_eq!(LocalPart::parse(&local.to_string()).as_ref(), Ok(&local));
        assert!(!local.as_str().chars().any(char::is_control) && local.as_str().len() <= 64);
    }
    if let Ok(domain) = Domain::parse(&text) {
        assert_eq!(Domain::parse(domain.as_str()).as_ref(), Ok(&domain));
        assert!(domain.as_str().is_ascii() && domain.as_str().len() <= 255);
    }
    if let Ok(name) = StoreName::parse(&text) {
        assert_eq!(StoreName::parse(name.as_str()).as_ref(), Ok(&name));
    }
    if let Ok(keyword) = Keyword::parse(&text) {
        assert_eq!(Keyword::parse(keyword.as_str()).as_ref(), Ok(&keyword));
    }
    mailbox_names(&text);
}

fn mailbox_names(text: &str) {
    if let Some(decoded) = utf7::decode(text) {
        assert_eq!(utf7::encode(&decoded), text, "a name has one form");
    }
    assert_eq!(utf7::decode(&utf7::encode(text)).as_deref(), Some(text));
    for name in [MailboxName::parse(text), MailboxName::parse_utf7(text)].into_iter().flatten() {
        assert_eq!(MailboxName::parse(name.as_str()).as_ref(), Ok(&name));
        assert_eq!(MailboxName::parse_utf7(&name.to_utf7()).as_ref(), Ok(&name));
        assert!(name.parent().is_none_or(|parent| name.is_below(&parent)));
        assert!(!name.is_below(&name));
        assert_eq!(name.rebased(&name, &MailboxName::inbox()), Some(MailboxName::inbox()));
    }
}

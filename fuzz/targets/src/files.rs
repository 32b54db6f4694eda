//! Maps that operators bring.

use directory::import::{
    Entry, Parsed, StoreMap, aliases as read_aliases, passwd_file as read_passwd_file, popmap as read_popmap,
    postfix_virtual as read_virtual, regex_map as read_regex_map, transport as read_transport,
    user_map as read_user_map, with_includes,
};
use directory::{AddressKey, AliasRecord, PasswordHash, PlacementRecord, Record, RuleRecord};
use mail_types::{Address, Domain, StoreName};
use std::collections::BTreeSet;

/// Perdition's popmap. Every line is good, bad or empty, and no address has two entries.
pub fn popmap(data: &[u8]) {
    let stores = stores();
    for own in own_domains() {
        let parsed = read_popmap(data, &own, &stores);
        check(data, &parsed, |placement| &placement.address);
        assert_eq!(read_popmap(&[data, b"\n# a comment\n\n"].concat(), &own, &stores), parsed);
        for line in &parsed.items {
            assert!(["alpha", "beta"].contains(&line.item.store.as_str()), "a store that exists");
        }
    }
}

/// Dovecot's passwd-file. As the popmap; and what is said of a bad line never shows its hash.
pub fn passwd_file(data: &[u8]) {
    let stores = stores();
    for own in own_domains() {
        let parsed = read_passwd_file(data, &own, &stores);
        check(data, &parsed, |user| &user.address);
        assert_eq!(read_passwd_file(&[data, b"\n# a comment\n\n"].concat(), &own, &stores), parsed);
        for hash in parsed.items.iter().filter_map(|line| line.item.password.as_ref()) {
            assert_eq!(PasswordHash::parse(hash.expose()).ok().as_ref(), Some(hash));
        }
        let lines: Vec<&[u8]> = data.split(|octet| *octet == b'\n').collect();
        for bad in &parsed.bad {
            let line = lines.get(bad.number - 1).copied().unwrap_or_default();
            check_silence(&String::from_utf8_lossy(line), &bad.error.to_string());
        }
    }
}

/// Perdition's regex map. Every line is good, bad or empty; what is good can be kept, read again, and is in order.
pub fn regex_map(data: &[u8]) {
    for own in own_domains() {
        let parsed = read_regex_map(data, &own, &stores());
        check_lines(data, &parsed);
        assert_eq!(read_regex_map(&[data, b"\n# a comment\n\n"].concat(), &own, &stores()), parsed);
        let rules: Vec<&RuleRecord> = parsed.items.iter().map(|line| rule_of(&line.item)).collect();
        assert!(rules.is_sorted_by_key(|rule| rule.order), "the order of the file");
        for rule in rules {
            assert_eq!(RuleRecord::decode(&rule.encode()).ok().as_ref(), Some(rule), "a rule that can be kept");
        }
    }
}

fn rule_of(entry: &Entry) -> &RuleRecord {
    match entry {
        Entry::Rule(rule) => rule,
        Entry::Placement(_) | Entry::Alias(_) | Entry::CatchAll { .. } | Entry::DomainStore { .. } => {
            panic!("a regex map makes rules")
        }
    }
}

/// Sendmail's user map and virtusertable.
pub fn user_map(data: &[u8]) {
    for own in own_domains() {
        let read = |data: &[u8]| read_user_map(data, &own, &stores());
        check_entries(data, read);
    }
}

/// Aliases, after the lists that they include. Those leave every line where it was.
pub fn aliases(data: &[u8]) {
    let whole = with_includes(data, &mut |path| Some([b"x, y@far.example\n", path.as_bytes()].concat()));
    let line_count = |data: &[u8]| data.iter().filter(|octet| **octet == b'\n').count();
    assert_eq!(line_count(&whole), line_count(data));
    for own in own_domains() {
        check_entries(&whole, |data| read_aliases(data, &own, &stores()));
    }
}

/// Postfix's virtual table.
pub fn postfix_virtual(data: &[u8]) {
    let [.., ours] = own_domains();
    for own in own_domains() {
        check_entries(data, |data| read_virtual(data, &own, &ours, &stores()));
    }
}

/// Postfix's transport table.
pub fn transport(data: &[u8]) {
    for own in own_domains() {
        check_entries(data, |data| read_transport(data, &own, &stores()));
    }
}

/// Every line is good, bad or empty; no key has two entries; what is good can be kept and read again.
fn check_entries(data: &[u8], read: impl Fn(&[u8]) -> Parsed<Entry>) {
    let parsed = read(data);
    check_lines(data, &parsed);
    assert_eq!(read(&[data, b"\n# a comment\n\n"].concat()), parsed);
    let mut keys = BTreeSet::new();
    for line in &parsed.items {
        let key = match &line.item {
            Entry::Rule(_) => panic!("a rule without an expression"),
            Entry::Placement(placement) => {
                assert_eq!(PlacementRecord::decode(&placement.encode()).ok().as_ref(), Some(placement));
                AddressKey::of(&placement.address).to_string()
            }
            Entry::Alias(alias) => {
                assert_eq!(AliasRecord::decode(&alias.encode()).ok().as_ref(), Some(alias));
                AddressKey::of(&alias.address).to_string()
            }
            Entry::CatchAll { domain, .. } => format!("@{domain}"),
            Entry::DomainStore { domain, .. } => domain.to_string(),
        };
        assert!(keys.insert(key), "a key has one entry");
    }
}

fn stores() -> StoreMap {
    let store = |name| StoreName::parse(name).expect("a name");
    StoreMap::new([store("alpha"), store("beta")]).with("mail.example:143", store("beta"))
}

/// A hash is known by its `$`, which no text of ours holds.
fn check_silence(line: &str, told: &str) {
    let mut fields = line.splitn(3, ':');
    let (key, hash) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    assert!(!hash.contains('$') || key.contains('$') || !told.contains(hash), "the error shows the hash");
}

fn check<T>(data: &[u8], parsed: &Parsed<T>, address: impl Fn(&T) -> &Address) {
    check_lines(data, parsed);
    let keys: BTreeSet<AddressKey> = parsed.items.iter().map(|line| AddressKey::of(address(&line.item))).collect();
    assert_eq!(keys.len(), parsed.items.len(), "an address has one entry");
}

fn check_lines<T>(data: &[u8], parsed: &Parsed<T>) {
    let line_count = data.split(|octet| *octet == b'\n').count();
    let good: BTreeSet<usize> = parsed.items.iter().map(|line| line.number).collect();
    let bad: BTreeSet<usize> = parsed.bad.iter().map(|line| line.number).collect();
    assert_eq!(bad.len(), parsed.bad.len(), "a line is bad once");
    assert!(good.is_disjoint(&bad), "a line is good or bad");
    assert!(good.iter().chain(&bad).all(|number| (1..=line_count).contains(number)), "a line that is not there");
    assert!(parsed.bad.iter().all(|line| !line.error.to_string().contains('\n')), "an error is one line");
}

/// A site with no domain of its own, with one, with two.
fn own_domains() -> [Vec<Domain>; 3] {
    let domain = |name| Domain::parse(name).expect("a host name");
    [vec![], vec![domain("foo.example")], vec![domain("foo.example"), domain("bar.example")]]
}

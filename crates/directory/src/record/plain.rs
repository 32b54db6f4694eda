//! Values as [`Record::encode`](super::Record::encode) makes them of plain records, read without JSON: a copy of millions
//! of records is made of them.
//!
//! `None` says nothing: whatever is not plain goes the usual way, which judges it.

use super::PlacementRecord;
use super::account::is_user;
use crate::key::AddressKey;
use mail_types::{AccountId, Address, StoreName};

/// The store and the user of a placement whose address is its key.
pub(crate) fn placement<'v>(key: &AddressKey, value: &'v [u8]) -> Option<(StoreName, Option<&'v str>)> {
    let (store, rest) = text(after_address(key, value)?.strip_prefix(br#","store":""#)?)?;
    let (user, rest) = match rest.strip_prefix(br#","user":""#) {
        Some(rest) => text(rest).map(|(user, rest)| (Some(user), rest))?,
        None => (None, rest),
    };
    let holds = rest == b"}" && user.is_none_or(is_user);
    Some((StoreName::parse(store).ok().filter(|_| holds)?, user))
}

/// The id of an active account without quota and forwards whose address is its key.
pub(crate) fn active_account(key: &AddressKey, value: &[u8]) -> Option<AccountId> {
    let (id, rest) = text(after_address(key, value)?.strip_prefix(br#","id":""#)?)?;
    let created = rest.strip_prefix(br#","state":"active","created":"#)?.strip_suffix(b"}")?;
    // JSON knows no leading zeros.
    let holds = match created {
        b"0" => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < DIGITS_MAX && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    AccountId::parse(id).filter(|_| holds)
}

/// The value of a placement whose address is its key and whose texts need no escapes, made without a serialiser.
pub(super) fn encoded_placement(record: &PlacementRecord) -> Option<Vec<u8>> {
    let PlacementRecord { address, store, user } = record;
    let (local, domain, store) = (address.local().as_str(), address.domain().as_str(), store.as_str());
    let user = user.as_deref();
    if !address.is_key() || !user.is_none_or(|user| user.bytes().all(is_plain)) {
        return None;
    }
    let start = [r#"{"v":1,"address":""#, local, "@", domain, r#"","store":""#, store];
    let (before, user, end) = match user {
        Some(user) => (r#"","user":""#, user, r#""}"#),
        None => (r#"""#, "", "}"),
    };
    let length = start.iter().map(|text| text.len()).sum::<usize>() + before.len() + user.len() + end.len();
    let mut value = Vec::with_capacity(length);
    start.iter().chain(&[before, user, end]).for_each(|text| value.extend_from_slice(text.as_bytes()));
    Some(value)
}

fn after_address<'v>(key: &AddressKey, value: &'v [u8]) -> Option<&'v [u8]> {
    let (local, domain) = (key.local(), key.domain());
    let rest = value.strip_prefix(br#"{"v":1,"address":""#)?.strip_prefix(local.as_bytes())?.strip_prefix(b"@")?;
    let rest = rest.strip_prefix(domain.as_bytes())?.strip_prefix(b"\"")?;
    Address::is_plain_key(local, domain).then_some(rest)
}

/// Text up to its closing quote, without escapes, and what follows.
fn text(octets: &[u8]) -> Option<(&str, &[u8])> {
    let end = octets.iter().position(|octet| *octet == b'"')?;
    let (text, rest) = octets.split_at_checked(end)?;
    let holds = text.iter().copied().all(is_plain);
    Some((std::str::from_utf8(text).ok().filter(|_| holds)?, rest.strip_prefix(b"\"")?))
}

/// Whether a character of JSON's texts stands for itself, in ASCII.
fn is_plain(octet: u8) -> bool {
    matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\')
}

/// Of a number that fits an `i64` whatever they are.
const DIGITS_MAX: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{AccountRecord, AccountState, Record, encoded};
    use proptest::prelude::*;

    /// Values of all kinds, many of them plain or nearly so.
    fn values() -> impl Strategy<Value = (String, String)> {
        let name = prop_oneof!["[a-z.+/]{1,6}", "[aB\" é]{1,3}"];
        let domain = proptest::sample::select(vec!["b.test", "B.test", "-b", "[192.0.2.1]", "b..c", "é.test"]);
        let more = proptest::sample::select(vec!["", " ", ",\"x\":1", ",\"user\":\"\"", ",\"user\":\"a\\n\""]);
        let user = proptest::option::of("[a-z@\\\\]{0,3}");
        let created = proptest::sample::select(vec!["0", "7", "07", "-1", "1.5", "99999999999999999999", "x"]);
        let state = proptest::sample::select(vec!["active", "no-login"]);
        let store = proptest::sample::select(vec!["one", "One", "", "o ne"]);
        (name, domain, store, user, more, created, state).prop_map(|(local, domain, store, user, more, created, state)| {
            let user = user.map(|user| format!(",\"user\":\"{user}\"")).unwrap_or_default();
            let address = format!("{local}@{domain}");
            let key = format!("{domain}/{local}");
            let value = match created {
                "x" => format!("{{\"v\":1,\"address\":\"{address}\",\"store\":\"{store}\"{user}{more}}}"),
                _ => format!(
                    "{{\"v\":1,\"address\":\"{address}\",\"id\":\"{:032x}\",\"state\":\"{state}\"{more},\"created\":{created}}}",
                    created.len()
                ),
            };
            (key, value)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// What is read the quick way, the usual one reads alike.
        #[test]
        fn the_quick_way_is_the_usual_one((path, value) in values()) {
            let key = AddressKey::from_path(&path).expect("a key");
            if let Some((store, user)) = placement(&key, value.as_bytes()) {
                let usual = PlacementRecord::decode(value.as_bytes()).expect("a placement");
                prop_assert_eq!(usual.key(), format!("{}{path}", PlacementRecord::PREFIX));
                prop_assert_eq!((&usual.store, usual.user.as_deref()), (&store, user));
            }
            if let Some(id) = active_account(&key, value.as_bytes()) {
                let usual = AccountRecord::decode(value.as_bytes()).expect("an account");
                let address = key.to_address().expect("an address");
                let plain = AccountRecord { created: usual.created, ..AccountRecord::new(address, id) };
                prop_assert_eq!(usual.key(), format!("{}{path}", AccountRecord::PREFIX));
                prop_assert_eq!(usual, plain);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// What is written the quick way is what the serialiser writes.
        #[test]
        fn both_ways_write_the_same(local in "[a-zA/.+\" \\\\é\u{7f}]{1,4}", domain in "([ab]\\.c|\\[192\\.0\\.2\\.1\\])",
            user in proptest::option::of("[a\"\\\\/\u{1}\u{7f}é<@ ]{0,4}")) {
            let Some(local) = crate::key::parse_local(&local) else { return Ok(()) };
            let address = Address::new(local, mail_types::Domain::parse(&domain).expect("a domain"));
            let record = PlacementRecord { address, store: StoreName::parse("one").expect("a name"), user };
            prop_assert_eq!(record.encode(), encoded(&record));
        }
    }

    #[test]
    fn what_maps_say_is_plain() {
        let address = Address::parse("anna+x@b.test").expect("an address");
        let key = AddressKey::of(&address);
        let store = StoreName::parse("one").expect("a name");
        for user in [None, Some("anna".to_owned())] {
            let record = PlacementRecord { address: address.clone(), store: store.clone(), user: user.clone() };
            assert!(encoded_placement(&record).is_some());
            assert_eq!(placement(&key, &record.encode()), Some((store.clone(), user.as_deref())));
        }
        let id = AccountId::from_bytes([7; 16]);
        let account = AccountRecord { created: 1_700_000_000, ..AccountRecord::new(address.clone(), id) };
        assert_eq!(active_account(&key, &account.encode()), Some(id));
        let account = AccountRecord { state: AccountState::NoLogin, ..account };
        assert_eq!(active_account(&key, &account.encode()), None);
        let account = AccountRecord { quota_bytes: Some(1), ..AccountRecord::new(address, id) };
        assert_eq!(active_account(&key, &account.encode()), None);
    }
}

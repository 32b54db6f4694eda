//! Known answers: the examples of the RFCs, what is malformed, and how deep it may be.

use super::*;
use crate::command::*;
use crate::fetch::*;
use crate::list::*;
use crate::response::ReplyKind;
use crate::search::*;
use crate::sequence::{MessageSet, SequenceSet};
use mail_types::{Keyword, MailboxName, ModSeq, SpecialUse, SystemFlag, UidSet, UidValidity};
use std::num::NonZeroU32;

fn parsed(text: &str, dialect: Dialect) -> CommandBody {
    match request(format!("a1 {text}").as_bytes(), dialect) {
        Ok(Request::Command(command)) => {
            assert_eq!(command.tag.as_str(), "a1");
            command.body
        }
        other => panic!("{text}: {other:?}"),
    }
}

fn body(text: &str) -> CommandBody {
    parsed(text, Dialect::Rev1)
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).expect(text)
}

fn set(text: &str) -> MessageSet {
    MessageSet::Set(SequenceSet::parse(text.as_bytes()).expect(text))
}

fn uids(text: &str) -> UidSet {
    SequenceSet::parse(text.as_bytes()).expect(text).uids(None)
}

fn part(numbers: &[u32]) -> Vec<NonZeroU32> {
    numbers.iter().map(|n| NonZeroU32::new(*n).expect("not zero")).collect()
}

#[test]
fn commands_without_arguments() {
    for (text, expected) in [
        ("CAPABILITY", CommandBody::Capability),
        ("noop", CommandBody::Noop),
        ("Logout  ", CommandBody::Logout),
        ("NAMESPACE", CommandBody::Namespace),
        ("CHECK", CommandBody::Check),
        ("CLOSE", CommandBody::Close),
        ("UNSELECT", CommandBody::Unselect),
        ("EXPUNGE", CommandBody::Expunge),
    ] {
        assert_eq!(expected.name(), text.trim().to_ascii_uppercase());
        assert_eq!(body(text), expected);
    }
}

#[test]
fn login_in_every_form_of_string() {
    let login = |user: &str, password: &str| CommandBody::Login {
        user: user.as_bytes().to_vec(),
        password: Secret::new(password.as_bytes().to_vec()),
    };
    assert_eq!(body("LOGIN SMITH SESAME"), login("SMITH", "SESAME"));
    assert_eq!(body(r#"LOGIN "a b" "c\"\\d""#), login("a b", "c\"\\d"));
    assert_eq!(body("LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man"), login("FRED FOOBAR", "fat man"));
    assert_eq!(body("LOGIN {1+}\r\na {0}\r\n"), login("a", ""));
    assert_eq!(body("LOGIN a {3}\r\nb  "), login("a", "b  "));
    assert_eq!(body("LOGIN a] \"pä\""), login("a]", "pä"));
    assert_eq!(body("LOGIN john%example.test s*e%same"), login("john%example.test", "s*e%same"));
    assert!(!format!("{:?}", login("a", "SESAME")).contains("SESAME"));
}

#[test]
fn mailboxes_in_both_dialects() {
    assert_eq!(body("DELETE inbox"), CommandBody::Delete(name("INBOX")));
    assert_eq!(body("DELETE &U,BTFw-"), CommandBody::Delete(name("台北")));
    assert_eq!(parsed("DELETE \"台北\"", Dialect::Utf8), CommandBody::Delete(name("台北")));
    assert_eq!(parsed("DELETE R&D", Dialect::Utf8), CommandBody::Delete(name("R&D")));
    assert_eq!(body("RENAME a/ \"b c\""), CommandBody::Rename { from: name("a"), to: name("b c") });
    assert_eq!(body("SUBSCRIBE a"), CommandBody::Subscribe(name("a")));
    assert_eq!(body("UNSUBSCRIBE a"), CommandBody::Unsubscribe(name("a")));
    assert_eq!(body("GETQUOTAROOT INBOX"), CommandBody::GetQuotaRoot(name("INBOX")));
    // What can be no mailbox is refused, but it is not BAD.
    for text in ["SELECT &", "SELECT a//b", "CREATE \"a*b\"", "SELECT \"ä\"", "SELECT \"\""] {
        let rejected = request(format!("a1 {text}").as_bytes(), Dialect::Rev1).expect_err(text);
        assert_eq!(rejected.reply.kind, ReplyKind::No, "{text}");
    }
}

#[test]
fn select_and_its_parameters() {
    let select = |condstore, qresync| Select { mailbox: name("INBOX"), condstore, qresync };
    assert_eq!(body("SELECT INBOX"), CommandBody::Select(select(false, None)));
    assert_eq!(body("EXAMINE INBOX (CONDSTORE)"), CommandBody::Examine(select(true, None)));
    // RFC 7162 §3.2.5.1 and §3.2.5.2.
    let mut known = Qresync {
        validity: UidValidity::new(67_890_007).expect("not zero"),
        modseq: ModSeq::new(20_050_715_194_045_000).expect("not zero"),
        known_uids: Some(uids("41,43:211,214:541")),
        seq_match: None,
    };
    assert_eq!(
        body("SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541))"),
        CommandBody::Select(select(false, Some(known.clone())))
    );
    known.seq_match = Some((uids("1,3"), uids("41,45")));
    assert_eq!(
        body("SELECT INBOX (CONDSTORE QRESYNC (67890007 20050715194045000 41,43:211,214:541 (1,3 41,45)))"),
        CommandBody::Select(select(true, Some(known.clone())))
    );
    known.known_uids = None;
    assert_eq!(
        body("SELECT INBOX (QRESYNC (67890007 20050715194045000 (1,3 41,45)))"),
        CommandBody::Select(select(false, Some(known)))
    );
    assert!(request(b"a SELECT INBOX ()", Dialect::Rev1).is_err(), "RFC 4466 §2.1: one parameter at least");
}

#[test]
fn create_with_a_use() {
    let create = |special_use| CommandBody::Create { mailbox: name("MySpecial"), given: None, special_use };
    assert_eq!(body("CREATE MySpecial"), create(vec![]));
    assert_eq!(body(r"CREATE MySpecial (USE (\Drafts \sent))"), create(vec![SpecialUse::Drafts, SpecialUse::Sent]));
    for (text, mailbox, given) in [
        ("CREATE inbox/a/", "INBOX/a", None),
        ("CREATE A&Awg-", "Ä", Some("A\u{308}")),
        ("CREATE {8+}\r\nA&Awg-!/", "Ä!", Some("A\u{308}!")),
    ] {
        let given = given.map(str::to_owned);
        assert_eq!(body(text), CommandBody::Create { mailbox: name(mailbox), given, special_use: vec![] }, "{text}");
    }
    let rejected = request(br"t2 CREATE Everything (USE (\All))", Dialect::Rev1).expect_err("we have none");
    assert_eq!(rejected.reply.code, Some(crate::ResponseCode::UseAttr));
}

#[test]
fn list_in_all_forms() {
    let pattern = |text: &str| ListPattern::new(text).expect("short");
    let list = |reference: &str, patterns: &[&str]| ListCommand {
        selection: None,
        reference: reference.into(),
        patterns: patterns.iter().map(|text| pattern(text)).collect(),
        returns: None,
    };
    let CommandBody::List(asked) = body(r#"LIST "" """#) else { panic!("LIST") };
    assert!(asked.patterns.iter().all(ListPattern::asks_separator));
    assert_eq!(body("LIST ~/Mail/ %"), CommandBody::List(list("~/Mail/", &["%"])));
    assert_eq!(body("LIST \"\" \"&U,BTFw-/*\""), CommandBody::List(list("", &["台北/*"])));
    assert_eq!(
        body("LSUB \"#news.\" \"comp.mail.*\""),
        CommandBody::Lsub { reference: "#news.".into(), pattern: pattern("comp.mail.*") }
    );
    // RFC 5258 §5, RFC 6154 §5.2, RFC 5819 §2.
    let selection = ListSelection { subscribed: true, recursive_match: true, ..ListSelection::default() };
    let returns = ListReturn {
        children: true,
        special_use: true,
        status: vec![StatusItem::Messages, StatusItem::Size],
        ..ListReturn::default()
    };
    assert_eq!(
        body(
            r#"LIST (SUBSCRIBED RECURSIVEMATCH) "" ("INBOX" % "Sent/%") RETURN (CHILDREN SPECIAL-USE STATUS (MESSAGES SIZE MESSAGES))"#
        ),
        CommandBody::List(ListCommand {
            selection: Some(selection),
            returns: Some(returns),
            ..list("", &["INBOX", "%", "Sent/%"])
        })
    );
    assert_eq!(
        body("LIST () \"\" * RETURN ()"),
        CommandBody::List(ListCommand {
            selection: Some(ListSelection::default()),
            returns: Some(ListReturn::default()),
            ..list("", &["*"])
        })
    );
}

#[test]
fn status_quota_id_enable() {
    assert_eq!(
        body("STATUS blurdybloop (UIDNEXT messages HIGHESTMODSEQ DELETED)"),
        CommandBody::Status {
            mailbox: name("blurdybloop"),
            items: vec![StatusItem::UidNext, StatusItem::Messages, StatusItem::HighestModSeq, StatusItem::Deleted]
        }
    );
    assert_eq!(body("GETQUOTA \"\""), CommandBody::GetQuota(vec![]));
    assert_eq!(
        body("SETQUOTA \"!user\" (STORAGE 510 message 7)"),
        CommandBody::SetQuota { root: b"!user".to_vec(), limits: vec![("STORAGE".into(), 510), ("MESSAGE".into(), 7)] }
    );
    assert_eq!(body("ID NIL"), CommandBody::Id(None));
    assert_eq!(
        body(r#"ID ("name" "sodr" "os" NIL)"#),
        CommandBody::Id(Some(vec![
            IdField { name: b"name".to_vec(), value: Some(b"sodr".to_vec()) },
            IdField { name: b"os".to_vec(), value: None }
        ]))
    );
    assert_eq!(body("ENABLE condstore IMAP4rev2"), CommandBody::Enable(vec!["CONDSTORE".into(), "IMAP4REV2".into()]));
    assert_eq!(body("COMPRESS DEFLATE"), CommandBody::Compress("DEFLATE".into()));
}

#[test]
fn fetch_items() {
    let fetch = |items| Fetch { by: Numbering::Sequence, set: set("2:4"), items, changed_since: None, vanished: false };
    let fast = [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Size];
    assert_eq!(body("FETCH 2:4 fast"), CommandBody::Fetch(fetch(fast.to_vec())));
    let full = [&fast[..], &[FetchItem::Envelope, FetchItem::Body]].concat();
    assert_eq!(body("FETCH 2:4 FULL"), CommandBody::Fetch(fetch(full)));
    let section =
        |part, text, peek, partial| FetchItem::Section(BodySection { section: Section { part, text }, peek, partial });
    let fields = vec!["DATE".to_owned(), "FROM".to_owned()];
    for (text, expected) in [
        ("BODY", FetchItem::Body),
        ("BODYSTRUCTURE", FetchItem::BodyStructure),
        ("MODSEQ", FetchItem::ModSeq),
        ("RFC822", FetchItem::Rfc822),
        ("RFC822.HEADER", FetchItem::Rfc822Header),
        ("RFC822.TEXT", FetchItem::Rfc822Text),
        ("BODY[]", section(vec![], None, false, None)),
        ("body.peek[]<0.2048>", section(vec![], None, true, Some(Partial { offset: 0, octets: 2048 }))),
        ("BODY[HEADER]", section(vec![], Some(SectionText::Header), false, None)),
        ("BODY[1.2.TEXT]", section(part(&[1, 2]), Some(SectionText::Text), false, None)),
        ("BODY[4.1.MIME]", section(part(&[4, 1]), Some(SectionText::Mime), false, None)),
        ("BODY[3]", section(part(&[3]), None, false, None)),
        (
            "BODY.PEEK[HEADER.FIELDS (DATE FROM)]",
            section(vec![], Some(SectionText::HeaderFields(fields.clone())), true, None),
        ),
        (
            "BODY[2.HEADER.FIELDS.NOT (\"DATE\" {4}\r\nFROM)]",
            section(part(&[2]), Some(SectionText::HeaderFieldsNot(fields.clone())), false, None),
        ),
        ("BINARY[1.2]", FetchItem::Binary(BinarySection { part: part(&[1, 2]), peek: false, partial: None })),
        (
            "BINARY.PEEK[]<5.6>",
            FetchItem::Binary(BinarySection {
                part: vec![],
                peek: true,
                partial: Some(Partial { offset: 5, octets: 6 }),
            }),
        ),
        ("BINARY.SIZE[7]", FetchItem::BinarySize(part(&[7]))),
    ] {
        assert_eq!(body(&format!("FETCH 2:4 {text}")), CommandBody::Fetch(fetch(vec![expected.clone()])), "{text}");
        let with_uid = vec![FetchItem::Uid, expected];
        assert_eq!(body(&format!("FETCH 2:4 (UID {text})")), CommandBody::Fetch(fetch(with_uid)), "{text}");
    }
    assert_eq!(
        body("UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 VANISHED)"),
        CommandBody::Fetch(Fetch {
            by: Numbering::Uid,
            set: set("300:500"),
            items: vec![FetchItem::Flags],
            changed_since: Some(12345),
            vanished: true
        })
    );
}

#[test]
fn changes_of_messages() {
    let store = |unchanged_since, op, silent, flags| {
        CommandBody::Store(Store { by: Numbering::Sequence, set: set("2:4"), unchanged_since, op, silent, flags })
    };
    let deleted = Flag::System(SystemFlag::Deleted);
    let junk = Flag::Keyword(Keyword::parse("$Junk").expect("an atom"));
    assert_eq!(body(r"STORE 2:4 +FLAGS (\Deleted)"), store(None, StoreOp::Add, false, vec![deleted.clone()]));
    assert_eq!(
        body(r"STORE 2:4 -flags.silent \deleted $Junk"),
        store(None, StoreOp::Remove, true, vec![deleted.clone(), junk])
    );
    assert_eq!(
        body(r"STORE 2:4 (UNCHANGEDSINCE 320162338) FLAGS.SILENT ()"),
        store(Some(320_162_338), StoreOp::Replace, true, vec![])
    );
    let transfer = |by, text| Transfer { by, set: set(text), to: name("MEETING") };
    assert_eq!(body("COPY 2:4 MEETING"), CommandBody::Copy(transfer(Numbering::Sequence, "2:4")));
    assert_eq!(body("UID MOVE 42:69,* MEETING"), CommandBody::Move(transfer(Numbering::Uid, "42:69,*")));
    assert_eq!(
        body("UID COPY $ MEETING"),
        CommandBody::Copy(Transfer { by: Numbering::Uid, set: MessageSet::Saved, to: name("MEETING") })
    );
    assert_eq!(body("UID EXPUNGE 3000:3002"), CommandBody::UidExpunge(set("3000:3002")));
}

fn searched(text: &str) -> SearchKey {
    let CommandBody::Search(search) = body(text) else { panic!("{text}") };
    search.key
}

#[test]
fn search_keys() {
    let date = SearchDate { year: 1994, month: 2, day: 1 };
    assert_eq!(
        searched("SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\""),
        SearchKey::And(vec![
            SearchKey::Flag(SystemFlag::Flagged),
            SearchKey::Date(DateField::Internal, DateTest::Since, date),
            SearchKey::Not(Box::new(SearchKey::Envelope(EnvelopeField::From, "Smith".into()))),
        ])
    );
    for (text, expected) in [
        ("1:3,7", SearchKey::Sequence(set("1:3,7"))),
        ("$", SearchKey::Sequence(MessageSet::Saved)),
        ("UID $", SearchKey::Uid(MessageSet::Saved)),
        ("KEYWORD $Junk", SearchKey::Keyword(Keyword::parse("$Junk").expect("an atom"))),
        ("undraft", SearchKey::NotFlag(SystemFlag::Draft)),
        ("NEW", SearchKey::New),
        ("SENTON \"01-Feb-1994\"", SearchKey::Date(DateField::Sent, DateTest::On, date)),
        ("HEADER Message-ID \"\"", SearchKey::Header("Message-ID".into(), String::new())),
        ("TEXT {12}\r\n\u{439}\u{446}\u{443}\u{43a}\u{435}\u{43d}", SearchKey::Text("йцукен".into())),
        ("LARGER 70000", SearchKey::Larger(70_000)),
        ("YOUNGER 259200", SearchKey::Younger(259_200)),
        ("MODSEQ 620162338", SearchKey::ModSeq(620_162_338)),
        ("MODSEQ \"/flags/\\\\draft\" all 620162338", SearchKey::ModSeq(620_162_338)),
        ("(SEEN)", SearchKey::Flag(SystemFlag::Seen)),
        ("OR (ALL OLD) RECENT", {
            let both = SearchKey::And(vec![SearchKey::All, SearchKey::Old]);
            SearchKey::Or(Box::new(both), Box::new(SearchKey::Recent))
        }),
    ] {
        assert_eq!(searched(&format!("SEARCH {text}")), expected, "{text}");
        assert_eq!(searched(&format!("UID SEARCH CHARSET utf-8 {text} ")), expected, "{text}");
    }
    assert!(searched("SEARCH NOT (SEEN OR MODSEQ 7 ALL)").uses_modseq());
    assert!(!searched("SEARCH NOT (SEEN OR OLD ALL)").uses_modseq());
}

#[test]
fn search_returns() {
    let search = |returns| CommandBody::Search(Search { by: Numbering::Sequence, returns, key: SearchKey::All });
    assert_eq!(body("SEARCH ALL"), search(None));
    assert_eq!(body("SEARCH RETURN () ALL"), search(Some(SearchReturn { all: true, ..SearchReturn::default() })));
    let both = SearchReturn { min: true, count: true, save: true, ..SearchReturn::default() };
    assert_eq!(body("SEARCH RETURN (MIN COUNT SAVE) CHARSET US-ASCII ALL"), search(Some(both)));
    let rejected = request(b"a SEARCH CHARSET KOI8-R ALL", Dialect::Rev1).expect_err("we read UTF-8");
    assert_eq!(rejected.reply.code, Some(crate::ResponseCode::BadCharset));
}

#[test]
fn nesting_has_an_end() {
    let nested = |depth: usize| format!("a SEARCH {}ALL{}", "(".repeat(depth), ")".repeat(depth));
    assert!(request(nested(SearchKey::DEPTH_MAX).as_bytes(), Dialect::Rev1).is_ok());
    assert!(request(nested(SearchKey::DEPTH_MAX + 1).as_bytes(), Dialect::Rev1).is_err());
    assert!(request(format!("a SEARCH {}ALL", "NOT ".repeat(100_000)).as_bytes(), Dialect::Rev1).is_err());
    assert!(request(format!("a SEARCH{}", " ALL".repeat(SearchKey::COUNT_MAX)).as_bytes(), Dialect::Rev1).is_ok());
    assert!(request(format!("a SEARCH{}", " ALL".repeat(SearchKey::COUNT_MAX + 1)).as_bytes(), Dialect::Rev1).is_err());
    let parts = |count: usize| format!("a FETCH 1 BODY[{}]", vec!["1"; count].join("."));
    assert!(request(parts(Section::PART_DEPTH_MAX).as_bytes(), Dialect::Rev1).is_ok());
    assert!(request(parts(Section::PART_DEPTH_MAX + 1).as_bytes(), Dialect::Rev1).is_err());
    let items = |count: usize| format!("a FETCH 1 ({})", vec!["UID"; count].join(" "));
    assert!(request(items(FetchItem::COUNT_MAX).as_bytes(), Dialect::Rev1).is_ok());
    assert!(request(items(FetchItem::COUNT_MAX + 1).as_bytes(), Dialect::Rev1).is_err());
}

#[test]
fn what_is_malformed() {
    for text in include_str!("../../tests/malformed.txt").lines().filter(|line| !line.starts_with('#')) {
        let unescaped = text.replace("\\r\\n", "\r\n").replace("\\0", "\0");
        let rejected = request(unescaped.as_bytes(), Dialect::Rev1).expect_err(text);
        assert_eq!(rejected.reply.kind, ReplyKind::Bad, "{text}");
    }
    // Without a tag of its own, the answer has none.
    for text in ["", "+ NOOP", "(a NOOP", "\u{e4} NOOP", " NOOP"] {
        assert_eq!(request(text.as_bytes(), Dialect::Rev1).expect_err(text).tag, None, "{text}");
    }
}

#[test]
fn conversations() {
    let tag = Tag::parse(b"a").expect("a tag");
    let auth = |initial| Request::Authenticate { tag: tag.clone(), mechanism: "PLAIN".into(), initial };
    let read = |text: &str| request(text.as_bytes(), Dialect::Rev1);
    assert_eq!(read("a starttls"), Ok(Request::StartTls(tag.clone())));
    assert_eq!(read("a IDLE"), Ok(Request::Idle(tag.clone())));
    assert_eq!(read("a AUTHENTICATE plain"), Ok(auth(None)));
    assert_eq!(read("a AUTHENTICATE PLAIN ="), Ok(auth(Some(vec![]))));
    assert_eq!(read("a AUTHENTICATE PLAIN AHRlc3Q="), Ok(auth(Some(b"\0test".to_vec()))));
}

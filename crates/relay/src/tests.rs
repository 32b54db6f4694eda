//! The relay over stores in memory.
//!
//! Dialogues are in `tests/transcripts`. `C:` is sent, `S:` is the beginning of the next line of the answer, `!` tells a
//! store what to do (`! south commits cid 451 4.3.0 Later`), `=` lists who has mail (`= north/ann south/cid`). Those whose
//! name begins with `lmtp` speak LMTP.

mod early;
mod gate;
mod lanes;
mod logged;
mod orders;
mod other_makes;
mod retry;
mod site;
mod stores;

use mail_types::{EnhancedCode, ReplyCode};
use proptest::prelude::*;
use site::{Talk, routing};
use smtp_proto::{Refusal, Reply};
use std::sync::Arc;
use stores::{Answer, Stores};

#[test]
fn transcripts() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let mut count = 0;
    for entry in std::fs::read_dir(dir).expect("the transcripts") {
        let path = entry.expect("an entry").path();
        run(&path.display().to_string(), &std::fs::read_to_string(&path).expect("a transcript"));
        count += 1;
    }
    assert!(count >= 12, "{count} transcripts");
}

fn run(name: &str, transcript: &str) {
    let stores = Stores::new();
    let is_lmtp = name.rsplit('/').next().is_some_and(|file| file.starts_with("lmtp"));
    let mut talk = if is_lmtp { Talk::lmtp(&stores) } else { Talk::new(&stores) };
    let greeting = talk.send(b"");
    let mut heard: std::collections::VecDeque<String> = greeting.lines().map(str::to_owned).collect();
    for (number, line) in transcript.lines().enumerate() {
        let at = format!("{name}:{}", number + 1);
        let (mark, rest) = line.split_at(line.len().min(2));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match mark.trim() {
            "C:" => {
                assert!(heard.is_empty(), "{at}: nobody expected {heard:?}");
                heard = talk.send(format!("{rest}\r\n").as_bytes()).lines().map(str::to_owned).collect();
            }
            "S:" => {
                let said = heard.pop_front().unwrap_or_default();
                assert!(said.starts_with(rest), "{at}: expected {rest:?}, heard {said:?}");
            }
            "!" => script(&stores, rest),
            "=" => {
                let mut places: Vec<_> = stores.mail().iter().map(stores::Mail::place).collect();
                places.sort();
                assert_eq!(places.join(" "), rest, "{at}");
            }
            "T:" => {
                assert_eq!(talk.flow, ports::Flow::StartTls, "{at}");
                talk.tls();
            }
            "#" | "" => {}
            other => panic!("{at}: {other:?} is no mark"),
        }
    }
    assert!(heard.is_empty(), "{name}: nobody expected {heard:?}");
    talk.hang_up();
    assert_eq!(stores.open_transactions(), 0, "{name}: a transaction was left open");
}

fn script(stores: &Stores, line: &str) {
    let (store, rest) = line.split_once(' ').expect("a store");
    let (verb, rest) = rest.split_once(' ').expect("a verb");
    let (user, answer) = rest.split_once(' ').expect("a user, or *");
    let verb = ["opens", "takes", "writes", "commits"].into_iter().find(|known| *known == verb).expect("a verb");
    let answer = match answer {
        "silence" => Answer::Silence,
        "short" => Answer::Short,
        text => match text.strip_prefix("then ") {
            Some(text) => Answer::NoAgain(refusal(text)),
            None => Answer::No(refusal(text)),
        },
    };
    stores.script(store, verb, user, answer);
}

fn refusal(text: &str) -> Refusal {
    let (code, text) = text.split_once(' ').expect("a code");
    let (enhanced, text) = EnhancedCode::parse(text).expect("an enhanced code");
    let code = ReplyCode::parse(code.as_bytes()).expect("a code");
    Refusal::try_from(Reply::new(code, Some(enhanced), text.to_owned())).expect("a refusal")
}

const ENVELOPE: &str = "EHLO foo.example\nMAIL FROM:<s@far.example>\n";

#[test]
fn a_message_is_stored_behind_one_header() {
    let stores = Stores::new();
    let mut talk = Talk::new(&stores);
    let said = talk.say(&format!("{ENVELOPE}RCPT TO:<Ann@a.example>\nDATA\nSubject: x\n\nhello\n..dot\n."));
    assert!(said.contains("\r\n250 2.0.0 Ok: on stable storage as 00000000000000000000000000000000\r\n"), "{said}");
    let mail = stores.mail();
    let (header, text) = mail[0].split();
    assert_eq!(
        header,
        "Received: from foo.example ([192.0.2.1])\r\n\tby mx.a.example with ESMTP id \
         00000000000000000000000000000000\r\n\tfor <Ann@a.example>;\r\n\tFri, 21 Nov 1997 15:55:06 +0000\r\n"
    );
    assert_eq!(text, b"Subject: x\r\n\r\nhello\r\n.dot\r\n");
    assert_eq!(mail[0].recipient.recipient.to_string(), "Ann@a.example");
    assert_eq!(mail[0].envelope.from.to_string(), "<s@far.example>");
}

#[test]
fn one_id_for_all_stores_and_another_for_the_next_message() {
    let stores = Stores::new();
    let mut talk = Talk::new(&stores);
    talk.say(&format!("{ENVELOPE}RCPT TO:<all@a.example>\nRCPT TO:<bob@a.example>\nDATA\nx\n."));
    talk.say("MAIL FROM:<>\nRCPT TO:<ann@a.example>\nDATA\ny\n.");
    let mail = stores.mail();
    let ids: Vec<u8> = mail.iter().map(|mail| mail.id().as_bytes()[0]).collect();
    assert_eq!(ids, [0, 0, 0, 1]);
    // RFC 5321 §7.2: of several recipients, none learns of the others.
    assert!(!mail[0].split().0.contains("for <"));
    assert!(mail[3].split().0.contains("for <ann@a.example>"));
}

#[test]
fn stores_commit_side_by_side() {
    let stores = Stores::new();
    stores.commits_meet(2);
    let said = Talk::new(&stores).say(&format!("{ENVELOPE}RCPT TO:<all@a.example>\nDATA\nx\n."));
    assert!(said.contains("250 2.0.0 Ok: on stable"), "{said}");
}

#[test]
fn without_a_directory_nobody_is_unknown() {
    let stores = Stores::new();
    for routing in [None, Some(Arc::new(directory::Routing::default()))] {
        let mut talk = Talk::with(&stores, move || routing.clone());
        let said = talk.say(&format!("{ENVELOPE}RCPT TO:<nobody@nowhere.example>"));
        assert!(said.contains("\r\n451 4.4.3 "), "{said}");
    }
}

#[test]
fn a_message_that_goes_round_is_refused_and_not_passed_on() {
    let stores = Stores::new();
    let mut talk = Talk::new(&stores);
    talk.say(&format!("{ENVELOPE}RCPT TO:<all@a.example>\nDATA"));
    talk.say(&"Received: from a by b; today\n".repeat(200));
    assert_eq!(stores.open_transactions(), 0);
    let said = talk.say(".");
    assert!(said.starts_with("554 5.4.6 "), "{said}");
    let said = talk.say(&format!("MAIL FROM:<>\nRCPT TO:<ann@a.example>\nDATA\n{}\n.", "Received: x\n".repeat(99)));
    assert!(said.contains("250 2.0.0 Ok: on stable"), "{said}");
}

#[test]
fn in_lmtp_a_message_that_goes_round_is_refused_for_each() {
    let stores = Stores::new();
    let mut talk = Talk::lmtp(&stores);
    talk.say("LHLO foo.example\nMAIL FROM:<>\nRCPT TO:<ann@a.example>\nRCPT TO:<cid@a.example>\nDATA");
    let said = talk.say(&format!("{}\n.", "Received: x\n".repeat(200)));
    assert_eq!(said.matches("554 5.4.6 ").count(), 2, "{said}");
    assert!(stores.mail().is_empty());
    let said = talk.say("MAIL FROM:<>\nRCPT TO:<ann@a.example>\nRCPT TO:<cid@a.example>\nDATA\nx\n.");
    assert_eq!(said.matches("250 2.0.0 Ok: on stable").count(), 2, "{said}");
    let mail = stores.mail();
    assert_eq!(mail[0].id(), mail[1].id());
    assert!(mail[0].split().0.contains(" with LMTP id 01010101"), "{}", mail[0].split().0);
}

#[test]
fn whoever_leaves_early_leaves_nothing() {
    for last in ["RSET", "EHLO again.example", "QUIT", "DATA\nhalf a mess", "DATA\nbare\rreturn\n.", "BDAT 4\nhalf"] {
        let stores = Stores::new();
        let mut talk = Talk::new(&stores);
        talk.say(&format!("{ENVELOPE}RCPT TO:<all@a.example>"));
        assert_eq!(stores.open_transactions(), 2);
        talk.say(last);
        if last.starts_with("DATA\nhalf") || last.starts_with("BDAT") {
            talk.hang_up();
        }
        assert_eq!(stores.open_transactions(), 0, "{last:?}");
        assert!(stores.mail().is_empty(), "{last:?}");
    }
}

#[test]
fn every_piece_goes_to_every_store() {
    let stores = Stores::new();
    let mut talk = Talk::new(&stores);
    let text = format!("Subject: x\n\n{}", "0123456789 0123456789\n".repeat(500));
    talk.say(&format!("{ENVELOPE}RCPT TO:<all@a.example>\nDATA\n{text}."));
    let mail = stores.mail();
    assert_eq!(mail.len(), 2);
    assert!(mail.iter().all(|mail| mail.split().1 == text.replace('\n', "\r\n").as_bytes()));
    // The header and twelve pieces of at most 1000 octets, for two stores.
    assert_eq!(stores.writes(), 2 * (1 + text.replace('\n', "\r\n").len().div_ceil(1000)));
}

#[test]
fn internationalised_mail_says_so() {
    let stores = Stores::new();
    let mut talk = Talk::new(&stores);
    talk.say("EHLO [192.0.2.1]\nMAIL FROM:<jörg@far.example> SMTPUTF8\nRCPT TO:<ann@a.example>\nDATA\nx\n.");
    let (header, _) = stores.mail()[0].split();
    assert!(header.contains("from [192.0.2.1] ([192.0.2.1])\r\n\tby mx.a.example with UTF8SMTP id "), "{header}");
}

#[test]
fn the_site_is_as_the_tests_believe() {
    let routing = routing();
    assert_eq!(routing.flaws().count(), 0);
    assert_eq!(routing.stores().count(), 4);
}

/// Stores that answer so: store, verb, user, answer.
fn trouble(answers: Vec<(usize, usize, usize, usize)>) -> Stores {
    let stores = Stores::new();
    for (store, verb, user, answer) in answers {
        let store = ["north", "south"][store];
        let verb = ["opens", "takes", "writes", "commits"][verb];
        let user = match verb {
            "opens" | "writes" => "*",
            _ => ["ann", "bob", "cid"][user],
        };
        let answer = match answer {
            0 => Answer::No(Refusal::NO_SUCH_USER),
            1 => Answer::NoAgain(Refusal::MAILBOX_FULL),
            2 => Answer::Silence,
            _ => Answer::Short,
        };
        stores.script(store, verb, user, answer);
    }
    stores
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// 8-bit text by DATA and by BDAT, split anywhere, is stored as it was sent.
    #[test]
    fn the_octets_are_the_senders(
        lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 0..60),
        cuts in proptest::collection::vec(1usize..400, 1..10),
    ) {
        let line = |line: &Vec<u8>| line.iter().copied().filter(|b| !b"\r\n".contains(b)).chain(*b"\r\n").collect();
        let lines: Vec<Vec<u8>> = lines.iter().map(line).collect();
        let text = lines.concat();
        let stuffed: Vec<u8> = lines.iter().flat_map(|line| {
            let dot = if line.starts_with(b".") { &b"."[..] } else { b"" };
            [dot, line].concat()
        }).collect();
        let envelope = |from: &str| format!("MAIL FROM:<{from}@far.example> BODY=8BITMIME\r\nRCPT TO:<all@a.example>\r\n");
        let stream = [
            b"EHLO foo.example\r\n".to_vec(),
            envelope("data").into_bytes(), b"DATA\r\n".to_vec(), stuffed, b".\r\n".to_vec(),
            envelope("bdat").into_bytes(), format!("BDAT {}\r\n", text.len()).into_bytes(), text.clone(),
            b"BDAT 0 LAST\r\n".to_vec(),
        ].concat();
        let stores = Stores::new();
        let mut talk = Talk::new(&stores);
        let (mut rest, mut cuts) = (stream.as_slice(), cuts.iter().cycle());
        let mut said = String::new();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*cuts.next().expect("a cycle")));
            said.push_str(&talk.send(now));
            rest = later;
        }
        prop_assert_eq!(said.matches("250 2.0.0 Ok: on stable storage").count(), 2, "{}", said);
        let mail = stores.mail();
        prop_assert_eq!(mail.len(), 4);
        for mail in mail {
            prop_assert_eq!(&mail.split().1, &text);
        }
    }

    /// Whatever the stores do: each recipient of LMTP hears 250 exactly when all its accounts have it.
    #[test]
    fn in_lmtp_each_250_stands_for_its_own_commits(
        answers in proptest::collection::vec((0usize..2, 0usize..4, 0usize..3, 0usize..4), 0..6),
        rcpts in proptest::collection::vec(prop_oneof![Just("ann"), Just("bob"), Just("cid"), Just("all")], 1..5),
    ) {
        // A store that keeps silent, or gives fewer answers than it should, has been heard about nobody.
        let unheard = answers.iter().any(|(.., answer)| *answer >= 2);
        let stores = trouble(answers);
        let mut talk = Talk::lmtp(&stores);
        talk.say("LHLO foo.example\nMAIL FROM:<s@far.example>");
        let mut takes = |rcpt: &&str| talk.say(&format!("RCPT TO:<{rcpt}@a.example>")).starts_with("250");
        let promised: Vec<&str> = rcpts.into_iter().filter(|rcpt| takes(rcpt)).collect();
        let said = if talk.say("DATA").starts_with("354") { talk.say("x\n.") } else { String::new() };
        let mut has: Vec<_> = stores.mail().iter().map(|mail| mail.recipient.address.local().to_string()).collect();
        if !said.is_empty() {
            prop_assert_eq!(said.lines().count(), promised.len(), "{}", said);
            for (rcpt, answer) in promised.iter().zip(said.lines()) {
                let accounts = if *rcpt == "all" { vec!["ann", "cid"] } else { vec![*rcpt] };
                let all = accounts.iter().all(|account| has.iter().any(|user| user == account));
                let good = answer.starts_with("250");
                prop_assert!(if unheard { !good || all } else { good == all }, "{}: {}; {:?} have it", rcpt, answer, has);
            }
        }
        has.sort();
        let before = has.len();
        has.dedup();
        prop_assert_eq!(has.len(), before, "somebody has it twice");
        talk.hang_up();
        prop_assert_eq!(stores.open_transactions(), 0);
    }

    /// Whatever the stores do: 250 exactly when everybody has it, and nobody who was refused has it.
    #[test]
    fn no_250_without_every_commit(
        answers in proptest::collection::vec((0usize..2, 0usize..4, 0usize..3, 0usize..4), 0..6),
        rcpts in proptest::collection::vec(prop_oneof![Just("ann"), Just("bob"), Just("cid"), Just("all")], 1..5),
    ) {
        let stores = trouble(answers);
        let mut talk = Talk::new(&stores);
        talk.say(ENVELOPE.trim_end());
        let mut promised = std::collections::BTreeSet::new();
        for rcpt in &rcpts {
            if talk.say(&format!("RCPT TO:<{rcpt}@a.example>")).starts_with("250") {
                promised.extend(if *rcpt == "all" { vec!["ann", "cid"] } else { vec![*rcpt] });
            }
        }
        let said = if talk.say("DATA").starts_with("354") { talk.say("x\n.") } else { String::new() };
        let mut has: Vec<_> = stores.mail().iter().map(|mail| mail.recipient.address.local().to_string()).collect();
        has.sort();
        let all = !promised.is_empty() && has.iter().map(String::as_str).eq(promised.iter().copied());
        prop_assert_eq!(said.starts_with("250"), all, "{} promised {:?}, stored {:?}", said, promised, has);
        prop_assert!(has.iter().all(|user| promised.contains(user.as_str())), "{:?} were promised, {:?} have it", promised, has);
        let before = has.len();
        has.dedup();
        prop_assert_eq!(has.len(), before, "somebody has it twice");
        talk.hang_up();
        prop_assert_eq!(stores.open_transactions(), 0);
    }
}

//! Deliveries to back-ends of another make.

use super::node::{Cluster, NodeHandle, Say};
use super::{STORED, codes, envelope, recipient, run, send, shown, store};
use crate::HostState;
use crate::deliveries::lines::{BACK_END_SENDERS_MAX, KEPT_SPAN_MAX, QUEUE_END_WAIT, SENDERS_END_WAIT};
use crate::deliveries::look::LOOKS_AT_ONCE_MAX;
use crate::deliveries::{CALL_WAIT, KEPT_ANSWER_WAIT, TURN_WAIT};
use crate::foreign::Protocol;
use crate::visits::LOOK_ROUND_SPAN;
use mail_types::{Address, ReversePath};
use ports::{CallSecurity, Delivery, Envelope, Recipient, Trust};
use std::task::{Context, Waker};
use std::time::Duration;

fn dovecot() -> (Cluster, NodeHandle) {
    let (cluster, [host]) = Cluster::back_end(Protocol::Lmtp, CallSecurity::Plain, ["old"]);
    (cluster, host)
}

fn postfix() -> (Cluster, NodeHandle) {
    let (cluster, [host]) = Cluster::back_end(Protocol::Smtp, CallSecurity::Plain, ["old"]);
    (cluster, host)
}

#[test]
fn by_lmtp_each_recipient_hears_for_itself_and_nothing_of_ours_is_said() {
    let (cluster, host) = dovecot();
    host.says("RCPT TO:<gone+x@", Say::text("550 5.1.1 <gone> no such user"));
    host.says("end 1", Say::text("452 4.2.2 full"));
    assert_eq!(send(&cluster.deliveries, &["a", "gone", "b", "c"]), ["gone 550 5.1.1", STORED, "452 4.2.2", STORED]);
    // The recipient as it was received; no parameter that is not offered.
    let lines = host.heard();
    assert_eq!(lines[..3], ["LHLO relay.test", "MAIL FROM:<> SIZE=9 BODY=8BITMIME", "RCPT TO:<a+x@big.test>"]);
    assert_eq!(lines[lines.len() - 3..], ["DATA", "hi", "."]);
    assert!(lines.iter().all(|line| !line.contains("XSTORE") && !line.contains("XRCPT")), "{lines:?}");
}

#[test]
fn by_smtp_one_answer_is_for_all() {
    let (cluster, host) = postfix();
    assert_eq!(send(&cluster.deliveries, &["a", "b"]), [STORED, STORED]);
    assert_eq!(host.heard()[0], "EHLO relay.test");
    host.says_once("end 0", Say::text("451 4.3.0 later"));
    assert_eq!(send(&cluster.deliveries, &["a", "b"]), ["451 4.3.0", "451 4.3.0"]);
    host.says_once("end 0", Say::Break);
    assert_eq!(send(&cluster.deliveries, &["a", "b"]), ["451 4.4.2", "451 4.4.2"]);
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
}

#[test]
fn its_refusals_are_passed_on_unless_they_are_about_us() {
    for (said, told) in [
        ("550 5.1.1 no such user", "550 5.1.1 no such user"),
        ("550 no such user", "550 5.0.0 no such user"),
        ("550-5.2.1 one\r\n550 5.2.1 two", "550 5.2.1 one two"),
        ("553 5.1.3 what a name", "553 5.1.3 what a name"),
        ("554 5.2.1 disabled", "554 5.2.1 disabled"),
        ("452 4.2.2 full", "452 4.2.2 full"),
        ("450", "450 4.0.0 Refused by the store of this address"),
        ("550 4.1.1 contradicts itself", "550 5.0.0 4.1.1 contradicts itself"),
        // Whoever says that nobody answers has answered.
        ("451 4.4.1 my own back-end is away", "451 4.4.0 my own back-end is away"),
        ("451 4.4.2 likewise", "451 4.4.0 likewise"),
        // No word about the recipient.
        ("503 5.5.1 bad sequence", "451 4.3.0 bad sequence"),
        ("502 what?", "451 4.3.0 what?"),
        ("530 5.7.0 STARTTLS first", "451 4.3.0 STARTTLS first"),
        ("555 parameter", "451 4.3.0 parameter"),
        ("421 4.3.2 going down", "451 4.4.2 The connection to the store broke, try again later"),
        ("354 what", "451 4.4.2 The connection to the store broke, try again later"),
    ] {
        for at in ["RCPT TO:<b+x@", "MAIL"] {
            let (cluster, host) = dovecot();
            host.says(at, Say::text(said));
            let mut transaction = run(cluster.deliveries.open(&store("ingrid"), envelope())).expect("a transaction");
            let refusal = run(transaction.rcpt(recipient("b"))).expect_err("a refusal");
            assert_eq!(refusal.to_string(), told, "{said} to {at}");
        }
        let (cluster, host) = dovecot();
        host.says("end 0", Say::text(said));
        let lines = send(&cluster.deliveries, &["b"]);
        assert_eq!(lines, [told.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ")], "{said} at the end");
    }
}

/// It sees no client but the relay: behind the dot alone it may mean the message.
#[test]
fn what_it_has_against_the_relay_is_not_the_senders() {
    for (said, told, behind_the_dot) in [
        ("554 5.7.1 relay access denied", "451 4.3.0 relay access denied", "554 5.7.1"),
        ("550 5.7.23 SPF fails", "451 4.3.0 SPF fails", "550 5.7.23"),
        ("554 listed", "451 4.3.0 listed", "554 5.0.0"),
        ("554 5.3.2 no mail here", "451 4.3.0 no mail here", "554 5.3.2"),
        ("571 no", "451 4.3.0 no", "571 5.0.0"),
    ] {
        for at in ["RCPT TO:<b+x@", "MAIL"] {
            let (cluster, host) = postfix();
            host.says(at, Say::text(said));
            let mut transaction = run(cluster.deliveries.open(&store("ingrid"), envelope())).expect("a transaction");
            let refusal = run(transaction.rcpt(recipient("b"))).expect_err("a refusal");
            assert_eq!(refusal.to_string(), told, "{said} to {at}");
        }
        let (cluster, host) = postfix();
        host.says("end 0", Say::text(said));
        assert_eq!(send(&cluster.deliveries, &["b"]), [behind_the_dot], "{said}");
    }
}

#[test]
fn a_refused_sender_is_told_apart_from_a_refused_recipient() {
    for (at, is_of_all) in [("MAIL", true), ("RCPT TO:<b+x@", false)] {
        let (cluster, host) = dovecot();
        host.says(at, Say::text("550 5.1.1 nobody"));
        let mut transaction = run(cluster.deliveries.open(&store("ingrid"), envelope())).expect("a transaction");
        assert!(!transaction.has_failed());
        assert!(run(transaction.rcpt(recipient("b"))).is_err());
        assert_eq!(transaction.has_failed(), is_of_all, "{at}");
    }
}

#[test]
fn what_it_says_is_one_short_line_of_ascii() {
    let (cluster, host) = dovecot();
    let long: String = "x\u{e9}\u{7}".repeat(200);
    host.says("RCPT", Say::Text(format!("550-5.1.1 {long}\r\n550 5.1.1 end")));
    let mut transaction = run(cluster.deliveries.open(&store("ingrid"), envelope())).expect("a transaction");
    let refusal = run(transaction.rcpt(recipient("b"))).expect_err("a refusal");
    let lines: Vec<_> = refusal.reply().lines().collect();
    assert!(matches!(&*lines, [line] if line.len() == ports::SHOWN_TEXT_OCTETS_MAX), "{lines:?}");
    assert!(lines[0].bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{lines:?}");
}

#[test]
fn the_first_host_that_answers_gets_it() {
    for how in [Say::Break, Say::Late] {
        let (cluster, [first, second]) = Cluster::back_end(Protocol::Lmtp, CallSecurity::Plain, ["one", "two"]);
        first.says("connect", how.clone());
        for _ in 0..3 {
            assert_eq!(send(&cluster.deliveries, &["a"]), [STORED], "{how:?}");
        }
        assert_eq!((first.calls(), second.calls(), second.messages()), (1, 1, 3), "it is left alone");
        first.recovers();
        cluster.clock.pass(Duration::from_secs(1));
        assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
        assert_eq!((first.calls(), first.messages()), (2, 1), "and is the first again");
    }
    // One that greets with a refusal, or knows no LMTP.
    for (at, say) in [("LHLO", "502 what?"), ("LHLO", "421 too busy")] {
        let (cluster, [first, second]) = Cluster::back_end(Protocol::Lmtp, CallSecurity::Plain, ["one", "two"]);
        first.says(at, Say::text(say));
        assert_eq!(send(&cluster.deliveries, &["a"]), [STORED], "{say}");
        assert_eq!((first.messages(), second.messages()), (0, 1));
    }
}

#[test]
fn behind_mail_the_word_of_a_host_is_final() {
    let (cluster, [first, second]) = Cluster::back_end(Protocol::Lmtp, CallSecurity::Plain, ["one", "two"]);
    first.says("RCPT TO:<b+x@", Say::text("550 5.1.1 nobody"));
    assert_eq!(send(&cluster.deliveries, &["b"])[0], "b 550 5.1.1");
    first.says("RCPT TO:<b+x@", Say::Break);
    cluster.clock.pass(Duration::from_secs(60));
    assert_eq!(send(&cluster.deliveries, &["b"])[0], "b 451 4.4.2");
    assert_eq!(second.calls(), 0);
}

#[test]
fn a_kept_connection_to_a_host_that_died_leads_to_the_next() {
    let (cluster, [first, second]) = Cluster::back_end(Protocol::Lmtp, CallSecurity::Plain, ["one", "two"]);
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    first.says("MAIL", Say::Break);
    first.says("connect", Say::Break);
    assert_eq!(send(&cluster.deliveries, &["a", "b"]), [STORED, STORED]);
    assert_eq!((first.calls(), second.calls(), second.messages()), (2, 1, 1));
    let states: Vec<_> = cluster.deliveries.hosts().into_iter().map(|host| (host.protocol, host.state)).collect();
    assert_eq!(states, [(Protocol::Lmtp, HostState::LeftAlone), (Protocol::Lmtp, HostState::Up)]);
}

#[test]
fn a_kept_connection_that_keeps_silent_leads_to_the_next_soon() {
    for next in ["one", "two"] {
        let (cluster, [first, second]) = Cluster::back_end(Protocol::Lmtp, CallSecurity::Plain, ["one", "two"]);
        let (ingrid, context) = (store("ingrid"), &mut Context::from_waker(Waker::noop()));
        let both = [0, 1].map(|_| run(cluster.deliveries.open(&ingrid, envelope())).expect("a transaction"));
        drop(both);
        first.says("RCPT", Say::Never);
        let mut transaction = run(cluster.deliveries.open(&ingrid, envelope())).expect("a transaction");
        {
            let mut asking = transaction.rcpt(recipient("a"));
            assert!(asking.as_mut().poll(context).is_pending());
            first.recovers();
            if next == "two" {
                first.says("connect", Say::Break);
            }
            cluster.clock.pass(KEPT_ANSWER_WAIT);
            run(asking).expect("taken");
        }
        run(transaction.write("hi\r\n".into())).expect("taken");
        assert_eq!(run(transaction.commit()).iter().map(shown).collect::<Vec<_>>(), [STORED]);
        let (at_first, at_second) = if next == "one" { (1, 0) } else { (0, 1) };
        assert_eq!((first.messages(), second.messages()), (at_first, at_second));
        assert_eq!(first.open(), at_first, "the others are as dead");
    }
}

#[test]
fn all_hosts_away_is_no_answer() {
    let (cluster, [first, second]) = Cluster::back_end(Protocol::Lmtp, CallSecurity::Plain, ["one", "two"]);
    let reports = cluster.deliveries.hosts();
    assert!(reports.iter().all(|host| host.state == HostState::Unknown), "{reports:?}");
    first.says("connect", Say::Break);
    second.says("connect", Say::Break);
    for _ in 0..3 {
        assert_eq!(send(&cluster.deliveries, &["a"]), ["open 451 4.4.1"]);
    }
    let reports = cluster.deliveries.hosts();
    assert!(reports.iter().all(|host| host.state == HostState::LeftAlone && host.failures == 1), "{reports:?}");
    let why = reports[0].last_failure.as_ref().map(|(_, why)| why.as_str());
    assert_eq!(why, Some("connection refused"));
}

#[test]
fn a_store_without_a_port_for_mail_is_put_off() {
    let (cluster, _) = dovecot();
    let refusal = run(cluster.deliveries.open(&store("other"), envelope())).err().expect("a refusal");
    assert_eq!(codes(&refusal), "451 4.3.0");
}

#[test]
fn starttls_comes_before_mail_or_there_is_none() {
    let starttls = CallSecurity::StartTls(Trust::Public);
    let (cluster, [host]) = Cluster::back_end(Protocol::Smtp, starttls, ["old"]);
    host.offers("STARTTLS\n8BITMIME");
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    assert_eq!(host.heard()[..4], ["EHLO relay.test", "STARTTLS", "(TLS)", "EHLO relay.test"]);
    for (at, say) in [("EHLO", "250-node.test\r\n250 8BITMIME"), ("STARTTLS", "454 4.7.0 not now")] {
        let (cluster, [host]) = Cluster::back_end(Protocol::Smtp, starttls, ["old"]);
        host.offers("STARTTLS\n8BITMIME");
        host.says(at, Say::text(say));
        assert_eq!(send(&cluster.deliveries, &["a"]), ["open 451 4.4.1"], "{say}");
        assert!(host.heard().iter().all(|line| !line.starts_with("MAIL")), "{say}");
    }
}

#[test]
fn octets_go_as_they_came_and_addresses_beyond_ascii_only_where_they_are_understood() {
    let (cluster, host) = dovecot();
    host.offers("PIPELINING");
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    assert_eq!(host.heard()[1], "MAIL FROM:<>", "nothing is declared that is not offered");
    let address = |text: &str| Address::parse(text).expect("an address");
    let to = Recipient { recipient: address("j\u{f6}rg@big.test"), ..recipient("a") };
    let mut transaction = run(cluster.deliveries.open(&store("ingrid"), envelope())).expect("a transaction");
    let refusal = run(transaction.rcpt(to)).expect_err("a refusal");
    assert_eq!(codes(&refusal), "553 5.6.7");
    let from = Envelope { from: ReversePath::Address(address("j\u{f6}rg@far.test")), ..envelope() };
    let refusal = run(cluster.deliveries.open(&store("ingrid"), from)).err().expect("a refusal");
    assert_eq!(codes(&refusal), "553 5.6.7");
    // RFC 1870 §6.
    let (cluster, _host) = dovecot();
    let big = Envelope { size: Some(1001), ..envelope() };
    let refusal = run(cluster.deliveries.open(&store("ingrid"), big)).err().expect("a refusal");
    assert_eq!(codes(&refusal), "552 5.3.4");
}

/// Not for the text: a back-end that has to hand it on where SMTPUTF8 is unknown would bounce it.
#[test]
fn smtputf8_is_declared_for_addresses_alone() {
    let address = |text: &str| Address::parse(text).expect("an address");
    let (cluster, host) = dovecot();
    host.offers("PIPELINING\nSMTPUTF8");
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    assert_eq!(host.heard()[1], "MAIL FROM:<>");
    // A recipient beyond ASCII: the envelope so far is said again.
    let joerg = Recipient { recipient: address("j\u{f6}rg@big.test"), ..recipient("a") };
    let mut transaction = run(cluster.deliveries.open(&store("ingrid"), envelope())).expect("a transaction");
    for to in [recipient("a"), joerg.clone(), recipient("c")] {
        run(transaction.rcpt(to)).expect("taken");
    }
    host.says("end 2", Say::text("452 4.2.2 full"));
    run(transaction.write("hi\r\n".into())).expect("taken");
    let told: Vec<_> = run(transaction.commit()).iter().map(shown).collect();
    assert_eq!(told, [STORED, STORED, "452 4.2.2"]);
    let heard = host.heard();
    let begun = heard.iter().rposition(|line| line.starts_with("MAIL")).expect("a MAIL");
    assert_eq!(
        heard[begun - 1..begun + 4],
        [
            "RSET",
            "MAIL FROM:<> SMTPUTF8",
            "RCPT TO:<a+x@big.test>",
            "RCPT TO:<j\u{f6}rg@big.test>",
            "RCPT TO:<c+x@big.test>"
        ]
    );
    // Who was taken the first time and is not the second was told 250: his mail waits.
    let mut transaction = run(cluster.deliveries.open(&store("ingrid"), envelope())).expect("a transaction");
    run(transaction.rcpt(recipient("a"))).expect("taken");
    host.says("RCPT TO:<a+x@", Say::text("452 4.2.2 full"));
    assert_eq!(codes(&run(transaction.rcpt(joerg)).expect_err("a refusal")), "451 4.4.1");
    assert_eq!(run(transaction.commit()).iter().map(shown).collect::<Vec<_>>(), ["451 4.4.1"]);
    // And a sender.
    let from = Envelope { from: ReversePath::Address(address("j\u{f6}rg@far.test")), ..envelope() };
    let mut transaction = run(cluster.deliveries.open(&store("ingrid"), from)).expect("a transaction");
    run(transaction.rcpt(recipient("b"))).expect("taken");
    let mail = host.heard().into_iter().rfind(|line| line.starts_with("MAIL"));
    assert_eq!(mail.as_deref(), Some("MAIL FROM:<j\u{f6}rg@far.test> SMTPUTF8"));
}

/// It knows no delivery ids: who is forgotten here gets a second copy.
#[test]
fn answers_that_came_count_when_the_others_do_not_come() {
    let (cluster, host) = dovecot();
    let (ingrid, context) = (store("ingrid"), &mut Context::from_waker(Waker::noop()));
    host.says("end 1", Say::Never);
    for (deliveries, wait) in
        [(&*cluster.deliveries, SENDERS_END_WAIT), (&cluster.deliveries.for_queue(), QUEUE_END_WAIT)]
    {
        let mut transaction = run(deliveries.open(&ingrid, envelope())).expect("a transaction");
        for to in ["a", "b", "c"] {
            run(transaction.rcpt(recipient(to))).expect("taken");
        }
        run(transaction.write("hi\r\n".into())).expect("taken");
        let mut commit = transaction.commit();
        assert!(commit.as_mut().poll(context).is_pending());
        cluster.clock.pass(wait - Duration::from_secs(1));
        assert!(commit.as_mut().poll(context).is_pending());
        cluster.clock.pass(Duration::from_secs(1));
        let told: Vec<_> = run(commit).iter().map(shown).collect();
        assert_eq!(told, [STORED, "451 4.4.2", "451 4.4.2"]);
        assert_eq!(host.open(), 0, "such a connection is good for nothing");
    }
}

#[test]
fn a_host_that_is_busy_is_waited_for() {
    let (cluster, [first, second]) = Cluster::back_end(Protocol::Lmtp, CallSecurity::Plain, ["one", "two"]);
    let (ingrid, context) = (store("ingrid"), &mut Context::from_waker(Waker::noop()));
    let open = || run(cluster.deliveries.open(&ingrid, envelope())).expect("a transaction");
    let mut all: Vec<_> = (0..BACK_END_SENDERS_MAX).map(|_| open()).collect();
    let mut late = std::pin::pin!(cluster.deliveries.open(&ingrid, envelope()));
    assert!(late.as_mut().poll(context).is_pending());
    cluster.clock.pass(TURN_WAIT);
    assert!(run(late).is_err_and(|refusal| codes(&refusal) == "451 4.4.1"));
    assert_eq!(second.calls(), 0);
    // It has enough of us, and is as well as before.
    drop(all.split_off(10));
    cluster.clock.pass(KEPT_SPAN_MAX);
    first.says("LHLO", Say::text("421 4.7.0 too many connections"));
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    assert_eq!(second.messages(), 1);
    assert_eq!(cluster.deliveries.hosts()[0].state, HostState::Up);
    first.recovers();
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    assert_eq!(first.messages(), 1, "nobody had to wait until it is tried");
    // With none of ours there it is another matter.
    drop(all);
    cluster.clock.pass(KEPT_SPAN_MAX);
    first.says("LHLO", Say::text("421 4.7.0 too busy"));
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    assert_eq!(cluster.deliveries.hosts()[0].state, HostState::LeftAlone);
}

#[test]
fn a_host_that_failed_is_looked_at_each_minute_without_mail_and_one_that_is_well_is_not() {
    let (cluster, [first, second]) = Cluster::back_end(Protocol::Lmtp, CallSecurity::Plain, ["one", "two"]);
    first.says("connect", Say::Break);
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    let states = || cluster.deliveries.hosts().iter().map(|report| report.state).collect::<Vec<_>>();
    assert_eq!(states(), [HostState::LeftAlone, HostState::Up]);
    let mut tend = std::pin::pin!(cluster.deliveries.tend());
    let mut pass = |span| {
        cluster.clock.pass(span);
        assert!(tend.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    };
    pass(LOOK_ROUND_SPAN);
    pass(LOOK_ROUND_SPAN / 2);
    assert_eq!((first.calls(), states()), (2, vec![HostState::LeftAlone, HostState::Up]), "once a minute");
    first.recovers();
    pass(LOOK_ROUND_SPAN / 2);
    assert_eq!((first.calls(), states()), (3, vec![HostState::Up, HostState::Up]));
    assert_eq!((first.heard(), first.open()), (vec!["LHLO relay.test".to_owned(), "QUIT".to_owned()], 0));
    pass(LOOK_ROUND_SPAN);
    assert_eq!((first.calls(), second.calls()), (3, 1), "the next mail finds out how it is");
}

#[test]
fn many_dead_hosts_are_looked_at_some_at_a_time() {
    let names: [String; LOOKS_AT_ONCE_MAX + 1] = std::array::from_fn(|number| format!("h{number}"));
    let (cluster, hosts) = Cluster::back_end(Protocol::Smtp, CallSecurity::Plain, names.each_ref().map(String::as_str));
    hosts.iter().for_each(|host| host.says("connect", Say::Break));
    assert_eq!(send(&cluster.deliveries, &["a"]), ["open 451 4.4.1"]);
    hosts.iter().for_each(|host| host.says("connect", Say::Never));
    cluster.clock.pass(LOOK_ROUND_SPAN);
    let mut tend = std::pin::pin!(cluster.deliveries.tend());
    let mut calls = |span| {
        cluster.clock.pass(span);
        assert!(tend.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        hosts.iter().map(NodeHandle::calls).sum::<usize>() - hosts.len()
    };
    assert_eq!(calls(Duration::ZERO), LOOKS_AT_ONCE_MAX);
    assert_eq!(calls(CALL_WAIT), LOOKS_AT_ONCE_MAX + 1);
    assert!(cluster.deliveries.hosts().iter().filter(|report| report.failures == 2).count() == LOOKS_AT_ONCE_MAX);
}

#[test]
fn what_is_the_matter_with_a_store_is_told_while_it_is() {
    let (cluster, [first, second]) = Cluster::back_end(Protocol::Lmtp, CallSecurity::Plain, ["one", "two"]);
    let (name, lost) = (store("ingrid"), store("lost"));
    assert_eq!(cluster.deliveries.trouble(&name), None);
    first.says("connect", Say::Break);
    second.says("LHLO", Say::text("554 5.3.2 not here"));
    assert_eq!(send(&cluster.deliveries, &["a"]), ["open 451 4.4.1"]);
    let why = "one:24: connection refused; two:24: it refused us: 554 5.3.2 not here";
    assert_eq!(cluster.deliveries.trouble(&name).as_deref(), Some(why));
    assert_eq!(
        cluster.deliveries.trouble(&lost).as_deref(),
        Some("its record has no port for lmtp; its record has no port for smtp")
    );
    first.recovers();
    cluster.clock.pass(Duration::from_secs(1));
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    assert_eq!(cluster.deliveries.trouble(&name).as_deref(), Some("two:24: it refused us: 554 5.3.2 not here"));
}

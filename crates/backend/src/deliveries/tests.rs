//! Deliveries against nodes in memory that say what they are told to.

mod any_answers;
mod back_ends;
mod node;
mod relayed;

use super::*;
use crate::foreign::Protocol;
use bytes::Bytes;
use mail_types::{AccountId, Address, DeliveryId};
use node::{Cluster, Say};
use ports::{Receipt, Recipient};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

fn store(name: &str) -> StoreName {
    StoreName::parse(name).expect("a name")
}

fn recipient(local: &str) -> Recipient {
    let address = |text: String| Address::parse(&text).expect("an address");
    Recipient {
        account: AccountId::from_bytes([1; 16]),
        address: address(format!("{local}@big.test")),
        recipient: address(format!("{local}+x@big.test")),
    }
}

fn envelope() -> Envelope {
    Envelope { from: ReversePath::Null, id: Some(DeliveryId::from_bytes([0xd0; 16])), size: Some(9) }
}

/// What a future that need not wait gives.
fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for something"),
    }
}

/// Polls once, and goes away.
fn give_up<T>(future: impl Future<Output = T>) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

fn codes(refusal: &Refusal) -> String {
    let reply = refusal.reply();
    format!("{} {}", reply.code(), reply.enhanced().map_or(String::new(), |code| code.to_string()))
}

fn shown(answer: &Result<Receipt, Refusal>) -> String {
    match answer {
        Ok(Receipt::There(accepted)) => accepted.reply().to_string(),
        Ok(Receipt::Here(_)) => panic!("the store is on another node"),
        Err(refusal) => codes(refusal),
    }
}

/// Sends a message to these; what each of them is told first (`RCPT`) and last.
fn send(deliveries: &Deliveries, to: &[&str]) -> Vec<String> {
    let mut transaction = match run(deliveries.open(&store("ingrid"), envelope())) {
        Ok(transaction) => transaction,
        Err(refusal) => return vec![format!("open {}", codes(&refusal))],
    };
    let (mut said, mut taken) = (Vec::new(), 0);
    for local in to {
        match run(transaction.rcpt(recipient(local))) {
            Ok(()) => taken += 1,
            Err(refusal) => said.push(format!("{local} {}", codes(&refusal))),
        }
    }
    for piece in ["hi\r", "\n"] {
        if let Err(refusal) = run(transaction.write(Bytes::from(piece))) {
            said.push(format!("text {}", codes(&refusal)));
            break;
        }
    }
    let answers = run(transaction.commit());
    assert_eq!(answers.len(), taken, "an answer for each recipient that was taken");
    said.extend(answers.iter().map(shown));
    said
}

const STORED: &str = "250 2.0.0 stored";

#[test]
fn each_recipient_hears_for_itself_and_mail_does_not_wait() {
    let (cluster, node) = Cluster::with_node();
    node.says("RCPT TO:<full@", Say::text("452 4.2.2 full"));
    node.says("end 1", Say::text("451 4.3.0 later"));
    assert_eq!(send(&cluster.deliveries, &["a", "full", "b", "c"]), ["full 452 4.2.2", STORED, "451 4.3.0", STORED]);
    let mail = "MAIL FROM:<> SIZE=9 BODY=8BITMIME SMTPUTF8 XSTORE=ingrid XDELIVERY=d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0";
    let lines = node.heard();
    assert_eq!(lines[..3], ["LHLO relay.test", mail, "RCPT TO:<a@big.test> XRCPT=a+2Bx@big.test"]);
    assert_eq!(lines[lines.len() - 3..], ["DATA", "hi", "."]);
    assert!(node.segments().contains(&format!("{mail}\r\nRCPT TO:<a@big.test> XRCPT=a+2Bx@big.test\r\n")));
}

#[test]
fn what_a_node_says_never_becomes_no_such_user() {
    for (said, told) in [
        ("550 5.1.1 no such user", "451 4.3.0"),
        ("550 no", "451 4.3.0"),
        ("503 5.5.1 bad sequence", "451 4.3.0"),
        ("555 5.5.4 parameter", "451 4.3.0"),
        ("550 5.2.1 disabled", "550 5.2.1"),
        ("552 5.3.4 too big", "552 5.3.4"),
        ("452 4.2.2 full", "452 4.2.2"),
        ("421 4.3.2 going down", "451 4.4.2"),
        ("354 what", "451 4.4.2"),
    ] {
        let (cluster, node) = Cluster::with_node();
        node.says("RCPT TO:<b@", Say::text(said));
        assert_eq!(send(&cluster.deliveries, &["b"]), [format!("b {told}")], "{said}");
        let (cluster, node) = Cluster::with_node();
        node.says("MAIL", Say::text(said));
        let expected = [format!("b {told}"), format!("c {told}")];
        let got = send(&cluster.deliveries, &["b", "c"]);
        assert_eq!(got[..2], expected, "{said} to MAIL");
        let (cluster, node) = Cluster::with_node();
        node.says("end 0", Say::text(said));
        let told = if said.starts_with("421") || said.starts_with("354") { "451 4.4.2" } else { told };
        assert_eq!(send(&cluster.deliveries, &["b"]), [told], "{said} at the end");
    }
}

#[test]
fn a_node_that_breaks_is_one_that_does_not_answer() {
    for how in [Say::Break, Say::Close, Say::Late] {
        for (at, expected) in [
            ("connect", vec!["open 451 4.4.1"]),
            ("LHLO", vec!["open 451 4.4.1"]),
            ("MAIL", vec!["a 451 4.4.2", "b 451 4.4.2", "text 451 4.4.2"]),
            ("RCPT TO:<b@", vec!["b 451 4.4.2", "text 451 4.4.2", "451 4.4.2"]),
            ("DATA", vec!["text 451 4.4.2", "451 4.4.2", "451 4.4.2"]),
            ("end 0", vec!["451 4.4.2", "451 4.4.2"]),
            // Those that were answered before it broke have it.
            ("end 1", vec![STORED, "451 4.4.2"]),
        ] {
            let (cluster, node) = Cluster::with_node();
            node.says(at, how.clone());
            assert_eq!(send(&cluster.deliveries, &["a", "b"]), expected, "{how:?} at {at}");
        }
    }
}

#[test]
fn a_refused_data_leaves_the_connection_whole() {
    let (cluster, node) = Cluster::with_node();
    node.says_once("DATA", Say::text("452 4.3.1 no room"));
    assert_eq!(send(&cluster.deliveries, &["a", "b"]), ["text 452 4.3.1", "452 4.3.1", "452 4.3.1"]);
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    assert_eq!(node.calls(), 1);
}

#[test]
fn connections_are_kept_for_a_while() {
    let (cluster, node) = Cluster::with_node();
    for _ in 0..3 {
        assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    }
    assert_eq!(node.calls(), 1);
    cluster.clock.pass(lines::KEPT_SPAN_MAX);
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    assert_eq!(node.calls(), 2);
    // No more than so many.
    let open = |_| run(cluster.deliveries.open(&store("ingrid"), envelope())).expect("a transaction");
    let many: Vec<_> = (0..lines::KEPT_COUNT_MAX + 5).map(open).collect();
    assert_eq!(node.open(), lines::KEPT_COUNT_MAX + 5);
    drop(many);
    assert_eq!(node.open(), lines::KEPT_COUNT_MAX);
    // Old ones get a good-bye.
    cluster.clock.pass(lines::KEPT_SPAN_MAX);
    let mut tidy = pin!(cluster.deliveries.tidy());
    let context = &mut Context::from_waker(Waker::noop());
    assert!(tidy.as_mut().poll(context).is_pending());
    cluster.clock.pass(TIDY_EVERY);
    assert!(tidy.as_mut().poll(context).is_pending());
    assert_eq!(node.open(), 0);
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    run(cluster.deliveries.hang_up());
    assert_eq!((node.open(), node.heard().last().map(String::as_str)), (0, Some("QUIT")));
}

/// A host's name may lead elsewhere by now.
#[test]
fn a_busy_connection_is_used_for_minutes_only() {
    let (cluster, node) = Cluster::with_node();
    let span = lines::KEPT_SPAN_MAX / 2;
    for used in 0..2 * lines::CALLED_SPAN_MAX.as_secs() / span.as_secs() {
        assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
        let expected = 1 + used * span.as_secs() / lines::CALLED_SPAN_MAX.as_secs();
        assert_eq!(u64::try_from(node.calls()), Ok(expected), "{used} spans of {span:?}");
        cluster.clock.pass(span);
    }
}

#[test]
fn a_kept_connection_that_is_dead_is_replaced_once_and_nobody_knows() {
    for how in [Say::Break, Say::Close, Say::Late, Say::text("421 4.3.2 shutting down")] {
        let (cluster, node) = Cluster::with_node();
        assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
        node.says_once("MAIL", how.clone());
        assert_eq!(send(&cluster.deliveries, &["a", "b"]), [STORED, STORED], "{how:?}");
        assert_eq!((node.calls(), node.messages()), (2, 2));
        // A fresh one that dies is not.
        node.says("MAIL", Say::Break);
        assert_eq!(send(&cluster.deliveries, &["a"])[0], "a 451 4.4.2");
        assert_eq!(node.calls(), 3);
    }
}

#[test]
fn dropped_at_any_step_nobody_gets_it_and_the_next_message_does() {
    for steps in 0..5 {
        for asked_in_vain in [false, true] {
            let (cluster, node) = Cluster::with_node();
            let mut transaction = run(cluster.deliveries.open(&store("ingrid"), envelope())).expect("a transaction");
            for step in 0..steps {
                match step {
                    0 | 1 => run(transaction.rcpt(recipient("lost"))).expect("taken"),
                    _ => run(transaction.write(Bytes::from_static(b"lost\r\n"))).expect("taken"),
                }
            }
            if asked_in_vain {
                // The asker loses patience in the middle of a question.
                match steps {
                    0 => {
                        node.says_once("RCPT TO:<slow@", Say::Never);
                        give_up(transaction.rcpt(recipient("slow")));
                    }
                    1 | 2 => {
                        node.says_once("DATA", Say::Never);
                        give_up(transaction.write(Bytes::from_static(b"lost\r\n")));
                    }
                    _ => {
                        node.says_once("end 0", Say::Never);
                        give_up(transaction.commit());
                        // Who asks for the end may get it.
                        assert_eq!(node.messages(), 1);
                        continue;
                    }
                }
            }
            drop(transaction);
            assert_eq!(send(&cluster.deliveries, &["a"]), [STORED], "after {steps} steps");
            assert_eq!((node.messages(), node.texts()), (1, vec!["hi\r\n".to_owned()]), "after {steps} steps");
            let kept = !asked_in_vain && steps < 3;
            assert_eq!(node.calls(), if kept { 1 } else { 2 }, "after {steps} steps, {asked_in_vain}");
        }
    }
}

#[test]
fn who_gives_up_a_question_gives_up_the_transaction() {
    let (cluster, node) = Cluster::with_node();
    let mut transaction = run(cluster.deliveries.open(&store("ingrid"), envelope())).expect("a transaction");
    run(transaction.rcpt(recipient("a"))).expect("taken");
    node.says_once("RCPT TO:<slow@", Say::Never);
    give_up(transaction.rcpt(recipient("slow")));
    // The node may have taken a recipient that we know nothing of: nothing more goes there.
    assert!(run(transaction.write(Bytes::from_static(b"x\r\n"))).is_err());
    let answers = run(transaction.commit());
    assert_eq!(answers.iter().map(shown).collect::<Vec<_>>(), ["451 4.4.2"]);
    assert_eq!(node.messages(), 0);
}

#[test]
fn a_dead_node_costs_one_call_a_second_and_others_nothing() {
    let (mut cluster, node) = Cluster::with_node();
    let other = cluster.add("bob");
    node.says("connect", Say::Break);
    for _ in 0..5 {
        assert_eq!(send(&cluster.deliveries, &["a"]), ["open 451 4.4.1"]);
    }
    assert_eq!(node.calls(), 1);
    cluster.clock.pass(Duration::from_secs(1));
    for _ in 0..5 {
        assert_eq!(send(&cluster.deliveries, &["a"]), ["open 451 4.4.1"]);
    }
    assert_eq!(node.calls(), 2);
    // A node that says nothing at all: one probes, the others do not wait.
    node.says("connect", Say::Never);
    cluster.clock.pass(Duration::from_secs(1));
    let ingrid = store("ingrid");
    let mut probe = pin!(cluster.deliveries.open(&ingrid, envelope()));
    assert!(probe.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(send(&cluster.deliveries, &["a"]), ["open 451 4.4.1"]);
    assert!(run(cluster.deliveries.open(&store("bob"), envelope())).is_ok());
    assert_eq!((node.calls(), other.calls()), (3, 1));
    cluster.clock.pass(CALL_WAIT);
    assert!(run(probe).is_err_and(|refusal| codes(&refusal) == "451 4.4.1"));
    node.recovers();
    assert_eq!(send(&cluster.deliveries, &["a"]), ["open 451 4.4.1"]);
    cluster.clock.pass(Duration::from_secs(1));
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
}

#[test]
fn a_call_that_its_sender_gave_up_on_is_remembered() {
    let (cluster, node) = Cluster::with_node();
    node.says("connect", Say::Never);
    let ingrid = store("ingrid");
    {
        let mut call = pin!(cluster.deliveries.open(&ingrid, envelope()));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        cluster.clock.pass(Duration::from_secs(3));
    }
    assert_eq!(send(&cluster.deliveries, &["a"]), ["open 451 4.4.1"]);
    assert_eq!(node.calls(), 1);
}

#[test]
fn kept_connections_to_a_node_that_hangs_cost_one_wait() {
    let (cluster, node) = Cluster::with_node();
    let ingrid = store("ingrid");
    let many: Vec<_> = (0..5).map(|_| run(cluster.deliveries.open(&ingrid, envelope()))).collect();
    drop(many);
    node.says("RSET", Say::Never);
    let mut next = pin!(cluster.deliveries.open(&ingrid, envelope()));
    assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    cluster.clock.pass(RESET_WAIT);
    assert!(run(next).is_ok());
    assert_eq!((node.calls(), node.open()), (6, 1));
}

#[test]
fn too_many_at_once_wait_for_their_turn() {
    let (cluster, node) = Cluster::with_node();
    let (ingrid, context) = (store("ingrid"), &mut Context::from_waker(Waker::noop()));
    let mut all: Vec<_> = (0..lines::TURN_COUNT_MAX)
        .map(|_| run(cluster.deliveries.open(&ingrid, envelope())).expect("a transaction"))
        .collect();
    let mut next = pin!(cluster.deliveries.open(&ingrid, envelope()));
    let mut late = pin!(cluster.deliveries.open(&ingrid, envelope()));
    assert!(next.as_mut().poll(context).is_pending() && late.as_mut().poll(context).is_pending());
    all.pop();
    assert!(run(next).is_ok());
    assert_eq!(node.calls(), lines::TURN_COUNT_MAX, "on the connection that was given back");
    drop(all.pop());
    let _one_more = run(late.as_mut()).expect("a transaction");
}

#[test]
fn a_turn_that_does_not_come_is_no_answer() {
    let (cluster, _node) = Cluster::with_node();
    let (ingrid, context) = (store("ingrid"), &mut Context::from_waker(Waker::noop()));
    let _all: Vec<_> = (0..lines::TURN_COUNT_MAX).map(|_| run(cluster.deliveries.open(&ingrid, envelope()))).collect();
    let mut late = pin!(cluster.deliveries.open(&ingrid, envelope()));
    assert!(late.as_mut().poll(context).is_pending());
    cluster.clock.pass(TURN_WAIT);
    assert!(run(late).is_err_and(|refusal| codes(&refusal) == "451 4.4.1"));
}

#[test]
fn a_queue_has_turns_of_its_own() {
    let (cluster, node) = Cluster::with_node();
    let (ingrid, context) = (store("ingrid"), &mut Context::from_waker(Waker::noop()));
    let _all: Vec<_> = (0..lines::TURN_COUNT_MAX).map(|_| run(cluster.deliveries.open(&ingrid, envelope()))).collect();
    let queue = cluster.deliveries.for_queue();
    assert_eq!(send(&queue, &["a"]), [STORED]);
    let _its_own: Vec<_> = (0..lines::TURN_COUNT_MAX).map(|_| run(queue.open(&ingrid, envelope()))).collect();
    assert!(pin!(queue.open(&ingrid, envelope())).as_mut().poll(context).is_pending());
    assert_eq!(node.calls(), 2 * lines::TURN_COUNT_MAX);
}

#[test]
fn what_is_no_node_of_ours_gets_nothing() {
    let (cluster, node) = Cluster::with_node();
    node.says("LHLO", Say::text("250-node.test\r\n250 PIPELINING"));
    assert_eq!(send(&cluster.deliveries, &["a"]), ["open 451 4.3.0"]);
    assert_eq!(node.heard(), ["LHLO relay.test"]);
    let nowhere = run(cluster.deliveries.open(&store("nobody"), envelope()));
    assert!(nowhere.is_err_and(|refusal| codes(&refusal) == "451 4.3.0"));
}

#[test]
fn a_node_whose_limits_are_lower_says_so() {
    let (cluster, node) = Cluster::with_node();
    node.says("LHLO", Say::text("250-node.test\r\n250-SIZE 8\r\n250 XPOSTHOUSE"));
    assert_eq!(send(&cluster.deliveries, &["a"]), ["open 552 5.3.4"]);
    assert!(node.heard().iter().all(|line| !line.starts_with("MAIL")));
}

#[test]
fn a_message_that_cannot_be_said_leaves_its_connection() {
    let (cluster, [host]) = Cluster::back_end(Protocol::Lmtp, CallSecurity::Plain, ["old"]);
    let big = Envelope { size: Some(1001), ..envelope() };
    let from = Address::parse("j\u{f6}rg@far.test").expect("an address");
    let beyond_ascii = Envelope { from: ReversePath::Address(from), ..envelope() };
    for _ in 0..3 {
        assert!(run(cluster.deliveries.open(&store("ingrid"), big.clone())).is_err());
        assert!(run(cluster.deliveries.open(&store("ingrid"), beyond_ascii.clone())).is_err());
        assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    }
    assert_eq!((host.calls(), host.open()), (1, 1));
}

#[test]
fn what_is_no_lines_is_not_sent() {
    let (cluster, node) = Cluster::with_node();
    let mut transaction = run(cluster.deliveries.open(&store("ingrid"), envelope())).expect("a transaction");
    run(transaction.rcpt(recipient("a"))).expect("taken");
    let refused = run(transaction.write(Bytes::from_static(b"a\nb\r\n")));
    assert!(refused.is_err_and(|refusal| codes(&refusal) == "554 5.6.0"));
    drop(transaction);
    assert_eq!((node.messages(), node.open()), (0, 0));
}

#[test]
fn a_thousand_recipients_and_more() {
    let (cluster, node) = Cluster::with_node();
    let names: Vec<String> = (0..1_500).map(|n| format!("u{n}")).collect();
    let to: Vec<&str> = names.iter().map(String::as_str).collect();
    node.says("end 1200", Say::text("452 4.2.2 full"));
    let said = send(&cluster.deliveries, &to);
    assert_eq!((said.len(), said.iter().filter(|said| *said == STORED).count()), (1_500, 1_499));
    assert_eq!(said[1_200], "452 4.2.2");
}

#[test]
fn a_message_for_nobody_goes_nowhere() {
    let (cluster, node) = Cluster::with_node();
    assert!(send(&cluster.deliveries, &[]).is_empty());
    node.says("RCPT TO:<full@", Say::text("452 4.2.2 full"));
    assert_eq!(send(&cluster.deliveries, &["full"]), ["full 452 4.2.2"]);
    assert_eq!(send(&cluster.deliveries, &["a"]), [STORED]);
    assert_eq!((node.calls(), node.messages()), (1, 1));
}

/// As at a port of IMAP.
#[test]
fn what_is_no_lmtp_is_told_in_words() {
    let why = hosts::Kind::Node.ended(&client::Closing::Protocol("not a reply"));
    assert_eq!(why, "it does not speak LMTP (not a reply): is that the port of its cluster.lmtp?");
}

//! Whatever a node answers: a receipt stands for its yes behind the final dot, and nothing else does.

use super::node::{Cluster, NodeHandle, Say};
use super::{codes, envelope, recipient, run, store};
use crate::foreign::Protocol;
use bytes::Bytes;
use ports::{CallSecurity, Delivery, Receipt};
use proptest::prelude::*;
use smtp_proto::Refusal;

const RCPT_COUNT: usize = 4;

fn say() -> impl Strategy<Value = Say> {
    let text = prop::sample::select(vec![
        "250 2.0.0 ok",
        "250 2.0.0 ok",
        "250-ok\r\n250 ok",
        "451 4.3.0 later",
        "452 4.2.2 full",
        "550 5.1.1 no",
        "552 5.2.2 no",
        "354 go",
        "421 4.3.2 bye",
        "250 ok\r\n250 ok",
        "no reply",
        "250",
        "",
    ]);
    prop_oneof![6 => text.prop_map(Say::text), 1 => Just(Say::Break), 1 => Just(Say::Close), 1 => Just(Say::Late)]
}

proptest! {
    #[test]
    fn no_receipt_without_a_yes_behind_the_dot(
        odd in prop::collection::vec((0usize..14, say()), 0..5), step in 1usize..40, pieces in 0usize..4,
    ) {
        let (cluster, node) = Cluster::with_node();
        check(&cluster, &node, odd, (step, pieces), Users::Directorys)?;
    }

    #[test]
    fn nor_from_a_back_end(
        odd in prop::collection::vec((0usize..14, say()), 0..5), step in 1usize..40, pieces in 0usize..4,
        by_smtp in any::<bool>(), pipelining in any::<bool>(),
    ) {
        let protocol = if by_smtp { Protocol::Smtp } else { Protocol::Lmtp };
        let (cluster, [host]) = Cluster::back_end(protocol, CallSecurity::Plain, ["old"]);
        host.offers(if pipelining { "PIPELINING\nSIZE 1000" } else { "8BITMIME" });
        check(&cluster, &host, odd, (step, pieces), Users::Its)?;
    }
}

/// Who knows who exists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Users {
    Directorys,
    Its,
}

fn check(
    cluster: &Cluster,
    node: &NodeHandle,
    odd: Vec<(usize, Say)>,
    (step, pieces): (usize, usize),
    users: Users,
) -> Result<(), TestCaseError> {
    node.cut_into(step);
    for (at, say) in odd {
        let at = match at {
            0 => "MAIL".to_owned(),
            1 => "DATA".to_owned(),
            2 => "RSET".to_owned(),
            3 => "text".to_owned(),
            4 => if users == Users::Its { "EHLO" } else { "LHLO" }.to_owned(),
            at if at < 10 => format!("end {}", at - 5),
            at => format!("RCPT TO:<u{}", at - 10),
        };
        // An answer too many is taken for the next recipient's, by anybody.
        let twice = matches!(&say, Say::Text(text) if text.contains("ok\r\n250 ok") && !text.starts_with("250-"));
        if !(twice && at.starts_with("end")) {
            node.says(&at, say);
        }
    }
    let may_refuse = |refusal: &Refusal| users == Users::Its || codes(refusal) != "550 5.1.1";
    for _ in 0..2 {
        let before = node.promised();
        let Ok(mut transaction) = run(cluster.deliveries.open(&store("ingrid"), envelope())) else { continue };
        let mut taken = Vec::new();
        for number in 0..RCPT_COUNT {
            match run(transaction.rcpt(recipient(&format!("u{number}")))) {
                Ok(()) => taken.push(format!("u{number}")),
                Err(refusal) => prop_assert!(may_refuse(&refusal)),
            }
        }
        let mut whole = true;
        for _ in 0..pieces {
            whole &= run(transaction.write(Bytes::from_static(b".line\r\n"))).is_ok();
        }
        let answers = run(transaction.commit());
        prop_assert_eq!(answers.len(), taken.len());
        let promised = node.promised();
        for (local, answer) in taken.iter().zip(answers) {
            let yes = promised.iter().filter(|name| is(name, local)).count()
                - before.iter().filter(|name| is(name, local)).count();
            match answer {
                Ok(Receipt::There(_)) => prop_assert!(whole && yes == 1, "a receipt for {local} without its yes"),
                Ok(Receipt::Here(_)) => prop_assert!(false, "the store is elsewhere"),
                Err(refusal) => prop_assert!(may_refuse(&refusal)),
            }
        }
    }
    Ok(())
}

/// Back-ends are told the recipient with its detail.
fn is(told: &str, local: &str) -> bool {
    told.split('+').next() == Some(local)
}

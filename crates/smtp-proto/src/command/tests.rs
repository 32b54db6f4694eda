use super::*;
use crate::envelope::{Notify, OriginalRecipient, Relayed, Ret, Xtext};
use crate::limits::RECEIVED_AS_OCTETS_MAX;
use mail_types::{Address, DeliveryId, ForwardPath, StoreName};
use proptest::prelude::*;

fn parse(line: &str) -> Result<Command, Refusal> {
    Command::parse(line.as_bytes())
}

fn rcpt_to(line: &str) -> Result<String, Refusal> {
    let Command::Rcpt(rcpt) = parse(line)? else { panic!("{line} is RCPT") };
    Ok(rcpt.to.to_string())
}

#[test]
fn paths_as_real_clients_write_them() {
    for (line, to) in [
        ("RCPT TO:<a@b.test>", "<a@b.test>"),
        ("rcpt to:<A@B.test>  ", "<A@b.test>"),
        ("RCPT TO: <a@b.test>", "<a@b.test>"),
        ("RCPT  TO:<a@b.test>", "<a@b.test>"),
        ("RCPT TO:<@x.test,@y.test:a@b.test>", "<a@b.test>"),
        ("RCPT TO:<@[IPv6:::1]:a@b.test>", "<a@b.test>"),
        ("RCPT TO:<\"a>b\\\"@c\"@b.test>", "<\"a>b\\\"@c\"@b.test>"),
        ("RCPT TO:<PostMaster>", "<postmaster>"),
        ("RCPT TO:<postmaster@b.test>", "<postmaster@b.test>"),
    ] {
        assert_eq!(rcpt_to(line).as_deref(), Ok(to), "{line}");
    }
    for line in [
        "RCPT TO:a@b.test",
        "RCPT TO:<>",
        "RCPT TO:<a>",
        "RCPT TO:<a@b.test",
        "RCPT TO:<a@b.test>x",
        "RCPT TO:<@x.test:>",
        "RCPT TO:<@x..test:a@b.test>",
        "RCPT TO:<@x.test a@b.test>",
        "RCPT FROM:<a@b.test>",
        "RCPT",
    ] {
        assert_eq!(rcpt_to(line), Err(Refusal::BAD_RECIPIENT), "{line}");
    }
}

#[test]
fn parameters_of_mail() {
    let line = "MAIL FROM:<> size=1000 BODY=8bitmime SMTPUTF8 RET=HDRS ENVID=Q+2B1 AUTH=e+3Dmc2@b.test";
    let mail = Mail {
        size: Some(1000),
        body: BodyType::EightBit,
        smtputf8: true,
        ret: Some(Ret::Headers),
        envid: Xtext::parse("Q+2B1"),
        auth: Some(ReversePath::Address(Address::parse("e=mc2@b.test").expect("an address"))),
        ..Mail::new(ReversePath::Null)
    };
    assert_eq!(parse(line), Ok(Command::Mail(mail)));
    let null = Mail { auth: Some(ReversePath::Null), ..Mail::new(ReversePath::Null) };
    assert_eq!(parse("MAIL FROM:<> AUTH=<>"), Ok(Command::Mail(null)));
    for (parameter, refusal) in [
        ("SIZE=1 SIZE=1", Refusal::BAD_ARGUMENTS),
        ("SIZE", Refusal::BAD_ARGUMENTS),
        ("SIZE=-1", Refusal::BAD_ARGUMENTS),
        ("BODY=BINARYMIME", Refusal::BAD_ARGUMENTS),
        ("SMTPUTF8=1", Refusal::BAD_ARGUMENTS),
        ("NOTIFY=NEVER", Refusal::UNKNOWN_PARAMETER),
        ("X=Y", Refusal::UNKNOWN_PARAMETER),
    ] {
        assert_eq!(parse(&format!("MAIL FROM:<> {parameter}")), Err(refusal), "{parameter}");
    }
    assert_eq!(parse("MAIL FROM:<j\u{f6}rg@b.test>"), Err(Refusal::NEEDS_SMTPUTF8));
    assert!(parse("MAIL FROM:<j\u{f6}rg@b.test> SMTPUTF8").is_ok());
    // What does not fit 64 bits is over every limit.
    let huge = Mail { size: Some(u64::MAX), ..Mail::new(ReversePath::Null) };
    assert_eq!(parse("MAIL FROM:<> SIZE=99999999999999999999"), Ok(Command::Mail(huge)));
}

#[test]
fn what_nodes_tell_each_other() {
    let id = DeliveryId::from_bytes([0xd0; 16]);
    let relayed = Relayed { store: StoreName::parse("ingrid").expect("a name"), delivery: Some(id) };
    let mail = Mail { relayed: Some(relayed), ..Mail::new(ReversePath::Null) };
    assert_eq!(parse(&format!("MAIL FROM:<> xstore=Ingrid XDELIVERY={id}")), Ok(Command::Mail(mail)));
    let half = format!("XDELIVERY={id}");
    for parameters in [half.as_str(), "XSTORE", "XSTORE=-a", "XSTORE=a XSTORE=b", "XSTORE=a XDELIVERY=1"] {
        assert_eq!(parse(&format!("MAIL FROM:<> {parameters}")), Err(Refusal::BAD_ARGUMENTS), "{parameters}");
    }
    let Ok(Command::Rcpt(rcpt)) = parse("RCPT TO:<a@b.test> XRCPT=info+2Bx@b.test") else { panic!("RCPT") };
    assert_eq!(rcpt.received_as.map(|address| address.to_string()).as_deref(), Some("info+x@b.test"));
    let long = format!("{}@b.test", "+61".repeat(RECEIVED_AS_OCTETS_MAX / 3));
    for value in ["", "a", "postmaster", "a+0D@b.test", "a=b@b.test", "a@b.test XRCPT=a@b.test", &long] {
        assert_eq!(parse(&format!("RCPT TO:<a@b.test> XRCPT={value}")), Err(Refusal::BAD_ARGUMENTS), "{value}");
    }
    // The worst address fits.
    let local = "\u{e4}".repeat(20) + &"\"".repeat(24);
    let quoted = local.replace('"', "\\\"");
    let domain = [&*"a".repeat(63), &"b".repeat(63), &"c".repeat(63), &"d".repeat(61)].join(".");
    let worst = Address::parse(&format!("\"{quoted}\"@{domain}")).expect("an address");
    let rcpt = Rcpt { received_as: Some(worst.clone()), ..Rcpt::new(ForwardPath::Address(worst)) };
    let line = Command::Rcpt(rcpt.clone()).to_string();
    assert!(line.len() <= crate::limits::COMMAND_OCTETS_MAX, "{}", line.len());
    assert_eq!(parse(&line), Ok(Command::Rcpt(rcpt)));
}

#[test]
fn the_other_commands() {
    assert_eq!(parse("quit "), Ok(Command::Quit));
    assert_eq!(parse("DATA now"), Err(Refusal::BAD_ARGUMENTS));
    assert_eq!(parse("EHLO"), Err(Refusal::BAD_ARGUMENTS));
    assert_eq!(parse("EHLO a b"), Err(Refusal::BAD_ARGUMENTS));
    assert_eq!(parse("EHLO WIN-1_2"), Ok(Command::Hello(Hello::Ehlo("WIN-1_2".into()))));
    assert_eq!(parse("BDAT 12 last"), Ok(Command::Bdat { octets: 12, last: true }));
    for line in ["BDAT", "BDAT x", "BDAT -1", "BDAT +1", "BDAT 1 FIRST", "BDAT 1 LAST x", "BDAT 99999999999999999999"] {
        assert_eq!(parse(line), Ok(Command::BdatUnreadable), "{line}");
    }
    assert_eq!(parse(""), Err(Refusal::UNRECOGNISED));
    assert_eq!(parse("FROB"), Err(Refusal::UNRECOGNISED));
    assert_eq!(parse("NOOP \u{1}"), Err(Refusal::SYNTAX));
    assert_eq!(Command::parse(b"NOOP \xff"), Err(Refusal::SYNTAX));
    assert_eq!(parse("AUTH"), Err(Refusal::BAD_ARGUMENTS));
    let auth = Command::Auth { mechanism: "PLAIN".to_owned(), initial: Some("=".to_owned()) };
    assert_eq!(parse("auth plain ="), Ok(auth));
}

fn address() -> impl Strategy<Value = Address> {
    ("[ -~\u{e4}]{1,20}", "[a-z]{1,8}\\.test").prop_filter_map("an address", |(local, domain)| {
        let quoted = local.replace('\\', "\\\\").replace('"', "\\\"");
        Address::parse(&format!("\"{quoted}\"@{domain}")).ok()
    })
}

prop_compose! {
    fn mail()(
        from in proptest::option::of(address()), size in any::<Option<u64>>(), eight in any::<bool>(), full in any::<Option<bool>>(),
        store in proptest::option::of("[a-z0-9][a-z0-9._-]{0,62}"), delivery in any::<Option<[u8; 16]>>(),
        envid in "\\PC{0,20}", auth in proptest::option::of(proptest::option::of(address())),
    ) -> Mail {
        let path = |address: Option<Address>| address.map_or(ReversePath::Null, ReversePath::Address);
        Mail {
            from: path(from), size, smtputf8: true, envid: Xtext::encode(&envid), auth: auth.map(path),
            body: if eight { BodyType::EightBit } else { BodyType::SevenBit },
            ret: full.map(|full| if full { Ret::Full } else { Ret::Headers }),
            relayed: store.map(|store| Relayed {
                store: StoreName::parse(&store).expect("a name"), delivery: delivery.map(DeliveryId::from_bytes),
            }),
        }
    }
}

prop_compose! {
    fn rcpt()(to in proptest::option::of(address()), received_as in proptest::option::of(address()), on in proptest::option::of([any::<bool>(); 3])) -> Rcpt {
        Rcpt {
            received_as, orcpt: to.as_ref().and_then(OriginalRecipient::encode),
            to: to.map_or(ForwardPath::Postmaster, ForwardPath::Address),
            notify: on.map(|[success, failure, delay]| match (success, failure, delay) {
                (false, false, false) => Notify::Never,
                (success, failure, delay) => Notify::On { success, failure, delay },
            }),
        }
    }
}

proptest! {
    #[test]
    fn what_we_write_we_read(mail in mail(), rcpt in rcpt()) {
        for command in [Command::Mail(mail), Command::Rcpt(rcpt)] {
            prop_assert_eq!(parse(&command.to_string()), Ok(command));
        }
    }

    #[test]
    fn no_line_panics(verb in "(MAIL FROM:|RCPT TO:|BDAT |AUTH |EHLO |)", rest in proptest::collection::vec(any::<u8>(), 0..60), path in "[<>@,:\"\\\\\\[a. =+;]{0,30}") {
        let _ = Command::parse(&[verb.as_bytes(), &rest].concat());
        let _ = parse(&format!("{verb}{path}"));
    }
}

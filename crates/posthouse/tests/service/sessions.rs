//! `posthouse who` and `posthouse kick`.

use crate::node::{ANNA, RELAY, Served};

pub(crate) fn kick() {
    let node = Served::start("", RELAY, &[]);
    let (mut imap, mut pop3) = (node.log_in(), node.connect("pop3"));
    let mut smtp = node.connect("smtp");
    smtp.ask("EHLO far.example", "250 ");
    smtp.ask("MAIL FROM:<>", "250 ");
    smtp.ask(&format!("RCPT TO:<{ANNA}>"), "250 ");
    smtp.ask("DATA", "354 ");
    smtp.ask("\r\n.", "250 ");

    let all = node.json(&["who", "--json"]);
    let shown: Vec<_> = all.as_array().expect("a list").iter().map(|one| (&one["protocol"], &one["state"])).collect();
    assert_eq!(format!("{shown:?}").matches("login").count(), 1, "nobody has logged in over POP3: {all}");
    let imaps = node.json(&["who", ANNA, "--json"]);
    assert_eq!((&imaps[0]["protocol"], &imaps[0]["store"]), (&"imap".into(), &"ingrid".into()), "{all}");
    let smtps = node.json(&["who", "smtp", "--json"]);
    assert_eq!(smtps[0]["messages"], 1, "{all}");
    let pop3s = node.json(&["who", "pop3", "--json"]);

    assert_eq!(node.say(&["kick", ANNA], ""), "1 session asked to leave\n");
    assert!(imap.hear().starts_with("* BYE An operator"));
    assert_eq!(imap.hear(), "");
    assert_eq!(node.say(&["kick", "--id", &pop3s[0]["id"].to_string()], ""), "1 session asked to leave\n");
    assert_eq!(pop3.hear(), "", "POP3 knows no farewell");
    assert_eq!(node.say(&["kick", "--client", "127.0.0.1"], "").trim_end(), "1 session asked to leave");
    assert!(smtp.hear().starts_with("421 4.3.2 An operator"));
    assert_eq!(smtp.hear(), "");
    // They are gone as soon as they have noticed that we went, too.
    drop((imap, pop3, smtp));
    while node.json(&["who", "--json"]) != serde_json::json!([]) {}
}

//! What a bare name means by where the client connected to.

use crate::node::{ANNA, PASSWORD, Served};

pub(crate) fn by_address() {
    let form = |local: &str, domain: &str| format!("[[proxy.login_form]]\nlocal = '{local}'\ndomain = '{domain}'\n");
    let tail = form("127.0.0.2", "site.test") + &form("127.0.0.1", "two.test");
    let node = Served::start("", &tail, &[]);
    node.say(&["domain", "add", "two.test"], "");
    node.say(&["account", "add", "anna@two.test", "--password-stdin"], "another-9");
    let log_in = |name: &str, password: &str| {
        let mut imap = node.connect("imap");
        let heard = imap.ask(&format!("a LOGIN {name} {password}"), "a ");
        (heard, imap)
    };

    let (heard, _imap) = log_in("anna", "another-9");
    assert!(heard.starts_with("a OK"), "{heard}");
    node.log_line("account=anna@two.test");
    let (heard, _) = log_in("anna", PASSWORD);
    assert!(heard.starts_with("a NO [AUTHENTICATIONFAILED]"), "{heard}");
    node.log_line("user=anna@two.test reason=wrong-password");
    let (heard, _imap) = log_in(ANNA, PASSWORD);
    assert!(heard.starts_with("a OK"), "{heard}");
    node.log_line("account=anna@site.test");
    let mut pop3 = node.connect("pop3");
    pop3.ask("USER anna", "+OK");
    pop3.ask("PASS another-9", "+OK");

    let goes_to = |local: &str| {
        let route = node.json(&["route", "--login", "anna", "--local", local, "--json"]);
        (route["outcome"]["account"].as_str().unwrap_or_default().to_owned(), route["steps"][0].to_string())
    };
    assert_eq!(goes_to("127.0.0.2").0, "anna@site.test");
    let (account, first) = goes_to("127.0.0.1");
    assert_eq!(account, "anna@two.test");
    assert!(first.contains("adds two.test"), "{first}");
}

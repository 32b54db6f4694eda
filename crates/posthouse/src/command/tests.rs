//! The commands against the API on a socket: what an operator types and sees.

mod export;
mod support;

use insta::assert_snapshot;
use support::Site;

#[tokio::test]
async fn accounts() {
    let site = Site::new().await;
    assert_snapshot!(site.run("account add Anna@site.test --no-password --quota 2G").await, @"added account Anna@site.test at store ingrid");
    assert_snapshot!(site.run_with("account add bob@site.test --store fritz --password-stdin", "s3cret\n").await, @"added account bob@site.test at store fritz");
    assert_snapshot!(site.run("account list").await, @"
    ADDRESS         STORE   STATE   QUOTA  FORWARD
    Anna@site.test  ingrid  active  2G     -
    bob@site.test   fritz   active  -      -
    ");
    assert_snapshot!(site.run("account list --store fritz --json").await, @r#"
    [
    {"address":"bob@site.test","created":1800000000,"id":"ID","revision":6,"state":"active","store":"fritz"}
    ]
    "#);
    assert_snapshot!(site.run("account set bob@site.test --state no-login --forward zoe@far.test").await, @"changed account bob@site.test");
    assert_snapshot!(site.run("account show bob@site.test").await, @"
    address    bob@site.test
    created    2027-01-15T08:00:00Z
    forward    zoe@far.test
    id         ID
    passwords  ARGON2ID, SCRAM-SHA-256
    revision   7
    state      no-login
    store      fritz
    ");
    assert_snapshot!(site.run("account set bob@site.test --rename robert@site.test").await, @"renamed account bob@site.test to robert@site.test");
    assert_snapshot!(site.run("account remove robert@site.test nobody@site.test").await, @"
    removed account robert@site.test; its mail stays at store fritz, and nobody reads it: a new account of that name begins empty
    ! posthouse: there is no account nobody@site.test
    exit code 1
    ");
    assert_snapshot!(site.run("account list --domain site.test").await, @"
    ADDRESS         STORE   STATE   QUOTA  FORWARD
    Anna@site.test  ingrid  active  2G     -
    ");
}

#[tokio::test]
async fn refusals() {
    let site = Site::new().await;
    site.run("account add anna@site.test --no-password").await;
    assert_snapshot!(site.run("account add ANNA@site.test --no-password").await, @"
    ! posthouse: there is already account anna@site.test
    exit code 1
    ");
    assert_snapshot!(site.run("account add bob@site.test --no-password --store ingird").await, @"
    ! posthouse: there is no store ingird; did you mean ingrid?
    exit code 1
    ");
    assert_snapshot!(site.run("account add bob@site.test").await, @"
    ! posthouse: there is no terminal to ask for a password: give --password-stdin, --generate-password or --password-hash
    exit code 1
    ");
    assert_snapshot!(site.run("account add bob@site.test --password-hash {MD5}x").await, @"
    ! posthouse: password_hashes: unknown password scheme {MD5}
    exit code 1
    ");
    assert_snapshot!(site.run("account set anna@site.test").await, @"
    ! posthouse: nothing to change: see --help for what can be
    exit code 1
    ");
    assert_snapshot!(site.run("domain show sight.test").await, @"
    ! posthouse: there is no domain sight.test; did you mean site.test?
    exit code 1
    ");
    site.engine.go_away();
    assert_snapshot!(site.run("account list").await, @"
    ! posthouse: the directory's engine does not answer: it was told to be away; this is temporary, try again later
    exit code 1
    ");
}

#[tokio::test]
async fn a_generated_password_is_printed_once_and_works() {
    let site = Site::new().await;
    let said = site.run("account add anna@site.test --generate-password").await;
    let password = said.lines().find_map(|line| line.strip_prefix("password: ")).expect("it is printed");
    assert_eq!(said.matches(password).count(), 1);
    assert!(site.lets_in("anna@site.test", password).await);
    let again = site.run("account set anna@site.test --generate-password").await;
    assert!(!again.contains(password), "{again}");
    assert!(!site.lets_in("anna@site.test", password).await);
}

#[tokio::test]
async fn routes() {
    let site = Site::new().await;
    site.run("account add error@site.test --no-password").await;
    site.run("alias add info@site.test error@site.test zoe@far.test").await;
    assert_snapshot!(site.run("route error@site.test nobody@site.test").await, @"
    error@site.test
      looked up as error@site.test
      account error@site.test exists (id ID)
      placement of error@site.test: store ingrid
      => store ingrid, account error@site.test
    nobody@site.test
      looked up as nobody@site.test
      no account or alias nobody@site.test
      => refused: 550 5.1.1 no such account here
    exit code 1
    ");
    assert_snapshot!(site.run("route --login --json error nobody").await, @r#"
    {"address":"error","steps":["login \"error\" means error@site.test","account error@site.test exists (id ID)","placement of error@site.test: store ingrid"],"outcome":{"kind":"store","store":"ingrid","account":"error@site.test"}}
    {"address":"nobody","steps":["login \"nobody\" means nobody@site.test","no account or alias nobody@site.test"],"outcome":{"kind":"reject","reply":"NO [AUTHENTICATIONFAILED] no such account"}}
    exit code 1
    "#);
    assert_snapshot!(site.run("route --json info@site.test").await, @r#"
    {"address":"info@site.test","steps":["looked up as info@site.test","alias info@site.test leads to error@site.test, zoe@far.test","looked up as error@site.test","account error@site.test exists (id ID)","placement of error@site.test: store ingrid","zoe@far.test is elsewhere","mail cannot be sent to other sites yet: because of zoe@far.test, nobody gets it"],"outcome":{"kind":"tempfail","reply":"451 4.3.5 this address leads to another site, try again later"}}
    exit code 1
    "#);
    site.run("account add zoe@site.test --no-password").await;
    site.run("alias set info@site.test error@site.test zoe@site.test").await;
    assert_snapshot!(site.run("route info@site.test").await, @"
    info@site.test
      looked up as info@site.test
      alias info@site.test leads to error@site.test, zoe@site.test
      looked up as error@site.test
      account error@site.test exists (id ID)
      placement of error@site.test: store ingrid
      looked up as zoe@site.test
      account zoe@site.test exists (id ID)
      placement of zoe@site.test: store fritz
      => goes to error@site.test, zoe@site.test
    ");
}

#[tokio::test]
async fn nodes() {
    let site = Site::new().await;
    assert_snapshot!(site.run("node list").await, @"! no nodes");
    assert_snapshot!(site.run("node add n1 --role store --role relay --address mx1.site.test --address 192.0.2.1 --port lmtp=2424").await, @"added node n1");
    assert_snapshot!(site.run("node add n2").await, @"added node n2");
    assert_snapshot!(site.run("node list").await, @"
    NAME  ROLES         ADDRESSES                 PORTS
    n1    relay, store  mx1.site.test, 192.0.2.1  lmtp=2424
    n2    -             -                         -
    ");
    assert_snapshot!(site.run("node add N1").await, @"
    ! posthouse: there is already node n1
    exit code 1
    ");
    assert_snapshot!(site.run("node set n2 --address mx2.site.test --role proxy").await, @"changed node n2");
    assert_snapshot!(site.run("node set n1 --port none --address 192.0.2.7").await, @"changed node n1");
    assert_snapshot!(site.run("node show n1").await, @"
    addresses  192.0.2.7
    name       n1
    ports
    revision   8
    roles      relay, store
    ");
    assert_snapshot!(site.run("node set n2 --role none --role proxy").await, @"
    ! posthouse: `none` stands alone
    exit code 1
    ");
    assert_snapshot!(site.run("node set n2 --address no..host").await, @r#"
    ! posthouse: not a record of this kind: host: not a host name or an IP address: "no..host"
    exit code 1
    "#);
    assert_snapshot!(site.run("store add hedda --node n2").await, @"added store hedda");
    assert_snapshot!(site.run("node remove n2").await, @"
    ! posthouse: node n2 is in use by store hedda
    exit code 1
    ");
    assert_snapshot!(site.run("store add inge --node n22").await, @"
    ! posthouse: there is no node n22; did you mean n2?
    exit code 1
    ");
    assert_snapshot!(site.run("store set hedda --node n4711").await, @"
    ! posthouse: there is no node n4711
    exit code 1
    ");
    assert_snapshot!(site.run("store remove hedda").await, @"removed store hedda");
    assert_snapshot!(site.run("node remove n2 n3").await, @"
    removed node n2
    ! posthouse: there is no node n3; did you mean n1?
    exit code 1
    ");
}

#[tokio::test]
async fn rules_domains_stores_placements_and_the_site() {
    let site = Site::new().await;
    assert_snapshot!(site.run("rule add spread --order 20 --hash ingrid=2,fritz=1").await, @"added rule spread");
    assert_snapshot!(site.run("rule add old --order 5 --domain site.test --regex ^x --store fritz").await, @"added rule old");
    assert_snapshot!(site.run("rule list").await, @"
    ORDER  NAME    DOMAIN     MATCHES       STORE
    5      old     site.test  local =~ ^x   fritz
    10     early   -          a…k           ingrid
    20     spread  -          all, by hash  fritz=1, ingrid=2
    ");
    assert_snapshot!(site.run("rule set spread --all --store fritz --dry-run").await, @"would have changed rule spread; 0 accounts would be pinned");
    assert_snapshot!(site.run("rule remove spread").await, @"removed rule spread");
    assert_snapshot!(site.run("domain add second.test --delimiter none --catch-all anna@site.test").await, @"
    added domain second.test
    ! posthouse: warning: nobody has anna@site.test yet: there is no such account or alias
    ");
    assert_snapshot!(site.run("domain list").await, @"
    DOMAIN       ACCOUNTS  DELIMITER  DEFAULT STORE  CATCH-ALL       POSTMASTER  LOCAL
    second.test  checked   -          -              anna@site.test  -           yes
    site.test    checked   +          fritz          -               -           yes
    ");
    assert_snapshot!(site.run("store add old --host old.test --port imap --port lmtp=2003 --tls starttls").await, @r#"
    added store old
    ! posthouse: old wants its users' own passwords: while it is there, SCRAM ("auto"), client certificates and access tokens are offered nowhere
    "#);
    assert_snapshot!(site.run("store list").await, @"
    NAME    KIND       WHERE     PORTS                TLS       LOGIN
    fritz   posthouse  n1        -                    -         -
    ingrid  posthouse  n1        -                    -         -
    old     foreign    old.test  imap=143, lmtp=2003  starttls  password
    ");
    assert_snapshot!(site.run("store remove ingrid").await, @"
    ! posthouse: store ingrid is in use by rule early
    exit code 1
    ");
    assert_snapshot!(site.run("placement add x@site.test old --user x").await, @"placed x@site.test at store old");
    assert_snapshot!(site.run("account add x@site.test --no-password --store fritz").await, @"
    ! posthouse: x@site.test is placed at store old; leave --store out, or change or remove the placement first
    exit code 1
    ");
    assert_snapshot!(site.run("placement list").await, @"
    ADDRESS      STORE  USER
    x@site.test  old    x
    ");
    assert_snapshot!(site.run("alias list").await, @"! no aliases");
    assert_snapshot!(site.run("alias list --json").await, @"[]");
    assert_snapshot!(site.run("site set --login-domain site.test").await, @"changed the site");
    assert_snapshot!(site.run("site show").await, @"
    login_domain  site.test
    revision      13
    ");
}

#[tokio::test]
async fn a_back_end_whose_ports_are_protected_each_in_its_way() {
    let site = Site::new().await;
    let add = "store add old --host old.test --port imap --port sieve --port submission/starttls --tls tls";
    assert!(site.run(add).await.starts_with("added store old\n"));
    let shown = site.run("store list").await;
    assert!(shown.contains("imap=993, sieve=4190, submission=587/starttls  tls"), "{shown}");
    let shown = site.run("store show old").await;
    assert!(shown.contains("port_tls  submission=starttls"), "{shown}");
    let shown = site.run("store show old --json").await;
    assert!(shown.contains(r#""port_tls":{"submission":"starttls"}"#), "{shown}");
    // The usual port is the one for how the store is protected, which need not be said again.
    let said = site.run("store set old --port submission=587 --port imap").await;
    assert!(said.contains("old has no port for sieve any more: --port says all of them"), "{said}");
    let shown = site.run("store list").await;
    assert!(
        shown.contains("imap=993, submission=587  tls") && !site.run("store show old").await.contains("port_tls"),
        "{shown}"
    );
    let clear = site.run("store set old --port imap --port pop3=110/none").await;
    assert!(clear.contains("passwords go to old.test in the clear"), "{clear}");
    for (wrong, why) in [("imap=993/ssl", "none of none"), ("imaps", "none of smtp"), ("imap=x", "not a port")] {
        let said = site.run(&format!("store set old --port {wrong}")).await;
        assert!(said.contains(why), "{said}");
    }
    let said = site.run("node set n1 --port imap=993/tls").await;
    assert!(said.contains("is written as imap=143"), "{said}");
}

#[tokio::test]
async fn a_back_end_that_judges_tokens() {
    let site = Site::new().await;
    let said = site.run("store add old --host old.test --port imap --tokens true").await;
    assert!(said.contains("passwords and tokens go to old.test in the clear"), "{said}");
    assert!(said.contains("SCRAM (\"auto\") and client certificates are offered nowhere"), "{said}");
    let shown = site.run("store show old").await;
    assert!(shown.contains("tokens    yes"), "{shown}");
    let said = site.run("store set old --login master").await;
    assert!(said.contains("tokens") && said.contains("is shown none"), "{said}");
    let said = site.run("store set old --login master --tokens false --tls tls").await;
    assert_eq!(said, "changed store old\n", "nothing is taken from anybody by it");
    let said = site.run("store set old --login password --port lmtp").await;
    assert!(said.contains("no port for imap any more") && !said.contains("offered nowhere"), "nobody logs in: {said}");
    site.run("store set old --login master --port imap").await;
    let shown = site.run("store show old --json").await;
    assert!(shown.contains(r#""login":"master""#) && !shown.contains("tokens"), "{shown}");
    let said = site.run("store set ingrid --tokens true").await;
    assert!(said.contains("a store of this kind has no such field"), "{said}");
}

#[tokio::test]
async fn a_back_end_with_several_hosts() {
    let site = Site::new().await;
    let add = "store add pair --host a.test --host b.test,imap=1143 --port imap --tls tls";
    assert!(site.run(add).await.starts_with("added store pair\n"));
    assert_snapshot!(site.run("store show pair").await, @"
    hosts     a.test, b.test,imap=1143
    kind      foreign
    login     password
    name      pair
    ports     imap=993
    revision  5
    tls       tls
    ");
    assert_snapshot!(site.run("store set pair --host c.test").await, @r#"
    changed store pair
    ! posthouse: pair wants its users' own passwords: while it is there, SCRAM ("auto"), client certificates and access tokens are offered nowhere
    "#);
    assert_snapshot!(site.run("store add old --host old.test --port imap --tls tls").await, @r#"
    added store old
    ! posthouse: old wants its users' own passwords: while it is there, SCRAM ("auto"), client certificates and access tokens are offered nowhere
    "#);
    assert_snapshot!(site.run("store set old --host old.test --host older.test --tls none").await, @r#"
    changed store old
    ! posthouse: passwords go to old.test in the clear: `posthouse store set old --tls starttls` or `--tls tls`
    ! posthouse: old wants its users' own passwords: while it is there, SCRAM ("auto"), client certificates and access tokens are offered nowhere
    "#);
    assert_snapshot!(site.run("store list").await, @"
    NAME    KIND       WHERE                 PORTS     TLS   LOGIN
    fritz   posthouse  n1                    -         -     -
    ingrid  posthouse  n1                    -         -     -
    old     foreign    old.test, older.test  imap=993  none  password
    pair    foreign    c.test                imap=993  tls   password
    ");
}

#[tokio::test]
async fn aliases_that_lead_nowhere_or_round() {
    let site = Site::new().await;
    assert_snapshot!(site.run("alias add a@site.test b@site.test zoe@far.test").await, @"
    added alias a@site.test
    ! posthouse: warning: nobody has b@site.test yet: there is no such account or alias
    ! posthouse: warning: zoe@far.test is elsewhere, and mail cannot be sent to other sites yet
    ");
    assert_snapshot!(site.run("alias add b@site.test a@site.test").await, @"
    ! posthouse: this makes a loop: b@site.test -> a@site.test -> b@site.test
    exit code 1
    ");
    assert_snapshot!(site.run("alias add self@site.test self@site.test").await, @"
    ! posthouse: this makes a loop: self@site.test -> self@site.test
    exit code 1
    ");
    assert_snapshot!(site.run("alias add b@site.test anna@site.test").await, @"
    added alias b@site.test
    ! posthouse: warning: nobody has anna@site.test yet: there is no such account or alias
    ");
    site.run("account add anna@site.test --no-password").await;
    assert_snapshot!(site.run("alias set b@site.test anna@site.test").await, @"changed alias b@site.test");
    assert_snapshot!(site.run("alias set b@site.test anna@site.test A@site.test").await, @"
    ! posthouse: this makes a loop: b@site.test -> a@site.test -> b@site.test
    exit code 1
    ");
    assert_snapshot!(site.run("domain set site.test --catch-all zoe@site.test").await, @"
    changed domain site.test
    ! posthouse: warning: nobody has zoe@site.test yet: there is no such account or alias
    ");
    assert_snapshot!(site.run("domain set site.test --delimiter none").await, @"changed domain site.test");
    assert_snapshot!(site.run("domain set site.test --catch-all none --postmaster anna@site.test").await, @"changed domain site.test");
    assert_snapshot!(site.run("site set --postmaster postmaster@far.test --dry-run").await, @"
    would have changed the site; 0 accounts would be pinned
    ! posthouse: warning: postmaster@far.test is elsewhere, and mail cannot be sent to other sites yet
    ");
    assert_snapshot!(site.run("site set --postmaster max@site.test").await, @"
    changed the site
    ! posthouse: warning: nobody has max@site.test yet: there is no such account or alias
    ");
    assert_snapshot!(site.run("domain add second.test --catch-all anna@second.test").await, @"
    added domain second.test
    ! posthouse: warning: nobody has anna@second.test yet: there is no such account or alias
    ");
    assert_snapshot!(site.run("alias add info@second.test nobody@second.test").await, @"
    added alias info@second.test
    ! posthouse: warning: nobody has anna@second.test yet: there is no such account or alias
    ");
    assert_snapshot!(site.run("domain set second.test --catch-all info@second.test").await, @"
    changed domain second.test
    ! posthouse: warning: mail goes round: info@second.test -> nobody@second.test -> info@second.test as long as nobody has nobody@second.test
    ");
}

#[tokio::test]
async fn imports() {
    let site = Site::new().await;
    let users = "anna:{PLAIN}x::::::\nno separator\nError:{PLAIN}y::::::\nANNA@site.test:{PLAIN}z::::::\n";
    assert_snapshot!(site.run_with("import passwd-file - --dry-run", users).await, @r#"
    dry run, nothing written: 2 added, 0 changed, 0 unchanged, 1 bad, 1 collisions
    ! -:2: there is no ':' after the key
    ! -:4: collision: "ANNA@site.test" is the same address as anna@site.test on line 1
    exit code 1
    "#);
    assert_snapshot!(site.run_with("import passwd-file -", users).await, @r#"
    nothing imported: 1 bad, 1 collisions (--skip-bad takes the rest: 2 added, 0 changed, 0 unchanged)
    ! -:2: there is no ':' after the key
    ! -:4: collision: "ANNA@site.test" is the same address as anna@site.test on line 1
    exit code 1
    "#);
    assert_snapshot!(site.run_with("import passwd-file - --skip-bad", users).await, @r#"
    imported: 2 added, 0 changed, 0 unchanged, 1 bad, 1 collisions
    ! importing: 100 %
    ! -:2: there is no ':' after the key
    ! -:4: collision: "ANNA@site.test" is the same address as anna@site.test on line 1
    "#);
    assert_snapshot!(site.run_with("import popmap -", "anna:mail7.old.test\n").await, @r#"
    nothing imported: 1 bad, 0 collisions (--skip-bad takes the rest: 0 added, 0 changed, 0 unchanged)
    ! -:1: no store is called "mail7.old.test" or mapped to it
    exit code 1
    "#);
    assert_snapshot!(site.run_with("import popmap - --store mail7.old.test=fritz", "anna:mail7.old.test\n").await, @"
    line 1 changes anna@site.test: from store ingrid to store fritz, from user none to user anna
    imported: 0 added, 1 changed, 0 unchanged, 0 bad, 0 collisions
    ! importing: 100 %
    ");
    assert_snapshot!(site.run_with("import popmap -", "anna:a7@fritz\n").await, @"
    line 1 changes anna@site.test: from user anna to user a7
    imported: 0 added, 1 changed, 0 unchanged, 0 bad, 0 collisions
    ! importing: 100 %
    ");
    assert_snapshot!(site.run_with("import popmap - --dry-run", "anna:a8@ingrid\n").await, @"
    line 1 changes anna@site.test: from store fritz to store ingrid, from user a7 to user a8
    dry run, nothing written: 0 added, 1 changed, 0 unchanged, 0 bad, 0 collisions
    ");
    assert_snapshot!(site.run_with("import passwd-file -", "ADMIN%site.test:{PLAIN}x::::::\n").await, @r#"
    nothing imported: 1 bad, 0 collisions (--skip-bad takes the rest: 0 added, 0 changed, 0 unchanged)
    ! -:1: "ADMIN%site.test" cannot be imported: a login of that name means another account, so nobody could log in to it
    exit code 1
    "#);
    assert_snapshot!(site.run("import popmap /nonexistent/map").await, @"
    ! posthouse: /nonexistent/map: No such file or directory (os error 2)
    exit code 1
    ");
}

#[tokio::test]
async fn imports_of_rules() {
    let site = Site::new().await;
    let map = "^an: fritz\n(: fritz\n^[[:alpha:]]: mail7.old.test\n";
    assert_snapshot!(site.run_with("import regex-map - --dry-run --store mail7.old.test=ingrid", map).await, @"
    dry run, nothing written: 2 added, 0 changed, 0 unchanged, 1 bad, 0 collisions
    ! -:2: the expression cannot be used: unclosed group
    exit code 1
    ");
    assert_snapshot!(site.run_with("import regex-map - --skip-bad --store mail7.old.test=ingrid", map).await, @"
    imported: 2 added, 0 changed, 0 unchanged, 1 bad, 0 collisions
    ! importing: 100 %
    ! -:2: the expression cannot be used: unclosed group
    ");
    assert_snapshot!(site.run("rule list").await, @"
    ORDER  NAME         DOMAIN  MATCHES                STORE
    10     early        -       a…k                    ingrid
    1001   regex-map-1  -       local =~ ^an           fritz
    1003   regex-map-3  -       local =~ ^[[:alpha:]]  ingrid
    ");
}

#[tokio::test]
async fn imports_of_names() {
    let site = Site::new().await;
    let map = "zoe zoe1@mail7.old.test\ninfo zoe@far.test\nnobody error:nouser\n@site.test info\na b\nb a\n";
    assert_snapshot!(site.run_with("import virtusertable - --skip-bad --store mail7.old.test=fritz", map).await, @"
    imported: 4 added, 0 changed, 0 unchanged, 0 bad, 1 collisions
    ! importing: 100 %
    ! -:6: collision: b@site.test leads back to itself: b@site.test → a@site.test → b@site.test
    ! -:3: ignored: nobody error:nouser: there is no record of a refusal; nobody has it, unless others say so
    ! -:2: note: zoe@far.test is elsewhere: its mail is deferred as long as there is no outbound mail
    ");
    assert_snapshot!(site.run_with("import user-map - --dry-run", "zoe zoe1@fritz\n").await, @"dry run, nothing written: 0 added, 0 changed, 1 unchanged, 0 bad, 0 collisions");
}

#[tokio::test]
async fn imports_of_lists() {
    let site = Site::new().await;
    std::fs::write(site.dir().join("list"), "anna\n:include:more\n:include:none\n").expect("written");
    std::fs::write(site.dir().join("more"), "zoe\n").expect("written");
    std::fs::write(site.dir().join("aliases"), "list: :include:list\nall: :include:more,\n list\n").expect("written");
    let line = format!("import aliases {} --skip-bad", site.dir().join("aliases").display());
    let said = site.run(&line).await.replace(&*site.dir().to_string_lossy(), "D");
    assert_snapshot!(said, @r#"
    imported: 1 added, 0 changed, 0 unchanged, 1 bad, 0 collisions
    ! importing: 100 %
    ! D/aliases:1: ":include:none" cannot be imported: the list could not be read
    "#);
    assert_snapshot!(site.run("alias list").await, @"
    ADDRESS        TARGETS
    all@site.test  zoe@site.test, list@site.test
    ");
}

#[tokio::test]
async fn imports_of_postfix_tables() {
    let site = Site::new().await;
    assert_snapshot!(site.run_with("import virtual -", "site.test x\ninfo@site.test zoe,\n  max\n").await, @"
    imported: 1 added, 0 changed, 0 unchanged, 0 bad, 0 collisions
    ! importing: 100 %
    ! -:1: ignored: site.test is a domain, and is there already
    ");
    assert_snapshot!(site.run_with("import transport -", "zoe@site.test lmtp:[ingrid]:24\nsite.test lmtp:unix:x\n").await, @r#"
    nothing imported: 1 bad, 0 collisions (--skip-bad takes the rest: 1 added, 0 changed, 0 unchanged)
    ! -:2: "lmtp:unix:x" cannot be imported: it is a socket of one machine; name the store's host
    exit code 1
    "#);
}

#[tokio::test]
async fn the_queue() {
    let site = Site::new().await;
    let (one, two) = ("01".repeat(16), "02".repeat(16));
    assert_snapshot!(site.run("queue list").await, @"
    ID                                QUEUED                SIZE  FROM        TO                         STORE   NEXT
    ID  2027-01-15T08:00:00Z  2K    s@far.test  info@site.test and 1 more  fritz   2027-01-15T08:04:00Z
    ID  -                     2K    <>          anna@site.test             ingrid  2027-01-15T08:04:00Z (refused)
    ");
    assert_snapshot!(site.run("queue list --store ingrid --json").await, @r#"
    [
    {"entry":2,"from":"<>","held":false,"id":"ID","next":1800000240,"octets":2048,"queued":null,"recipients":[{"address":"anna@site.test","attempts":3,"next":1800000240,"recipient":"anna@site.test","refused":"550 5.1.1 No such user here","store":"ingrid"}]}
    ]
    "#);
    assert_snapshot!(site.run(&format!("queue show {one}")).await, @"
    id      ID
    from    s@far.test
    size    2K
    queued  2027-01-15T08:00:00Z
    next    2027-01-15T08:04:00Z
    waits   info@site.test (account zoe@site.test) at store fritz; 3 attempts, next 2027-01-15T08:04:00Z
    waits   max@site.test at store fritz; 3 attempts, next 2027-01-15T08:04:00Z
    ");
    assert_snapshot!(site.run(&format!("queue hold {one}")).await, @"message ID is held");
    assert_snapshot!(site.run(&format!("queue show {one}")).await, @"
    id      ID
    from    s@far.test
    size    2K
    queued  2027-01-15T08:00:00Z
    next    held
    waits   info@site.test (account zoe@site.test) at store fritz; 3 attempts, held
    waits   max@site.test at store fritz; 3 attempts, held
    ");
    assert_snapshot!(site.run(&format!("queue show {two}")).await, @"
    id     ID
    from   <>
    size   2K
    next   2027-01-15T08:04:00Z
    waits  anna@site.test at store ingrid; 3 attempts, next 2027-01-15T08:04:00Z; refused: 550 5.1.1 No such user here
    ");
    assert_snapshot!(site.run(&format!("queue retry {one}")).await, @"
    ! posthouse: it is held
    exit code 1
    ");
    assert_snapshot!(site.run("queue retry --all").await, @"retry: 1 message");
    assert_snapshot!(site.run("queue list --store fritz").await, @"
    ID                                QUEUED                SIZE  FROM        TO                         STORE  NEXT
    ID  2027-01-15T08:00:00Z  2K    s@far.test  info@site.test and 1 more  fritz  held
    ");
    assert_snapshot!(site.run("queue release --store ingrid").await, @"release: 0 messages");
    assert_snapshot!(site.run("queue release --store fritz").await, @"release: 1 message");
}

#[tokio::test]
async fn removing_queued_mail_says_who_loses_it() {
    let site = Site::new().await;
    let (one, two) = ("01".repeat(16), "02".repeat(16));
    assert_snapshot!(site.run(&format!("queue remove {one}")).await, @"
    would remove message ID from s@far.test
      info@site.test (account zoe@site.test) at store fritz would not get it
      max@site.test at store fritz would not get it
    ! posthouse: nothing is removed yet: say --yes
    exit code 1
    ");
    assert_snapshot!(site.run(&format!("queue remove {one} {two} --yes")).await, @"
    removed message ID from s@far.test
      info@site.test (account zoe@site.test) at store fritz does not get it
      max@site.test at store fritz does not get it
    removed message ID from <>
      anna@site.test at store ingrid does not get it
    ");
    assert_snapshot!(site.run("queue list").await, @"! no messages");
    assert_snapshot!(site.run(&format!("queue remove {one} --yes")).await, @"
    ! posthouse: no message ID is in the retry queue
    exit code 1
    ");
    assert_snapshot!(site.run("queue show xyz").await, @r#"
    ! posthouse: id: "xyz" is no delivery id: 32 hexadecimal digits
    exit code 1
    "#);
}

#[tokio::test]
async fn status() {
    let site = Site::new().await;
    assert_snapshot!(site.run("status").await, @"
    node                   n1, version 0.1.0
    running since          2027-01-15T08:00:00Z
    state                  draining, 2 sessions left
    roles                  relay, proxy, store
    listens smtp           127.0.0.1:10025
    listens lmtp           127.0.0.1:10024 (store ingrid)
    store ingrid           3 accounts with mailboxes
    store fritz            does not answer
    retry queue            messages 2, recipients 3, held 1; the oldest since 2027-01-15T08:00:00Z
    directory              domains 1, rules 1, stores 2 (revision 4)
    not offered: EXTERNAL  a store
    ");
}

#[tokio::test]
async fn without_a_node_the_socket_is_named() {
    let site = Site::new().await;
    let gone = site.dir().join("gone");
    let said = site.run_at(&format!("status --dir {}", gone.display())).await;
    let said = said.replace(&*site.dir().to_string_lossy(), "D");
    assert_snapshot!(said, @"
    ! posthouse: no node answers
    !   tried D/gone/admin.sock: there is no such socket
    !   start one with `posthouse quickstart --dir D/gone`
    exit code 1
    ");
}

#[tokio::test]
async fn who_and_kick() {
    let site = Site::new().await;
    assert_snapshot!(site.run("who").await, @"
    ID  PROTOCOL  CLIENT               TLS  ACCOUNT         STORE   SINCE                 STATE  MESSAGES
    1   imap      192.0.2.7:40000      no   anna@site.test  ingrid  2027-01-15T08:00:00Z  idle   -
    2   smtp      [2001:db8::7]:40001  yes  -               -       2027-01-15T08:00:00Z  idle   1
    ");
    assert_snapshot!(site.run("who imap anna@site.test --json").await, @r#"
    [
    {"account":"anna@site.test","client":"192.0.2.7:40000","id":1,"protocol":"imap","since":1800000000,"state":"idle","store":"ingrid","tls":false}
    ]
    "#);
    assert_snapshot!(site.run("who pop3").await, @"! no sessions");
    assert_snapshot!(site.run("who ingrid").await, @r"
    ! posthouse: ingrid is neither an address nor one of smtp, lmtp, imap, pop3, sieve, submission
    exit code 1
    ");
    assert_snapshot!(site.run("kick anna@site.test").await, @"1 session asked to leave");
    assert_snapshot!(site.run("kick anna@site.test").await, @r"
    0 sessions asked to leave
    exit code 1
    ");
    assert_snapshot!(site.run("kick --id 2 --client 2001:db8::7").await, @"1 session asked to leave");
    assert_snapshot!(site.run("who smtp").await, @"
    ID  PROTOCOL  CLIENT               TLS  ACCOUNT  STORE  SINCE                 STATE    MESSAGES
    2   smtp      [2001:db8::7]:40001  yes  -        -      2027-01-15T08:00:00Z  leaving  1
    ");
}

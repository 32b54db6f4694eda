//! The directory written out, and a node that runs with the file.

use super::support::{Copy, Site, lets_in};
use directory::{Origin, read_secret};
use insta::assert_snapshot;
use std::os::unix::fs::PermissionsExt;

/// A site with some of everything.
async fn site() -> Site {
    let site = Site::new().await;
    for line in [
        "account add Anna@site.test --no-password --quota 2G",
        "account add a/b@site.test --no-password",
        "account add zoe@site.test --no-password --forward far@far.test",
        "account add shut@site.test --no-password --state disabled",
        "alias add info@site.test anna@site.test zoe@far.test",
        "domain add second.test --delimiter none --catch-all anna@site.test",
        "domain add old.test --accounts unchecked",
        "store add old --host imap.old.test --port imap --port lmtp",
        "rule add all-old --order 5 --domain old.test --all --store old",
        "rule add spread --order 20 --hash ingrid=2,fritz=1",
        "placement add x@old.test old --user x-at-old",
        "site set --default-store fritz --postmaster anna@site.test --login-domain site.test",
    ] {
        let said = site.run(line).await;
        assert!(!said.contains("exit code"), "{line}: {said}");
    }
    let said = site.run_with("account add bob@site.test --store fritz --password-stdin", "s3cret\n").await;
    assert!(!said.contains("exit code"), "{said}");
    site
}

const ASKED: &str = "anna@site.test ANNA+x@site.test a/b@site.test zoe@site.test shut@site.test info@site.test bob@site.test \
    nobody@site.test postmaster@site.test anyone@second.test x+y@second.test x@old.test y@old.test a@far.test anna bob x";

#[tokio::test]
async fn a_node_with_the_file_answers_as_the_one_that_wrote_it() {
    let site = site().await;
    let file = site.dir().join("directory");
    let said = site.run(&format!("export directory {}", file.display())).await;
    assert_eq!(said, format!("wrote {}\n", file.display()));
    assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    let printed = site.run("export directory").await;
    let written = std::fs::read_to_string(&file).expect("text");
    assert_eq!(printed.lines().count(), written.lines().count(), "the same on standard output");
    let copy = Copy::of(&file).await;
    for form in ["route --json", "route --login --json"] {
        let line = format!("{form} {ASKED}");
        let asked = site.run(&line).await;
        assert_eq!(asked.lines().count(), ASKED.split_whitespace().count() + 1, "{asked}");
        assert_eq!(copy.run(&line).await, asked);
    }
    for kind in ["account", "alias", "domain", "rule", "store", "placement"] {
        assert_eq!(copy.run(&format!("{kind} list")).await, site.run(&format!("{kind} list")).await);
    }
    assert!(lets_in(&copy.file.engine(), "bob@site.test", "s3cret").await);
    assert!(!lets_in(&copy.file.engine(), "bob@site.test", "other").await);
    // What a node exports that has a file itself is that file.
    assert_eq!(copy.run("export directory").await, printed);
}

#[tokio::test]
async fn without_passwords_nobody_is_refused_for_good() {
    let site = site().await;
    let file = site.dir().join("directory");
    site.run(&format!("export directory --without-passwords {}", file.display())).await;
    assert!(!std::fs::read_to_string(&file).expect("text").contains("ARGON2"));
    let copy = Copy::of(&file).await;
    let bob = mail_types::Address::parse("bob@site.test").expect("an address");
    assert_eq!(read_secret(&copy.file.engine(), &bob).await, Origin::Unavailable);
    let said = copy.run("export directory -").await;
    assert!(said.contains("was made without password hashes"), "{said}");
}

#[tokio::test]
async fn a_node_that_only_reads_says_where_to_edit() {
    let site = site().await;
    let file = site.dir().join("directory");
    site.run(&format!("export directory {}", file.display())).await;
    let copy = Copy::of(&file).await;
    for line in ["account add new@site.test --no-password", "alias remove info@site.test", "store set old --tls tls"] {
        let said = copy.run(line).await.replace(&format!("{}", file.display()), "/etc/directory");
        let why = "this node only reads its directory; it is kept in /etc/directory: change it where that is made";
        assert_eq!(said, format!("! posthouse: {why}\nexit code 1\n"), "{line}");
    }
}

#[tokio::test]
async fn an_export_that_fails_leaves_the_file_as_it_was() {
    let site = site().await;
    let file = site.dir().join("directory");
    std::fs::write(&file, "old").expect("written");
    site.engine.go_away();
    let said = site.run(&format!("export directory {}", file.display())).await;
    assert_snapshot!(said, @r"
    ! posthouse: the directory's engine does not answer: it was told to be away; this is temporary, try again later
    exit code 1
    ");
    assert_eq!(std::fs::read(&file).expect("read"), b"old");
    let names = std::fs::read_dir(site.dir()).expect("listed").count();
    assert_eq!(names, 2, "the socket and the file");
    let said = site.run(&format!("export directory {}", site.dir().join("no/where").display())).await;
    assert!(said.contains("no/where: No such file or directory"), "{said}");
}

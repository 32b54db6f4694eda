//! A machine without descriptors.

use crate::listener::{open, options};
use crate::toy::{expect, say, strings};
use net::Security;
use std::fs::File;
use tokio::net::TcpSocket;

/// Runs itself again in a process that may open few files: the other tests would suffer in this one.
#[test]
fn a_listener_survives_the_last_descriptor() {
    if std::env::var_os(INNER).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        return runtime.block_on(survive());
    }
    let this = std::env::current_exe().expect("our own path");
    let name = "exhausted::a_listener_survives_the_last_descriptor";
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 48 && exec \"$0\" --exact \"$1\"", this.to_str().expect("a path in UTF-8"), name])
        .env(INNER, "1")
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

async fn survive() {
    let (strings, _events) = strings();
    let inn = open(options(Security::Plain), &strings);
    let client = TcpSocket::new_v4().expect("a socket");
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    // The backlog takes the connection, accept cannot. This task and the listener share a thread: it has failed at
    // least once when we are asked again.
    let mut client = client.connect(inn.address).await.expect("in the backlog");
    say(&mut client, "echo still here\r\n").await;
    tokio::task::yield_now().await;
    drop(hoard);
    expect(&mut client, "still here\r\n").await;
}

const INNER: &str = "NET_TEST_FEW_DESCRIPTORS";

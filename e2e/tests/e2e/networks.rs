//! Client networks that ask the relay for too much. Who they are is told by PROXY headers, as a balancer would.

use crate::world::{World, trial};
use anyhow::{Result, ensure};
use e2e::site::Site;
use e2e::wire::Wire;
use libtest_mimic::Trial;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![trial(world, "client_networks_have_limits", &[], limits)]
}

fn limits(world: &World) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut site = Site::start(&folder.path().join("site"), &world.log("clients"))?;
    site.stop()?;
    site.configure(
        "clients",
        "[relay]\nproxy_protocol = true\nproxy_from = '127.0.0.1'\ntrusted = '203.0.113.0/24'\n\
         [relay.clients]\nconnections = 2\nrefused_recipients_per_minute = 1\n",
    )?;
    site.start_again()?;
    let (mut one, _two) = (greeted(&site, "192.0.2.1", "220 ")?, greeted(&site, "192.0.2.2", "220 ")?);
    greeted(&site, "192.0.2.3", "421 4.7.0 Too many connections")?;
    let _other = greeted(&site, "198.51.100.1", "220 ")?;
    let _trusted = (0..4).map(|_| greeted(&site, "203.0.113.1", "220 ")).collect::<Result<Vec<_>>>()?;

    let domain = &site.description().domain;
    let lines = format!("HELO x\r\nMAIL FROM:<>\r\n{}", format!("RCPT TO:<nobody@{domain}>\r\n").repeat(2));
    one.send(lines.as_bytes())?;
    for expected in ["250", "250", "550 5.1.1", "421 4.7.0 Too many unknown"] {
        let line = one.text()?;
        ensure!(line.starts_with(expected), "{line} instead of {expected}");
    }
    // Its place is free again once the relay has seen the end.
    ensure!(one.text().is_err(), "the connection goes on");
    site.stop()
}

/// A connection of that client, which is greeted so.
fn greeted(site: &Site, client: &str, greeting: &str) -> Result<Wire> {
    let mut wire = Wire::connect(site.address("smtp")?)?;
    wire.send(format!("PROXY TCP4 {client} 192.0.2.25 4711 25\r\n").as_bytes())?;
    let line = wire.text()?;
    ensure!(line.starts_with(greeting), "{client} is greeted with {line}");
    Ok(wire)
}

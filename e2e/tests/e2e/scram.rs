//! GNU SASL's client logs in by SCRAM, and binds itself to its TLS connection.

use crate::world::{World, trial};
use anyhow::{Context, Result, ensure};
use e2e::programs::Program;
use libtest_mimic::Trial;
use std::process::Output;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    const GSASL: &[Program] = &[Program::Gsasl];
    vec![
        trial(world, "gsasl_scram", GSASL, |world| log_in(world, "SCRAM-SHA-256", &["--no-cb"])),
        trial(world, "gsasl_scram_plus", GSASL, |world| log_in(world, "SCRAM-SHA-256-PLUS", &[])),
    ]
}

/// With the right password, and with another; over STARTTLS.
fn log_in(world: &World, mechanism: &str, options: &[&str]) -> Result<()> {
    for lease in world.borrow_from_each()? {
        let ask = |password: &str| -> Result<Output> {
            let address = world.address("imap")?;
            let mut gsasl = Program::Gsasl.command();
            gsasl.args(["--imap", "--mechanism", mechanism, "--starttls", "--x509-ca-file="]).args(options);
            gsasl.args(["--authentication-id", lease.address(), "--password", password, "--verbose"]);
            gsasl.args([address.ip().to_string(), address.port().to_string()]);
            gsasl.output().context("gsasl")
        };
        let right = ask(lease.password())?;
        let said = format!("{}{}", String::from_utf8_lossy(&right.stdout), String::from_utf8_lossy(&right.stderr));
        ensure!(right.status.success() && said.contains(" OK "), "{}: {said}", right.status);
        ensure!(said.contains(&format!("AUTH={mechanism}")), "{mechanism} is not offered: {said}");
        let wrong = ask("wrong")?;
        let said = String::from_utf8_lossy(&wrong.stdout);
        ensure!(said.contains("NO [AUTHENTICATIONFAILED]"), "{}: {said}", wrong.status);
    }
    Ok(())
}

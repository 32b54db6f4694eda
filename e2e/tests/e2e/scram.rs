//! GNU SASL's client logs in by SCRAM, and binds itself to its TLS connection.

use crate::world::{World, trial};
use anyhow::{Context, Result, ensure};
use e2e::programs::Program;
use e2e::site::{Account, Site};
use libtest_mimic::Trial;
use std::process::Output;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    const GSASL: &[Program] = &[Program::Gsasl];
    vec![trial(world, "gsasl_scram", GSASL, |_| log_in())]
}

/// On a site of its own: an account that another trial gives a hash without keys would turn SCRAM off.
fn log_in() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut site = Site::start(&folder.path().join("site"), &folder.path().join("log"))?;
    for store in ["fritz", "ingrid"] {
        let account = site.accounts_on(store).into_iter().next().context("nobody lives there")?;
        for (mechanism, options) in [("SCRAM-SHA-256", &["--no-cb"][..]), ("SCRAM-SHA-256-PLUS", &[])] {
            let tried = by(&site, &account, mechanism, options);
            tried.map_err(|error| error.context(site.log_tail()))?;
        }
    }
    site.stop()
}

/// With the right password, and with another; over STARTTLS.
fn by(site: &Site, account: &Account, mechanism: &str, options: &[&str]) -> Result<()> {
    let ask = |password: &str| -> Result<Output> {
        let address = site.address("imap")?;
        let mut gsasl = Program::Gsasl.command();
        gsasl.args(["--imap", "--mechanism", mechanism, "--starttls", "--x509-ca-file="]).args(options);
        gsasl.args(["--authentication-id", &account.address, "--password", password, "--verbose"]);
        gsasl.args([address.ip().to_string(), address.port().to_string()]);
        gsasl.output().context("gsasl")
    };
    let right = ask(&account.password)?;
    let said = format!("{}{}", String::from_utf8_lossy(&right.stdout), String::from_utf8_lossy(&right.stderr));
    ensure!(right.status.success() && said.contains(" OK "), "{}: {said}", right.status);
    ensure!(said.contains(&format!("AUTH={mechanism}")), "{mechanism} is not offered: {said}");
    let wrong = ask("wrong")?;
    let said = String::from_utf8_lossy(&wrong.stdout);
    ensure!(said.contains("NO [AUTHENTICATIONFAILED]"), "{}: {said}", wrong.status);
    Ok(())
}

//! Users of a Dovecot log in at the proxy by client certificates, which Dovecot never sees.

use crate::world::{World, trial_unless};
use anyhow::{Context, Result, ensure};
use e2e::back_end::{Entrance, Fronted, PASSWORD, Security};
use e2e::imap;
use e2e::letter::Letter;
use e2e::postfix::{Postfix, Submission};
use e2e::programs::{Program, output};
use libtest_mimic::Trial;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let python = || Fronted::obstacle().or_else(|| Program::Python.obstacle());
    let curl = || Fronted::obstacle().or_else(|| Program::Curl.obstacle());
    let sends = || Fronted::obstacle().or_else(Postfix::obstacle).or_else(|| Program::Curl.obstacle());
    vec![
        trial_unless(world, "certificate_logs_in", python, |_| with(by_imaplib)),
        trial_unless(world, "certificate_logs_in_by_curl", curl, |_| with(by_curl)),
        trial_unless(world, "certificate_edits_scripts", Fronted::obstacle_to_scripts, |_| with(by_openssl)),
        trial_unless(world, "certificate_sends_mail", sends, |_| with(sends_by_curl)),
    ]
}

fn with(run: fn(&Fronted) -> Result<()>) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-certificates").tempdir()?;
    certify(folder.path(), "users", &[])?;
    certify(folder.path(), "others", &[])?;
    for (name, authority, addresses) in [
        ("carol", "users", "email:carol@back.example"),
        ("both", "users", "email:carol@back.example,email:dora@back.example"),
        ("nameless", "users", "DNS:back.example"),
        ("foreign", "others", "email:carol@back.example"),
    ] {
        let (pem, key) = (format!("{authority}.pem"), format!("{authority}.key"));
        let addresses = format!("subjectAltName={addresses}");
        let leaf = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=clientAuth"];
        certify(folder.path(), name, &[&leaf[..], &["-addext", &addresses, "-CA", &pem, "-CAkey", &key]].concat())?;
    }
    std::fs::create_dir(folder.path().join("conf.d"))?;
    std::fs::write(folder.path().join("conf.d/users.toml"), "proxy.client_authority = \"../users.pem\"\n")?;
    let fronted = Fronted::start(folder.path(), Security::StartTls, Entrance::Master)?;
    run(&fronted).map_err(|error| error.context(fronted.log_tail()))
}

/// `NAME.pem` and `NAME.key`, signed by itself unless the options say by whom.
fn certify(folder: &Path, name: &str, options: &[&str]) -> Result<()> {
    let mut openssl = Program::Openssl.command();
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", &format!("/CN={name}"), "-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
    output(openssl.args(options).current_dir(folder)).map(drop).with_context(|| format!("making {name}.pem"))
}

fn by_imaplib(fronted: &Fronted) -> Result<()> {
    let folder = fronted.file("users.pem");
    let folder = folder.parent().context("a file in a folder")?;
    let told = json!({ "imap": fronted.address("imap").port(), "folder": folder, "password": PASSWORD });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/imap_external.py");
    output(Program::Python.command().arg("-B").arg(&script).arg(told.to_string())).map(drop)
}

/// A curl that shows a certificate, says that it is carol, and has no password.
fn curl(fronted: &Fronted, protocol: &str, path: &str, certificate: Option<&str>) -> Result<Command> {
    let listener = if protocol == "smtp" { "submission" } else { protocol };
    let mut curl = Program::Curl.command();
    curl.args(["--silent", "--show-error", "--insecure", "--ssl-reqd", "--max-time", "60"]);
    curl.args(["--user", "carol@back.example:", "--login-options", "AUTH=EXTERNAL"]);
    if let Some(name) = certificate {
        curl.arg("--cert").arg(fronted.file(&format!("{name}.pem")));
        curl.arg("--key").arg(fronted.file(&format!("{name}.key")));
    }
    curl.arg(format!("{protocol}://{}/{path}", fronted.address(listener)));
    Ok(curl)
}

fn by_curl(fronted: &Fronted) -> Result<()> {
    let carol = Fronted::account("carol");
    let mut client = imap::Client::connect(fronted.address("imap"))?;
    client.login(&carol.address, &carol.password)?;
    client.append("INBOX", "", &Letter::new("cert@back.example", 3_000).bytes)?;
    for (protocol, path) in [("imap", "INBOX;MAILINDEX=1"), ("pop3", "1")] {
        for certificate in ["carol", "both"] {
            let message = output(&mut curl(fronted, protocol, path, Some(certificate))?)?;
            ensure!(Letter::fault_in(&message).is_none(), "{protocol}: {:?}", Letter::fault_in(&message));
        }
        for certificate in [None, Some("nameless")] {
            let refused = curl(fronted, protocol, path, certificate)?.output()?;
            // curl: 67 says that there is no way to log in.
            ensure!(refused.status.code() == Some(67), "{protocol} {certificate:?}: {}", refused.status);
        }
        let refused = curl(fronted, protocol, path, Some("foreign"))?.output()?;
        let said = String::from_utf8_lossy(&refused.stderr);
        ensure!(!refused.status.success() && said.contains("alert"), "{protocol}: {} {said}", refused.status);
    }
    Ok(())
}

/// No other client here speaks ManageSieve with a certificate.
fn by_openssl(fronted: &Fronted) -> Result<()> {
    let ask = |certificate: &str| -> Result<Output> {
        let mut openssl = Program::Openssl.command();
        openssl.args(["s_client", "-quiet", "-starttls", "sieve", "-connect", &fronted.address("sieve").to_string()]);
        openssl.arg("-cert").arg(fronted.file(&format!("{certificate}.pem")));
        openssl.arg("-key").arg(fronted.file(&format!("{certificate}.key")));
        openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = openssl.spawn()?;
        // The pipe may be closed where the certificate is refused.
        let _whether_it_is_read = running.stdin.take().context("a pipe")?.write_all(SIEVE.as_bytes());
        Ok(running.wait_with_output()?)
    };
    let taken = ask("carol")?;
    let said = String::from_utf8_lossy(&taken.stdout);
    ensure!(said.contains("\"SASL\" \"EXTERNAL") && said.contains("\"mine\""), "{said}");
    let refused = ask("foreign")?;
    let said = String::from_utf8_lossy(&refused.stdout);
    ensure!(!said.contains("SASL"), "{said}");
    Ok(())
}

fn sends_by_curl(fronted: &Fronted) -> Result<()> {
    let home = tempfile::tempdir()?;
    let (passwords, certificate, key) = (fronted.file("passwords"), fronted.file("back.pem"), fronted.file("back.key"));
    let from = Submission { passwords: &passwords, certificate: &certificate, key: &key };
    let postfix = Postfix::start_submission(home.path(), from)?;
    fronted.add_submission(postfix.address())?;
    let letter = fronted.file("letter");
    std::fs::write(&letter, Letter::new("cert@back.example", 3_000).bytes)?;
    let mut sends = curl(fronted, "smtp", "", Some("carol"))?;
    sends.args(["--mail-from", "carol@back.example", "--mail-rcpt", "somebody@far.example", "-T"]).arg(&letter);
    output(&mut sends)?;
    postfix.wait_until_empty()?;
    ensure!(postfix.fates("sent")?.len() == 1, "one message");
    ensure!(postfix.has_logged("sasl_username=carol@back.example")?, "Postfix knows who it was");
    Ok(())
}

const SIEVE: &str = "AUTHENTICATE \"EXTERNAL\" \"\"\r\nPUTSCRIPT \"mine\" {6+}\r\nkeep;\n\r\nLISTSCRIPTS\r\nLOGOUT\r\n";

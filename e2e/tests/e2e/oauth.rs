//! Clients log in with tokens of a real authorization server, at a proxy in front of a Dovecot and a Postfix: the proxy judges them,
//! or Dovecot does, for itself and for Postfix, or both.

use crate::world::{World, trial_unless};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use e2e::back_end::{DOMAIN, Entrance, Fronted, Security};
use e2e::letter::Letter;
use e2e::libraries::Library;
use e2e::postfix::{Postfix, Submission};
use e2e::programs::{Program, output};
use libtest_mimic::Trial;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let obstacle = || {
        let programs = [Program::Curl, Program::Python];
        let missing = || programs.into_iter().find_map(Program::obstacle);
        Fronted::obstacle().or_else(Postfix::obstacle).or_else(missing).or_else(|| Library::OidcProvider.obstacle())
    };
    vec![
        trial_unless(world, "oauth_by_introspection", obstacle, |_| by_introspection()),
        trial_unless(world, "oauth_by_jwks", obstacle, |_| by_jwks()),
        trial_unless(world, "oauth_by_back_end", obstacle, |_| by_back_end()),
        trial_unless(world, "oauth_by_issuer_and_back_end", obstacle, |_| by_both()),
    ]
}

fn by_introspection() -> Result<()> {
    let issuer = Issuer::start()?;
    with(&issuer.asking(), |fronted, postfix| {
        let token = issuer.token("opaque-carol", "mail")?;
        let poor = issuer.token("opaque-carol", "other")?;
        let doras = issuer.token("opaque-dora", "mail")?;
        lets_in(fronted, postfix, &token)?;
        keeps_out(fronted, &[&poor, &doras, "made-up"])?;
        issuer.revoke("opaque-carol", &token)?;
        keeps_out(fronted, &[&token])
    })
}

fn by_jwks() -> Result<()> {
    let issuer = Issuer::start()?;
    let told = format!("jwks = \"{}/jwks\"\nissuer = \"{}\"\n", issuer.url, issuer.url);
    with(&told, |fronted, postfix| {
        let token = issuer.token("jwt-carol", "mail")?;
        let poor = issuer.token("jwt-carol", "other")?;
        let doras = issuer.token("jwt-dora", "mail")?;
        // Somebody else's claims under carol's signature.
        let (_, signature) = token.rsplit_once('.').context("a JWT")?;
        let (claims, _) = doras.rsplit_once('.').context("a JWT")?;
        lets_in(fronted, postfix, &token)?;
        keeps_out(fronted, &[&poor, &doras, "made-up", &format!("{claims}.{signature}")])
    })
}

/// Nobody here knows tokens: Dovecot asks their issuer.
fn by_back_end() -> Result<()> {
    let mut issuer = Issuer::start()?;
    let introspection = issuer.introspection();
    let start = |folder: &Path| Fronted::start_judging_tokens(folder, &introspection, "[log]\nlevel = \"trace\"\n");
    before(start, |fronted, postfix| {
        let token = issuer.token("opaque-carol", "mail")?;
        let poor = issuer.token("opaque-carol", "other")?;
        let doras = issuer.token("opaque-dora", "mail")?;
        lets_in(fronted, postfix, &token)?;
        // Of one the command's line holds the message, of the other it does not.
        keeps_out(fronted, &[&poor, &doras, "made-up", &"made-up".repeat(100)])?;
        by_imaplib(fronted, &["made-up", "bad", &token])?;
        let another = issuer.token("opaque-carol", "mail")?;
        issuer.revoke("opaque-carol", &another)?;
        keeps_out(fronted, &[&another])?;
        // Passwords go on beside tokens.
        let account = Fronted::account("carol");
        let mut by_password = Program::Curl.command();
        by_password.args(["--silent", "--show-error", "--max-time", "60"]);
        by_password.args(["--user", &format!("{}:{}", account.address, account.password)]);
        output(by_password.arg(format!("imap://{}/INBOX", fronted.address("imap"))))?;
        // Whoever cannot be asked has not said no: the issuer, then the back-end.
        issuer.stop()?;
        by_imaplib(fronted, &[&token, "away"])?;
        fronted.back_end().stop()?;
        by_imaplib(fronted, &[&token, "away"])?;
        let log = fronted.log()?;
        ensure!(log.contains("logged in") && log.contains("level=debug"), "not all is in the log");
        ensure!(written(&token).all(|form| !log.contains(&form)), "a token is in the log");
        Ok(())
    })
}

/// A token as it stands, and what is always the same of it in base64, wherever it begins.
fn written(token: &str) -> impl Iterator<Item = String> + '_ {
    let coded = (0..3).filter_map(|at| {
        // Whole groups of three octets, from the first one on that is the token's alone.
        let whole = token.get(at..)?;
        Some(STANDARD_NO_PAD.encode(whole.get(..whole.len() / 3 * 3)?))
    });
    coded.chain([token.to_owned()])
}

/// The issuer is asked here, and by Dovecot again.
fn by_both() -> Result<()> {
    let issuer = Issuer::start()?;
    let (introspection, told) = (issuer.introspection(), issuer.told());
    let start = |folder: &Path| {
        std::fs::write(folder.join("client.secret"), CLIENT_SECRET)?;
        Fronted::start_judging_tokens(folder, &introspection, &told)
    };
    before(start, |fronted, postfix| {
        let token = issuer.token("opaque-carol", "mail")?;
        let doras = issuer.token("opaque-dora", "mail")?;
        lets_in(fronted, postfix, &token)?;
        keeps_out(fronted, &[&doras, "made-up"])?;
        fronted.back_end().stop()?;
        by_imaplib(fronted, &["made-up", "bad"])?;
        by_imaplib(fronted, &[&token, "away"])
    })
}

fn with(told: &str, run: impl FnOnce(&mut Fronted, &Postfix) -> Result<()>) -> Result<()> {
    let told = format!("{SECTION}{told}");
    let start = |folder: &Path| {
        std::fs::write(folder.join("client.secret"), CLIENT_SECRET)?;
        Fronted::start_with(folder, Security::StartTls, Entrance::Master, &told)
    };
    before(start, run)
}

fn before(
    start: impl FnOnce(&Path) -> Result<Fronted>,
    run: impl FnOnce(&mut Fronted, &Postfix) -> Result<()>,
) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-oauth").tempdir()?;
    let home = tempfile::tempdir()?;
    let mut fronted = start(folder.path())?;
    let (passwords, certificate, key) = (fronted.file("passwords"), fronted.file("back.pem"), fronted.file("back.key"));
    let from = Submission { passwords: &passwords, certificate: &certificate, key: &key };
    let postfix = Postfix::start_submission(home.path(), from)?;
    fronted.add_submission(postfix.address())?;
    run(&mut fronted, &postfix).map_err(|error| error.context(fronted.log_tail()))
}

/// Mail is put, sent and read, by each protocol and mechanism.
fn lets_in(fronted: &Fronted, postfix: &Postfix, token: &str) -> Result<()> {
    let letter = Letter::new("oauth@e2e.example", 3_000);
    let file = fronted.file("letter");
    std::fs::write(&file, &letter.bytes)?;
    let file = file.display().to_string();
    for mechanism in MECHANISMS {
        let ask = |protocol: &str, path: &str, more: &[&str]| {
            output(curl(fronted, protocol, path, mechanism, token)?.args(more))
                .with_context(|| format!("{mechanism}, {protocol}"))
        };
        ask("imap", "INBOX", &["-T", &file])?;
        let found = ask("imap", "INBOX;MAILINDEX=1", &[])?;
        ensure!(Letter::fault_in(&found).is_none(), "{:?}", Letter::fault_in(&found));
        let found = ask("pop3", "1", &[])?;
        ensure!(Letter::fault_in(&found).is_none(), "{:?}", Letter::fault_in(&found));
        let from_to = ["--mail-from", "carol@back.example", "--mail-rcpt", "somebody@far.example", "-T", &file];
        ask("smtp", "", &from_to)?;
    }
    postfix.wait_until_empty()?;
    ensure!(postfix.fates("sent")?.len() == MECHANISMS.len(), "one message by each mechanism");
    by_imaplib(fronted, &[token, "good"])
}

fn keeps_out(fronted: &Fronted, tokens: &[&str]) -> Result<()> {
    for token in tokens {
        for mechanism in MECHANISMS {
            for (protocol, path) in [("imap", "INBOX"), ("pop3", ""), ("smtp", "")] {
                let refused = curl(fronted, protocol, path, mechanism, token)?.output()?;
                // curl: 67 says that the login was refused.
                ensure!(refused.status.code() == Some(67), "{token}: {mechanism}, {protocol}: {}", refused.status);
            }
        }
        by_imaplib(fronted, &[token, "bad"])?;
    }
    Ok(())
}

fn curl(fronted: &Fronted, protocol: &str, path: &str, mechanism: &str, token: &str) -> Result<Command> {
    let listener = if protocol == "smtp" { "submission" } else { protocol };
    let mut command = Program::Curl.command();
    command.args(["--silent", "--show-error", "--max-time", "60", "--oauth2-bearer", token]);
    command.args(["--login-options", &format!("AUTH={mechanism}"), "--user", &format!("carol@{DOMAIN}")]);
    command.arg(format!("{protocol}://{}/{path}", fronted.address(listener)));
    Ok(command)
}

fn by_imaplib(fronted: &Fronted, tokens: &[&str]) -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/imap_bearer.py");
    let port = fronted.address("imap").port().to_string();
    let user = format!("carol@{DOMAIN}");
    output(Program::Python.command().arg("-B").arg(script).args([port.as_str(), user.as_str()]).args(tokens)).map(drop)
}

/// The authorization server; it ends with this value.
struct Issuer {
    child: Child,
    url: String,
    /// Open as long as it runs: what it says besides must not end it.
    said: BufReader<ChildStdout>,
}

impl Issuer {
    fn start() -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/oidc_provider.js");
        let people = ["carol", "dora"].into_iter();
        let clients = people.flat_map(|name| ["opaque", "jwt"].map(|kind| (format!("{kind}-{name}"), name)));
        let users: serde_json::Map<String, Value> =
            clients.map(|(client, name)| (client, format!("{name}@{DOMAIN}").into())).collect();
        let mut command = Library::OidcProvider.command()?;
        command.arg(script).env("TOKENS_FOR", Value::from(users).to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let said = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut issuer = Self { child, url: String::new(), said };
        let mut line = String::new();
        issuer.said.read_line(&mut line)?;
        issuer.url = line.trim().strip_prefix("ready ").context("the authorization server did not start")?.to_owned();
        Ok(issuer)
    }

    /// How a proxy asks about each token.
    fn asking(&self) -> String {
        format!(
            "introspection = \"{}/token/introspection\"\nclient_id = \"post house\"\nclient_secret = \"client.secret\"\n\
             issuer = \"{}\"\ncache_seconds = 0\n",
            self.url, self.url
        )
    }

    /// The whole section.
    fn told(&self) -> String {
        format!("{SECTION}{}", self.asking())
    }

    /// Where a Dovecot asks about each token, and as whom.
    fn introspection(&self) -> String {
        format!("{}/token/introspection", self.url.replacen("://", "://opaque-dora:of-the-client@", 1))
    }

    fn stop(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn token(&self, client: &str, scope: &str) -> Result<String> {
        let answer = self.ask(client, "token", &["grant_type=client_credentials", &format!("scope={scope}")])?;
        let answer: Value = serde_json::from_slice(&answer)?;
        Ok(answer.get("access_token").and_then(Value::as_str).with_context(|| answer.to_string())?.to_owned())
    }

    fn revoke(&self, client: &str, token: &str) -> Result<()> {
        self.ask(client, "token/revocation", &[&format!("token={token}")]).map(drop)
    }

    fn ask(&self, client: &str, path: &str, form: &[&str]) -> Result<Vec<u8>> {
        let mut command = Program::Curl.command();
        command.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "60"]);
        command.args(["--user", &format!("{client}:of-the-client")]);
        for field in form {
            command.args(["--data", field]);
        }
        output(command.arg(format!("{}/{path}", self.url)))
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

const SECTION: &str = "[proxy.oauth]\naudience = \"mail\"\nscopes = [\"mail\"]\n";
const CLIENT_SECRET: &str = "p: %/+&=s\n";
const MECHANISMS: [&str; 2] = ["OAUTHBEARER", "XOAUTH2"];

//! Passwords: asked, read, made or given as a hash. Never an argument in clear: other users see those.

use super::failure::Failure;
use super::record::Given;
use super::screen::Screen;
use net::OsRandom;
use ports::Random;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead, Read, Write, stdin};

/// Where a password comes from.
#[derive(Debug, clap::Args)]
pub(super) struct PasswordFrom {
    /// Reads the password from the first line of standard input.
    #[arg(long, help_heading = "Password")]
    password_stdin: bool,
    /// Makes a password and prints it, once.
    #[arg(long, help_heading = "Password", conflicts_with = "password_stdin")]
    generate_password: bool,
    /// Takes a hash in the form {SCHEME}value.
    #[arg(
        long,
        value_name = "HASH",
        help_heading = "Password",
        conflicts_with_all = ["password_stdin", "generate_password"]
    )]
    password_hash: Option<String>,
}

/// What to tell the operator when all is done.
pub(super) struct Generated(Option<String>);

impl PasswordFrom {
    /// Whether the command line says where a password comes from.
    pub(super) fn is_given(&self) -> bool {
        self.password_stdin || self.generate_password || self.password_hash.is_some()
    }

    /// Puts the password into a request; asks for it if nothing was said.
    pub(super) async fn put(self, given: &mut Given, screen: &mut Screen<'_>) -> Result<Generated, Failure> {
        if let Some(hash) = self.password_hash {
            given.put("password_hashes", Some(vec![hash]));
            return Ok(Generated(None));
        }
        let made = self.generate_password.then(generate);
        let password = match &made {
            Some(made) => made.clone(),
            None if self.password_stdin => first_line(&mut screen.input)?,
            None if screen.asks => ask(screen).await?,
            None => return Err(Failure::usage(NOBODY_TO_ASK)),
        };
        given.put("password", Some(password));
        Ok(Generated(made))
    }
}

impl Generated {
    pub(super) fn print(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        match self.0 {
            Some(password) => screen.say(format_args!("password: {password}")),
            None => Ok(()),
        }
    }
}

/// The first line, without its end.
fn first_line(input: &mut dyn BufRead) -> Result<String, Failure> {
    let mut line = Vec::new();
    input
        .take(PASSWORD_LINE_OCTETS_MAX)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::File { what: "standard input".to_owned(), error })?;
    while line.last().is_some_and(|octet| matches!(octet, b'\n' | b'\r')) {
        line.pop();
    }
    // The text itself stays out of the error.
    let text = String::from_utf8(line).map_err(|_| Failure::usage("the password is not UTF-8"))?;
    match text.is_empty() {
        true => Err(Failure::usage("there is no password on standard input")),
        false => Ok(text),
    }
}

/// Asks twice at the terminal, without echo.
async fn ask(screen: &mut Screen<'_>) -> Result<String, Failure> {
    let first = typed(screen, "New password: ").await?;
    let again = typed(screen, "The same again: ").await?;
    match first == again {
        true => Ok(first),
        false => Err(Failure::usage("the two passwords differ")),
    }
}

async fn typed(screen: &mut Screen<'_>, prompt: &str) -> Result<String, Failure> {
    write!(screen.err, "{prompt}")?;
    screen.err.flush()?;
    let silence = Silence::begin().map_err(|error| Failure::File { what: "the terminal".to_owned(), error })?;
    let line = tokio::task::spawn_blocking(|| first_line(&mut stdin().lock()));
    let line = tokio::select! {
        line = line => line.unwrap_or_else(|_| Err(Failure::usage("the terminal could not be read"))),
        // The terminal would stay silent if the signal ended us.
        _ = tokio::signal::ctrl_c() => Err(Failure::usage("cancelled")),
    };
    drop(silence);
    writeln!(screen.err)?;
    line
}

/// A terminal that does not echo, until this is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> std::io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// 20 letters and digits in four groups, none of them easily taken for another: 99 bits.
fn generate() -> String {
    let mut password = String::with_capacity(GENERATED_LETTERS + 3);
    let mut letters = 0;
    while letters < GENERATED_LETTERS {
        let mut octet = [0];
        OsRandom.fill(&mut octet);
        // 248 is the last multiple of 31 in an octet: every letter is as likely as another.
        let [octet] = octet;
        if let Some(letter) = (octet < 248).then(|| ALPHABET.get(usize::from(octet) % ALPHABET.len())).flatten() {
            if letters > 0 && letters % 5 == 0 {
                password.push('-');
            }
            password.push(char::from(*letter));
            letters += 1;
        }
    }
    password
}

const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
const GENERATED_LETTERS: usize = 20;
/// A password has at most 1024 octets ([`sasl::PASSWORD_OCTETS_MAX`]); a longer line is refused by the node.
const PASSWORD_LINE_OCTETS_MAX: u64 = 4096;
const NOBODY_TO_ASK: &str =
    "there is no terminal to ask for a password: give --password-stdin, --generate-password or --password-hash";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_of_text() {
        assert_eq!(first_line(&mut &b"s3cret word\r\nmore"[..]).ok().as_deref(), Some("s3cret word"));
        for refused in [&b""[..], b"\n", b"\xff\n"] {
            assert!(first_line(&mut &refused[..]).is_err());
        }
    }

    #[test]
    fn made_passwords_are_long_and_differ() {
        let (one, two) = (generate(), generate());
        assert_ne!(one, two);
        assert_eq!(one.len(), 23);
        assert!(one.split('-').all(|group| group.len() == 5), "{one}");
    }
}

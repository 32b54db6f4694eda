//! What a command reads and writes: the terminal, or what stands in for it in a test.

use super::failure::Failure;
use std::io::{BufRead, BufReader, IsTerminal, Write, stderr, stdin, stdout};

/// The operator's end.
pub struct Screen<'a> {
    pub(super) input: Box<dyn BufRead + 'a>,
    pub(super) out: Box<dyn Write + 'a>,
    pub(super) err: Box<dyn Write + 'a>,
    /// Somebody sits at the keyboard and can be asked.
    pub(super) asks: bool,
    /// Progress can be drawn over.
    pub(super) draws: bool,
}

impl<'a> Screen<'a> {
    /// Standard input, output and error.
    pub fn here() -> Screen<'static> {
        Screen {
            input: Box::new(BufReader::new(stdin())),
            out: Box::new(stdout()),
            err: Box::new(stderr()),
            asks: stdin().is_terminal() && stderr().is_terminal(),
            draws: stderr().is_terminal(),
        }
    }

    /// Something else, where nobody sits.
    pub fn of(input: impl BufRead + 'a, out: impl Write + 'a, err: impl Write + 'a) -> Self {
        Self { input: Box::new(input), out: Box::new(out), err: Box::new(err), asks: false, draws: false }
    }

    /// A line of the result.
    pub(super) fn say(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{line}")?)
    }

    /// A line beside the result.
    pub(super) fn remark(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        Ok(writeln!(self.err, "{line}")?)
    }

    /// Says why a command was not done; gives the exit code.
    pub(super) fn fail(&mut self, failure: &Failure) -> u8 {
        // Whoever closes a pipe (`| head`) has seen enough.
        let pipe_closed = matches!(failure, Failure::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe);
        if !pipe_closed {
            // Where not even this can be written, the exit code says it.
            let _ = writeln!(self.err, "posthouse: {failure}");
        }
        1
    }
}

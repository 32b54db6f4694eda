//! Starting programs: cargo, mostly.

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// A program that is about to run in the root of the workspace.
pub(crate) struct Run(Command);

/// The cargo that started us.
pub(crate) fn cargo(here: &Workspace) -> Run {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(here.root());
    Run(command)
}

impl Run {
    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.0.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it on our terminal; whether it succeeded.
    pub(crate) fn succeeds(mut self) -> Result<bool> {
        let status = self.0.status().with_context(|| format!("cannot run {:?}", self.0))?;
        Ok(status.success())
    }

    /// Runs it and gives what it printed; an error when it failed.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self.0.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {:?}", self.0))?;
        if !output.status.success() {
            bail!("{:?} failed", self.0);
        }
        String::from_utf8(output.stdout).context("a program printed what is not UTF-8")
    }

    /// Runs it and shows every line it prints after `see` has looked at it; whether it succeeded.
    pub(crate) fn watch(mut self, mut see: impl FnMut(&str)) -> Result<bool> {
        let mut child = self.0.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run {:?}", self.0))?;
        let mut lines = BufReader::new(child.stdout.take().expect("stdout was set to a pipe above"));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            print!("{text}");
            see(text.trim_end());
            line.clear();
        }
        Ok(child.wait()?.success())
    }
}

//! Log lines: logfmt or JSON, one line each, on standard error.
//!
//! ```text
//!   time=2026-03-01T12:00:00.000000Z level=info target=relay msg="queued" from=a@b.example session=0f3a…
//! ```
//! What peers choose (names, addresses, subjects) is quoted and escaped: no line can be forged or broken by them. The
//! fields of the spans around an event follow its own, so that one id runs through all lines of a session.

mod logfmt;

use crate::config::{Log, LogFormat};
use logfmt::Logfmt;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::reload::Handle;

/// Changes which lines are written.
pub struct Level(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl Level {
    /// From now on those that `log` names; its format is that of the start.
    pub fn set(&self, log: &Log) {
        (self.0)(filter(log));
    }
}

/// Sends this process's log lines to standard error.
///
/// # Panics
/// When lines are sent somewhere already: it is called once, at the start.
pub fn start(log: &Log) -> Level {
    let (lines, level) = subscriber(log, std::io::stderr);
    tracing::subscriber::set_global_default(lines).expect("called once, at the start of the program");
    level
}

/// Turns events into lines for `writer`.
pub fn subscriber<W>(log: &Log, writer: W) -> (Box<dyn Subscriber + Send + Sync>, Level)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(filter(log)).with_writer(writer).with_ansi(false);
    match log.format {
        LogFormat::Logfmt => {
            let lines = lines.event_format(Logfmt).fmt_fields(Logfmt).with_filter_reloading();
            let level = level(lines.reload_handle());
            (Box::new(lines.finish()), level)
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_filter_reloading();
            let level = level(lines.reload_handle());
            (Box::new(lines.finish()), level)
        }
    }
}

fn level<S: 'static>(handle: Handle<EnvFilter, S>) -> Level {
    // The subscriber that it is of is the process's own, and stays.
    Level(Box::new(move |filter| drop(handle.reload(filter))))
}

fn filter(log: &Log) -> EnvFilter {
    // Checked with the configuration; what cannot be read there never comes here.
    EnvFilter::builder().parse_lossy(&log.level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the events in `work` look like, without their times.
    fn lines(format: LogFormat, level: &str, work: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = Log { format, level: level.to_owned() };
        tracing::subscriber::with_default(subscriber(&log, move || writer.clone()).0, work);
        let bytes = lines.0.lock().expect("no panic").clone();
        let text = String::from_utf8(bytes).expect("UTF-8");
        text.lines().map(|line| line.split_once(' ').map_or(line, |(_, rest)| rest).to_owned()).collect()
    }

    #[test]
    fn a_line_has_its_fields_and_those_of_its_spans() {
        let seen = lines(LogFormat::Logfmt, "info", || {
            let session = tracing::info_span!("session", id = "0f3a", peer = %"192.0.2.1:4711");
            let _inside = session.enter();
            tracing::info!(target: "relay", octets = 42, ok = true, "message stored");
            tracing::debug!(target: "relay", "not at this level");
            tracing::warn!(target: "relay", empty = "", "slow");
        });
        assert_eq!(
            seen,
            [
                "level=info target=relay msg=\"message stored\" octets=42 ok=true id=0f3a peer=192.0.2.1:4711",
                "level=warn target=relay msg=slow empty=\"\" id=0f3a peer=192.0.2.1:4711",
            ]
        );
    }

    #[test]
    fn peers_cannot_forge_lines() {
        let user = "x\" level=info\r\nlevel=error \u{202e}\u{1b}[31m";
        let seen = lines(LogFormat::Logfmt, "info", || tracing::info!(target: "proxy", user, "login failed"));
        assert_eq!(
            seen,
            [
                "level=info target=proxy msg=\"login failed\" user=\"x\\\" level=info\\r\\nlevel=error \\u{202e}\\u{1b}[31m\""
            ]
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        let seen = lines(LogFormat::Json, "info", || tracing::info!(target: "proxy", user = "a\nb", "login failed"));
        let line = seen.first().expect("a line");
        assert!(line.contains(r#"a\nb"#) && line.ends_with('}'), "{line}");
    }

    #[test]
    fn levels_may_differ_by_target() {
        let seen = lines(LogFormat::Logfmt, "warn,relay=debug", || {
            tracing::debug!(target: "relay", "seen");
            tracing::info!(target: "proxy", "not seen");
        });
        assert_eq!(seen, ["level=debug target=relay msg=seen"]);
    }
}

//! Events as `key=value`.

use net::SystemClock;
use ports::Clock;
use std::cell::RefCell;
use std::fmt::{self, Debug, Write};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events and the fields of spans.
pub(super) struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let meta = event.metadata();
        line.write_str("time=")?;
        write_time(&mut line)?;
        line.write_str(" level=")?;
        line.write_str(level(*meta.level()))?;
        line.write_str(" target=")?;
        write_value(&mut line, meta.target())?;
        record(&mut line, event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.write_str(fields)?;
            }
        }
        line.write_char('\n')
    }
}

impl<'w> FormatFields<'w> for Logfmt {
    fn format_fields<R: RecordFields>(&self, mut line: Writer<'w>, fields: R) -> fmt::Result {
        record(&mut line, fields)
    }
}

fn record(line: &mut Writer<'_>, fields: impl RecordFields) -> fmt::Result {
    let mut pairs = Pairs { line, shown: String::new(), outcome: Ok(()) };
    fields.record(&mut pairs);
    pairs.outcome
}

/// Writes ` key=value` for every field.
struct Pairs<'l, 'w> {
    line: &'l mut Writer<'w>,
    /// A value that is not a string, as one; room for all of them in turn.
    shown: String,
    outcome: fmt::Result,
}

impl Pairs<'_, '_> {
    fn write(&mut self, field: &Field, value: &str) {
        let written = write_pair(self.line, field, value);
        self.outcome = self.outcome.and(written);
    }
}

impl Visit for Pairs<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut chain = value.to_string();
        let mut cause = value.source();
        // Errors do not repeat their causes, so a line tells the chain.
        while let Some(error) = cause {
            chain.push_str(": ");
            chain.push_str(&error.to_string());
            cause = error.source();
        }
        self.write(field, &chain);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.shown.clear();
        let shown = write!(self.shown, "{value:?}");
        let written = shown.and_then(|()| write_pair(self.line, field, &self.shown));
        self.outcome = self.outcome.and(written);
    }
}

fn write_pair(line: &mut Writer<'_>, field: &Field, value: &str) -> fmt::Result {
    // tracing calls the text of an event `message`.
    let key = if field.name() == "message" { "msg" } else { field.name() };
    line.write_char(' ')?;
    line.write_str(key)?;
    line.write_char('=')?;
    write_value(line, value)
}

/// A value as it is, or in quotes and escaped where it could be taken for more than a value.
fn write_value(line: &mut Writer<'_>, value: &str) -> fmt::Result {
    let is_plain = !value.is_empty()
        && value.bytes().all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'"' | b'\\' | b'='));
    if is_plain {
        return line.write_str(value);
    }
    line.write_char('"')?;
    for c in value.chars() {
        if c == '\'' {
            line.write_char(c)?;
        } else {
            // Letters of all scripts stay; what no terminal should see (controls, directions) does not.
            write!(line, "{}", c.escape_debug())?;
        }
    }
    line.write_char('"')
}

/// To the microsecond. What many lines have in common is made once a second.
fn write_time(line: &mut Writer<'_>) -> fmt::Result {
    let now = SystemClock.now();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != Some(now.secs()) {
            *second = Some(now.secs());
            text.clear();
            write!(text, "{now}")?;
        }
        line.write_str(text.trim_end_matches('Z'))
    })?;
    write!(line, ".{:06}Z", now.micros().rem_euclid(1_000_000))
}

thread_local! {
    /// The second of this thread's last line, and how it is written.
    static SECOND: RefCell<(Option<i64>, String)> = const { RefCell::new((None, String::new())) };
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

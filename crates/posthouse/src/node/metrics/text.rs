//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write};
use std::time::Duration;

/// What a scrape is answered with.
#[derive(Default)]
pub(super) struct Page(String);

/// What kind of numbers a family has.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Only grows, from 0 at the start.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often something was no more than each of some bounds.
    Histogram,
}

/// Samples of one name.
pub(super) struct Family<'p> {
    page: &'p mut String,
    name: &'static str,
}

impl Page {
    /// Begins a family; its samples follow at once.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { page: &mut self.0, name }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// One number.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// A histogram: `within` counts what was no more than each of `bounds`.
    pub(super) fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        bounds: &[Duration],
        within: &[u64],
        count: u64,
        sum: Duration,
    ) {
        for (bound, within) in bounds.iter().zip(within) {
            self.line("_bucket", labels, Some(&bound.as_secs_f64().to_string()), within);
        }
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, sum.as_secs_f64());
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: impl Display) {
        let _ = write!(self.page, "{}{suffix}", self.name);
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut sign = '{';
        for (name, value) in all {
            let _ = write!(self.page, "{sign}{name}=\"{}\"", escape(value));
            sign = ',';
        }
        let end = if sign == ',' { "}" } else { "" };
        let _ = writeln!(self.page, "{end} {value}");
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_prometheus_reads_it() {
        let mut page = Page::default();
        page.family("a_total", Kind::Counter, "Some.").sample(&[], 3);
        page.family("b", Kind::Gauge, "Others.").sample(&[("x", "q\"\\\n"), ("y", "z")], 1.5);
        let bounds = [Duration::from_millis(1), Duration::from_secs(1)];
        page.family("c_seconds", Kind::Histogram, "Spans.").histogram(
            &[("s", "i")],
            &bounds,
            &[1, 2],
            3,
            Duration::from_millis(2500),
        );
        insta::assert_snapshot!(page.into_text(), @r#"
        # HELP a_total Some.
        # TYPE a_total counter
        a_total 3
        # HELP b Others.
        # TYPE b gauge
        b{x="q\"\\\n",y="z"} 1.5
        # HELP c_seconds Spans.
        # TYPE c_seconds histogram
        c_seconds_bucket{s="i",le="0.001"} 1
        c_seconds_bucket{s="i",le="1"} 2
        c_seconds_bucket{s="i",le="+Inf"} 3
        c_seconds_sum{s="i"} 2.5
        c_seconds_count{s="i"} 3
        "#);
    }
}

//! Mistakes in configuration, and how they are told.

use super::tree::{Place, Source};
use miette::{LabeledSpan, MietteDiagnostic, NamedSource, Report};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, with its section (`store.journal.keep_days`); empty for a whole file.
    key: String,
    message: String,
    help: Option<String>,
    place: Place,
    /// The text could not be read here, so what else seems wrong on the line follows from that.
    is_syntax: bool,
    /// Something is not there, or not where it belongs: it may stand where the text could not be read.
    is_missing: bool,
}

/// All mistakes of a configuration, and what may be meant.
#[derive(Debug, Default)]
pub struct Problems {
    mistakes: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// A file could not be read at all.
    is_blind: Cell<bool>,
}

impl Problem {
    pub(super) fn new(place: &Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
            help: None,
            place: place.clone(),
            is_syntax: false,
            is_missing: false,
        }
    }

    /// A key that is not there.
    pub(super) fn missing(place: &Place, key: impl Into<String>) -> Self {
        Self::new(place, key, "is missing").of_missing()
    }

    /// What a mistake of syntax elsewhere would explain.
    pub(super) fn of_missing(self) -> Self {
        Self { is_missing: true, ..self }
    }

    /// Where the text itself could not be read.
    pub(super) fn syntax(place: &Place, message: impl Into<String>) -> Self {
        Self { is_syntax: true, ..Self::new(place, "", message) }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    fn line(&self) -> (PathBuf, usize) {
        (self.place.source.path.clone(), self.place.line_and_column().0)
    }

    fn order(&self) -> (PathBuf, usize) {
        (self.place.source.path.clone(), self.place.span.start)
    }

    fn title(&self) -> String {
        if self.key.is_empty() { self.message.clone() } else { format!("{}: {}", self.key, self.message) }
    }
}

impl fmt::Display for Problem {
    /// `file:line:column: key: what is wrong (what may help)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.place.line_and_column();
        write!(f, "{}:{line}:{column}: {}", self.place.source.path.display(), self.title())?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl Problems {
    pub(super) fn add(&self, problem: Problem) {
        self.mistakes.borrow_mut().push(problem);
    }

    /// No mistake: what is written may be meant, but is worth a word.
    pub(super) fn warn(&self, problem: Problem) {
        self.warnings.borrow_mut().push(problem);
    }

    /// What is worth a word, in the order of files and lines.
    pub(super) fn take_warnings(&self) -> Vec<Problem> {
        let mut warnings = self.warnings.take();
        warnings.sort_by_key(Problem::order);
        warnings
    }

    /// A file that cannot be read at all.
    pub(super) fn unreadable(&self, path: &Path, error: &std::io::Error) {
        let source = Arc::new(Source { path: path.to_owned(), text: String::new() });
        self.add(Problem::syntax(&Place { source, span: 0..0 }, format!("cannot be read: {error}")));
        self.is_blind.set(true);
    }

    /// Whether there is a file of which nobody knows what it says.
    pub(super) fn is_blind(&self) -> bool {
        self.is_blind.get()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.mistakes.borrow().is_empty()
    }

    /// In the order of files and lines, without those that follow from a mistake of syntax.
    pub(super) fn sorted(self) -> Self {
        let mut problems = self.mistakes.into_inner();
        let unread: BTreeSet<_> = problems.iter().filter(|problem| problem.is_syntax).map(Problem::line).collect();
        let is_told = |problem: &Problem| match problem.is_missing {
            true => unread.is_empty(),
            false => !unread.contains(&problem.line()),
        };
        problems.retain(|problem| problem.is_syntax || is_told(problem));
        problems.sort_by_key(Problem::order);
        Self { mistakes: RefCell::new(problems), ..Self::default() }
    }

    /// Each with the lines around it.
    pub fn reports(&self) -> impl Iterator<Item = Report> {
        let problems = self.mistakes.borrow().clone();
        problems.into_iter().map(|problem| {
            let label = LabeledSpan::at(problem.place.span.clone(), "here");
            let mut diagnostic = MietteDiagnostic::new(problem.title()).with_label(label);
            diagnostic.help = problem.help;
            let source = &problem.place.source;
            Report::new(diagnostic)
                .with_source_code(NamedSource::new(source.path.display().to_string(), source.text.clone()))
        })
    }
}

impl fmt::Display for Problems {
    /// One a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mistakes.borrow().iter().try_for_each(|problem| writeln!(f, "{problem}"))
    }
}

impl std::error::Error for Problems {}

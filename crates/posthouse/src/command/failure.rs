//! Why a command was not done.

use std::io;

/// Why a command was not done: a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The node refused, in its own words.
    #[error("{0}")]
    Refused(String),
    /// No node answers.
    #[error("no node answers\n{tried}  {hint}")]
    NoNode {
        /// A line for each socket.
        tried: String,
        /// How to start one.
        hint: String,
    },
    /// What answers is no node of this release.
    #[error("the answer of the node cannot be read: {0}")]
    Answer(String),
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// A file.
    #[error("{what}: {error}")]
    File {
        /// Which.
        what: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The operator's terminal or pipe.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }
}

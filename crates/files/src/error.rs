//! Why a file is not taken.

use directory::file::FileError;
use directory::overlay::MapError;
use std::io;
use std::path::PathBuf;

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is in it.
    #[error("{}:{}: {}", path.display(), error.line, error.why)]
    Content {
        /// Which.
        path: PathBuf,
        /// Where, and what.
        error: FileError,
    },
    /// A map that had entries has none any more.
    #[error("{} has nothing in it any more; a signal (SIGHUP) takes it so", path.display())]
    Emptied {
        /// Which.
        path: PathBuf,
    },
    /// A map is said to be one of a domain that the directory does not know.
    #[error("{}: {domain} is no domain of this site (`posthouse domain list`)", path.display())]
    UnknownDomain {
        /// Which.
        path: PathBuf,
        /// The domain.
        domain: String,
    },
    /// What is in a map.
    #[error("{}:{}: {error}", path.display(), error.line)]
    Map {
        /// Which.
        path: PathBuf,
        /// Where, and what.
        error: MapError,
    },
}

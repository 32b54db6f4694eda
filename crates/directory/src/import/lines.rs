//! The lines of an operator's file: numbered, without comments and empty ones.

use super::LineError;

/// The lines that say something, each with its number from 1 and without the white space around it.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Result<&str, LineError>)> {
    (1..)
        .zip(bytes.split(|octet| *octet == b'\n'))
        .filter_map(|(number, line)| Some((number, text_of(line).transpose()?)))
}

/// A line without its white space; `None` for an empty one and a comment.
fn text_of(line: &[u8]) -> Result<Option<&str>, LineError> {
    if line.len() > LINE_OCTETS_MAX {
        return Err(LineError::TooLong);
    }
    let text = std::str::from_utf8(line).map_err(|_| LineError::NotUtf8)?.trim();
    Ok(Some(text).filter(|text| !text.is_empty() && !text.starts_with('#')))
}

/// Of one line, white space included.
const LINE_OCTETS_MAX: usize = 8192;

//! The lines of an operator's file: numbered, without comments and empty ones.

use super::LineError;
use super::pieces::Piece;
use std::borrow::Cow;

/// The lines that say something, each with its number and without the white space around it.
pub(super) fn lines(piece: Piece<'_>) -> impl Iterator<Item = (usize, Result<&str, LineError>)> {
    numbered(piece).filter_map(|(number, line)| Some((number, text_of(line, LINE_OCTETS_MAX).transpose()?)))
}

/// The same with continuation lines, which begin with white space, at the ends of those that they continue. Comments and
/// empty lines may stand in between.
pub(super) fn logical_lines(piece: Piece<'_>) -> impl Iterator<Item = (usize, Result<Cow<'_, str>, LineError>)> {
    let texts = numbered(piece).filter_map(|(number, line)| {
        let text = text_of(line, LOGICAL_OCTETS_MAX).transpose()?;
        Some((number, continues(line), text))
    });
    let mut texts = texts.peekable();
    std::iter::from_fn(move || {
        let (number, continues, text) = texts.next()?;
        let mut whole = match continues {
            true => Err(LineError::NothingToContinue),
            false => text.map(Cow::Borrowed),
        };
        while let Some((_, _, text)) = texts.next_if(|(_, continues, _)| *continues) {
            append(&mut whole, text);
        }
        Some((number, whole))
    })
}

/// Whether the first of these lines is one that says something, and no continuation.
pub(super) fn begins_entry(octets: &[u8]) -> bool {
    let line = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
    !continues(line) && !matches!(text_of(line, LOGICAL_OCTETS_MAX), Ok(None))
}

/// How many lines have an end.
pub(super) fn ends_of_lines(octets: &[u8]) -> usize {
    octets.iter().filter(|octet| **octet == b'\n').count()
}

fn continues(line: &[u8]) -> bool {
    line.first().is_some_and(|octet| matches!(octet, b' ' | b'\t'))
}

fn append(before: &mut Result<Cow<'_, str>, LineError>, text: Result<&str, LineError>) {
    match (&mut *before, text) {
        (Ok(whole), Ok(text)) if whole.len() + text.len() < LOGICAL_OCTETS_MAX => {
            let whole = whole.to_mut();
            whole.push(' ');
            whole.push_str(text);
        }
        (Ok(_), Ok(_)) => *before = Err(LineError::TooLong { max: LOGICAL_OCTETS_MAX }),
        (Ok(_), Err(error)) => *before = Err(error),
        // It is bad already.
        (Err(_), _) => {}
    }
}

fn numbered(piece: Piece<'_>) -> impl Iterator<Item = (usize, &[u8])> {
    (piece.first..).zip(piece.octets.split(|octet| *octet == b'\n'))
}

/// A line without its white space; `None` for an empty one and a comment.
fn text_of(line: &[u8], max: usize) -> Result<Option<&str>, LineError> {
    if line.len() > max {
        return Err(LineError::TooLong { max });
    }
    let text = std::str::from_utf8(line).map_err(|_| LineError::NotUtf8)?.trim();
    Ok(Some(text).filter(|text| !text.is_empty() && !text.starts_with('#')))
}

/// Of one line, white space included.
const LINE_OCTETS_MAX: usize = 8192;
/// Of one line with its continuation lines: 1000 addresses of the usual length four times over.
const LOGICAL_OCTETS_MAX: usize = 256 << 10;

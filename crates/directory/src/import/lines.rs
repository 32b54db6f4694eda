//! The lines of an operator's file: numbered, without comments and empty ones.

use super::LineError;

/// The lines that say something, each with its number from 1 and without the white space around it.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Result<&str, LineError>)> {
    numbered(bytes).filter_map(|(number, line)| Some((number, text_of(line, LINE_OCTETS_MAX).transpose()?)))
}

/// The same with continuation lines, which begin with white space, at the ends of those that they continue. Comments and
/// empty lines may stand in between.
pub(super) fn logical_lines(bytes: &[u8]) -> Vec<(usize, Result<String, LineError>)> {
    let mut whole: Vec<(usize, Result<String, LineError>)> = Vec::new();
    for (number, line) in numbered(bytes) {
        let Some(text) = text_of(line, LOGICAL_OCTETS_MAX).transpose() else { continue };
        let continues = line.first().is_some_and(|octet| matches!(octet, b' ' | b'\t'));
        match (whole.last_mut().filter(|_| continues), continues) {
            (Some((_, before)), _) => append(before, text),
            (None, true) => whole.push((number, Err(LineError::NothingToContinue))),
            (None, false) => whole.push((number, text.map(str::to_owned))),
        }
    }
    whole
}

fn append(before: &mut Result<String, LineError>, text: Result<&str, LineError>) {
    match (&mut *before, text) {
        (Ok(whole), Ok(text)) if whole.len() + text.len() < LOGICAL_OCTETS_MAX => {
            whole.push(' ');
            whole.push_str(text);
        }
        (Ok(_), Ok(_)) => *before = Err(LineError::TooLong { max: LOGICAL_OCTETS_MAX }),
        (Ok(_), Err(error)) => *before = Err(error),
        // It is bad already.
        (Err(_), _) => {}
    }
}

fn numbered(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    (1..).zip(bytes.split(|octet| *octet == b'\n'))
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

//! Paths below a root.

use std::io;

/// Refuses whatever could leave the root; `""` is the root.
pub(crate) fn check(path: &str) -> io::Result<&str> {
    let inside = path.is_empty() || path.split('/').all(|name| !matches!(name, "" | "." | ".."));
    if !inside || path.contains('\0') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path:?} is not a path below the root")));
    }
    Ok(path)
}

/// The directory that a path's last name is in.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_root() {
        for path in ["", "a", "a/b.seg", "..a/b"] {
            assert_eq!(check(path).expect("inside"), path);
        }
        for path in ["/a", "..", "a/../b", "a//b", "a/", "./a", "a\0"] {
            assert!(check(path).is_err(), "{path:?}");
        }
        assert_eq!((parent("a"), parent("a/b/c")), ("", "a/b"));
    }
}

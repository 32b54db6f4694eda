//! Lists that an aliases file keeps in files of their own.

use super::aliases::INCLUDE;

/// Puts the members of each `:include:path` in its place, so that lines keep their numbers.
///
/// `read` gives a list's octets. A list that it does not give, that includes itself, or that is past a limit stays as it
/// is written, and [`super::aliases`] names its line.
pub fn with_includes(bytes: &[u8], read: &mut dyn FnMut(&str) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut lists = Lists { read, files_left: INCLUDES_MAX, octets_left: INCLUDED_OCTETS_MAX, trail: Vec::new() };
    let mut whole = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|octet| *octet == b'\n') {
        match std::str::from_utf8(line) {
            Ok(text) if !text.trim_start().starts_with('#') => whole.extend_from_slice(lists.expand(text).as_bytes()),
            Ok(_) | Err(_) => whole.extend_from_slice(line),
        }
    }
    whole
}

struct Lists<'r> {
    read: &'r mut dyn FnMut(&str) -> Option<Vec<u8>>,
    files_left: usize,
    octets_left: usize,
    /// The lists that led to where we are.
    trail: Vec<String>,
}

impl Lists<'_> {
    fn expand(&mut self, text: &str) -> String {
        let (mut expanded, mut rest) = (String::with_capacity(text.len()), text);
        while let Some((before, after)) = rest.split_once(INCLUDE) {
            let end = after.find([',', '"', '\r', '\n']).unwrap_or(after.len());
            let (path, behind) = after.split_at(end);
            // The quotes around a list go with it.
            let quoted = before.strip_suffix('"').zip(behind.strip_prefix('"'));
            match self.members(path.trim()) {
                Some(members) => {
                    let (before, behind) = quoted.unwrap_or((before, behind));
                    expanded.extend([before, &members]);
                    rest = behind;
                }
                None => {
                    expanded.extend([before, INCLUDE, path]);
                    rest = behind;
                }
            }
        }
        expanded + rest
    }

    fn members(&mut self, path: &str) -> Option<String> {
        if path.is_empty() || self.trail.len() >= DEPTH_MAX || self.trail.iter().any(|list| list == path) {
            return None;
        }
        self.files_left = self.files_left.checked_sub(1)?;
        let list = String::from_utf8((self.read)(path)?).ok()?;
        self.octets_left = self.octets_left.checked_sub(list.len())?;
        self.trail.push(path.to_owned());
        let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let members: Vec<String> = lines.map(|line| self.expand(line)).collect();
        self.trail.pop();
        Some(members.join(", "))
    }
}

/// Lists read for one file.
const INCLUDES_MAX: usize = 1000;
/// Of all lists of one file.
const INCLUDED_OCTETS_MAX: usize = 16 << 20;
/// Lists that include one another.
const DEPTH_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> String {
        let mut read = |path: &str| match path {
            "/etc/list" => Some(b"# members\nanna\n\n bert@far.test, carl\n".to_vec()),
            "/etc/my lists" => Some(b"zoe\n:include:/etc/list\n".to_vec()),
            "/etc/self" => Some(b"x\n:include:/etc/self\n".to_vec()),
            "/etc/rotten" => Some(vec![0xff]),
            _ => None,
        };
        String::from_utf8(with_includes(text.as_bytes(), &mut read)).expect("text")
    }

    #[test]
    fn lists_stand_where_they_were_named() {
        for (text, whole) in [
            ("a: :include:/etc/list\r\nb: x\n", "a: anna, bert@far.test, carl\r\nb: x\n"),
            ("a: y, \":include:/etc/my lists\", z", "a: y, zoe, anna, bert@far.test, carl, z"),
            ("a::include:/etc/list", "a:anna, bert@far.test, carl"),
            ("a: :include:/etc/self", "a: x, :include:/etc/self"),
            ("a: :include:/etc/gone, b", "a: :include:/etc/gone, b"),
            ("a: \":include:/etc/rotten\"", "a: \":include:/etc/rotten\""),
            ("a: :include:", "a: :include:"),
            ("# :include:/etc/list", "# :include:/etc/list"),
        ] {
            assert_eq!(expanded(text), whole);
        }
    }

    #[test]
    fn lists_within_lists_come_to_an_end() {
        let mut count = 0;
        let mut read = |_: &str| {
            count += 1;
            Some(format!(":include:{count}a, :include:{count}b").into_bytes())
        };
        let whole = with_includes(b"a: :include:first, :include:second\n", &mut read);
        assert!(whole.starts_with(b"a: :include:"));
        assert!(count <= INCLUDES_MAX, "{count} lists were read");
    }
}

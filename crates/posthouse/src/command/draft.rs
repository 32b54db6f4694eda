//! A file that is replaced whole: whoever reads it sees the old content or the new, also after a power cut.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The new content, beside the file until it is published. Only our own user may read it.
pub(super) struct Draft {
    target: PathBuf,
    beside: PathBuf,
    content: BufWriter<File>,
}

impl Draft {
    pub(super) fn of(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or_else(|| io::Error::other("it has no name"))?;
        let beside = target.with_file_name(format!(".{}.{}.new", name.to_string_lossy(), std::process::id()));
        let content = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        Ok(Self { target: target.to_owned(), beside, content: BufWriter::new(content) })
    }

    /// Puts it in the place of the file.
    pub(super) fn publish(mut self) -> io::Result<()> {
        self.content.flush()?;
        self.content.get_ref().sync_all()?;
        std::fs::rename(&self.beside, &self.target)?;
        // The name is on disk when its folder is.
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

impl Write for Draft {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.content.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.content.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // One that was published has no such name any more.
        let _ = std::fs::remove_file(&self.beside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_old_content_stays_until_all_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "old").expect("written");
        let names = || std::fs::read_dir(folder.path()).expect("listed").count();
        let mut given_up = Draft::of(&path).expect("begun");
        given_up.write_all(b"ne").expect("written");
        assert_eq!((std::fs::read(&path).expect("read"), names()), (b"old".to_vec(), 2));
        drop(given_up);
        assert_eq!((std::fs::read(&path).expect("read"), names()), (b"old".to_vec(), 1));
        let mut draft = Draft::of(&path).expect("begun");
        draft.write_all(b"new").expect("written");
        draft.publish().expect("published");
        assert_eq!((std::fs::read(&path).expect("read"), names()), (b"new".to_vec(), 1));
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Draft::of(&folder.path().join("nowhere/file")).is_err());
    }
}

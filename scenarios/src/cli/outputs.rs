//! Whether what a command will write can be written: asked before an hour of work, not after it.

use std::io;
use std::path::Path;

use super::Error;

/// A file that will be written.
pub(super) fn file(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    if path.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    if path.exists() {
        return std::fs::OpenOptions::new().append(true).open(path).map(drop).map_err(failed);
    }
    probe(path.parent().unwrap_or(path)).map_err(failed)
}

/// A folder in which files will be written; it is made only then.
pub(super) fn folder(path: &Path) -> Result<(), Error> {
    probe(path).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Writes a file without a name, or one that is gone at once, where `folder` is or will be made.
fn probe(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|folder| folder.exists());
    let there = there.filter(|there| !there.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match there.is_dir() {
        true => tempfile::tempfile_in(there).map(drop),
        false => Err(io::ErrorKind::NotADirectory.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_written_is_told_apart_and_nothing_is_left_behind() {
        let temporary = tempfile::tempdir().expect("a folder");
        let root = temporary.path();
        std::fs::write(root.join("page.md"), "before").expect("a file");
        assert!(file(&root.join("page.md")).is_ok());
        assert!(file(&root.join("new/folders/page.md")).is_ok());
        assert!(file(Path::new("page.md")).is_ok());
        assert!(folder(&root.join("new/folders")).is_ok());
        let refused = file(root).expect_err("a folder");
        assert!(refused.to_string().contains(&root.display().to_string()), "{refused}");
        assert!(file(&root.join("page.md/below.md")).is_err());
        assert!(folder(&root.join("page.md")).is_err());
        assert!(folder(Path::new("/proc/nowhere")).is_err());
        let left: Vec<_> = std::fs::read_dir(root).expect("a folder").collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(std::fs::read_to_string(root.join("page.md")).expect("a text"), "before");
    }
}

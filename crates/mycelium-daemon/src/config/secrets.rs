//! PURE. Keys and signing secrets in separate files, so that the configuration can be world-readable.

use std::io;
use std::path::{Path, PathBuf};

/// Reads files for the configuration: from the disk, or in tests from a map.
pub type Reader<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// Largest secret file; a key has 47 bytes.
pub const MAX_SECRET_BYTES: usize = 4096;

/// Where secret files are.
#[derive(Clone, Copy)]
pub(super) struct SecretSource<'a> {
    pub(super) read: Reader<'a>,
    /// `$CREDENTIALS_DIRECTORY`, where systemd puts the files of `LoadCredential=`.
    pub(super) credentials: Option<&'a Path>,
}

impl SecretSource<'_> {
    /// The text of a secret file without the white space around it. A bare file name is looked up in the credentials
    /// directory first.
    ///
    /// # Errors
    /// To be printed after "FILE, which".
    pub(super) fn text(&self, file: &str) -> Result<String, Unreadable> {
        let path = Path::new(file);
        let bare = path.components().count() == 1 && !file.contains('/');
        let credential = self.credentials.filter(|_| bare).map(|dir| dir.join(path));
        let bytes = match credential.map(|path| ((self.read)(&path), path)) {
            Some((Ok(bytes), _)) => Ok(bytes),
            Some((Err(error), path)) if error.kind() != io::ErrorKind::NotFound => {
                Err(Unreadable::Io(path, error))
            }
            _ => (self.read)(path).map_err(|error| Unreadable::Io(path.to_owned(), error)),
        }?;
        if bytes.len() > MAX_SECRET_BYTES {
            return Err(Unreadable::TooLong);
        }
        let text = String::from_utf8(bytes).map_err(|_| Unreadable::Content("is not UTF-8 text"))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(Unreadable::Content("is empty"));
        }
        Ok(text.to_owned())
    }

    /// The path of a file that is read later: a bare name is looked up in the credentials directory first.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        let credential = self.credentials.filter(|_| !file.contains('/')).map(|dir| dir.join(file));
        let missing = |path: &PathBuf| matches!((self.read)(path), Err(error) if error.kind() == io::ErrorKind::NotFound);
        credential.filter(|path| !missing(path)).unwrap_or_else(|| PathBuf::from(file))
    }

    /// The credential of that name, if there is one.
    pub(super) fn credential(&self, name: &str) -> Result<Option<String>, Unreadable> {
        let Some(dir) = self.credentials else { return Ok(None) };
        match (self.read)(&dir.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => self.text(name).map(Some),
        }
    }
}

/// Why a secret file cannot be used; never holds any of its content.
#[derive(Debug)]
pub(super) enum Unreadable {
    Io(PathBuf, io::Error),
    TooLong,
    Content(&'static str),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "cannot be read at {}: {error}", path.display()),
            Self::TooLong => write!(f, "is longer than {MAX_SECRET_BYTES} bytes"),
            Self::Content(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Unreadable {}

//! Keys and signing secrets out of files, so that the configuration itself can be world-readable.

use std::io;
use std::path::{Path, PathBuf};

/// Reads files for the configuration; tests hand in a map.
pub type Reader<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// Largest secret file; a key takes 47 bytes.
pub const MAX_SECRET_BYTES: usize = 4096;

/// Where secrets are looked up.
#[derive(Clone, Copy)]
pub(super) struct Vault<'a> {
    pub(super) read: Reader<'a>,
    /// `$CREDENTIALS_DIRECTORY`, where systemd puts what `LoadCredential=` names.
    pub(super) credentials: Option<&'a Path>,
}

impl Vault<'_> {
    /// The text of a secret file without the white space around it. A bare file name is taken from the
    /// credentials directory if it is there.
    ///
    /// # Errors
    /// What to print behind "`key` names FILE".
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
            return Err(Unreadable::Content("is longer than 4096 bytes"));
        }
        let text = String::from_utf8(bytes).map_err(|_| Unreadable::Content("is not UTF-8 text"))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(Unreadable::Content("is empty"));
        }
        Ok(text.to_owned())
    }

    /// Where a file is that its owner reads later: a bare name is in the credentials directory if it is there.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        let credential = self.credentials.filter(|_| !file.contains('/')).map(|dir| dir.join(file));
        let missing = |path: &PathBuf| matches!((self.read)(path), Err(error) if error.kind() == io::ErrorKind::NotFound);
        credential.filter(|path| !missing(path)).unwrap_or_else(|| PathBuf::from(file))
    }

    /// The credential of that name, if systemd handed one over.
    pub(super) fn credential(&self, name: &str) -> Result<Option<String>, Unreadable> {
        let Some(dir) = self.credentials else { return Ok(None) };
        match (self.read)(&dir.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => self.text(name).map(Some),
        }
    }
}

/// Why a secret file gave no secret; never holds any of its content.
#[derive(Debug)]
pub(super) enum Unreadable {
    Io(PathBuf, io::Error),
    Content(&'static str),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "cannot be read at {}: {error}", path.display()),
            Self::Content(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Unreadable {}

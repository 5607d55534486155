//! A name in a directory: one component, so that it can lead nowhere else.
//!
//! Made by the crates that own a naming scheme, taken by every call of a [`Directory`]. Touches no
//! file system.
//!
//! [`Directory`]: crate::Directory

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Component, Path};

use thiserror::Error;

/// The name of a file or directory within its directory.
///
/// Always one component: not empty, not `.`, not `..`, without a separator or a NUL. So a name out
/// of a listing, or built from a number, never becomes a path to somewhere else.
///
/// ```
/// use lsm_fs::FileName;
///
/// const LOG: FileName = FileName::constant("log-");
/// let name = LOG.then_number(7, 10);
/// assert_eq!(name, "log-0000000007");
/// assert!(FileName::try_from("../elsewhere").is_err());
/// ```
#[derive(Clone)]
pub struct FileName(Text);

/// Constant or not is no part of a name, so nothing is derived that would compare it.
#[derive(Clone)]
enum Text {
    Constant(&'static str),
    Owned(OsString),
}

/// The text is not one component of a path, so it is no name of a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name:?} is no file name")]
pub struct InvalidFileName {
    /// The text that was offered.
    pub name: OsString,
}

impl FileName {
    /// A name that is known when the program is compiled.
    ///
    /// # Panics
    /// If `name` is not one component: at compile time, if the result is a constant.
    #[must_use]
    pub const fn constant(name: &'static str) -> Self {
        assert!(
            is_one_component(name.as_bytes()),
            "not one component of a path"
        );
        Self(Text::Constant(name))
    }

    /// This name with `number` behind it, in at least `digits_min` digits.
    #[must_use]
    pub fn then_number(&self, number: u64, digits_min: usize) -> Self {
        self.followed_by(format!("{number:0digits_min$}").as_ref())
    }

    /// This name with `suffix` behind it. Two names in a row are a name.
    #[must_use]
    pub fn then(&self, suffix: &Self) -> Self {
        self.followed_by(suffix.as_os_str())
    }

    /// Neither part has a separator, and neither is a lone dot, so the whole is one component.
    fn followed_by(&self, suffix: &OsStr) -> Self {
        let mut name = OsString::with_capacity(self.as_os_str().len() + suffix.len());
        name.push(self.as_os_str());
        name.push(suffix);
        Self(Text::Owned(name))
    }

    /// The name's text.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        match &self.0 {
            Text::Constant(name) => OsStr::new(name),
            Text::Owned(name) => name,
        }
    }
}

/// Stricter than any one platform: what is no name on Windows is none anywhere.
const fn is_one_component(name: &[u8]) -> bool {
    if matches!(name, b"" | b"." | b"..") {
        return false;
    }
    let mut rest = name;
    while let [byte, after @ ..] = rest {
        if matches!(byte, b'/' | b'\\' | b':' | 0) {
            return false;
        }
        rest = after;
    }
    true
}

impl TryFrom<&OsStr> for FileName {
    type Error = InvalidFileName;

    /// On Unix a backslash or a colon is a character like any other, so that any name out of a
    /// listing is accepted.
    fn try_from(name: &OsStr) -> Result<Self, InvalidFileName> {
        let mut components = Path::new(name).components();
        // `Path` drops a separator at the end, which must not be accepted here.
        let is_name = matches!(components.next(), Some(Component::Normal(only)) if only == name)
            && components.next().is_none()
            && !name.as_encoded_bytes().contains(&0);
        match is_name {
            true => Ok(Self(Text::Owned(name.to_owned()))),
            false => Err(InvalidFileName {
                name: name.to_owned(),
            }),
        }
    }
}

impl TryFrom<&str> for FileName {
    type Error = InvalidFileName;

    fn try_from(name: &str) -> Result<Self, InvalidFileName> {
        Self::try_from(OsStr::new(name))
    }
}

impl From<InvalidFileName> for io::Error {
    fn from(error: InvalidFileName) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

impl AsRef<OsStr> for FileName {
    fn as_ref(&self) -> &OsStr {
        self.as_os_str()
    }
}

impl AsRef<Path> for FileName {
    fn as_ref(&self) -> &Path {
        Path::new(self.as_os_str())
    }
}

impl PartialEq for FileName {
    fn eq(&self, other: &Self) -> bool {
        self.as_os_str() == other.as_os_str()
    }
}

impl Eq for FileName {}

impl PartialEq<str> for FileName {
    fn eq(&self, other: &str) -> bool {
        self.as_os_str() == other
    }
}

impl PartialEq<&str> for FileName {
    fn eq(&self, other: &&str) -> bool {
        self.as_os_str() == *other
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_os_str().display().fmt(f)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_os_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_component() {
        for name in ["a", "a.b", "...", ".hidden", "run-0000000001.sst", " ", "é"] {
            assert_eq!(FileName::try_from(name).unwrap(), name);
        }
        for text in ["", ".", "..", "a/b", "/a", "a/", "./a", "../a", "a\0b", "/"] {
            assert!(FileName::try_from(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_is_equal_to_one_of_the_same_text() {
        const MADE: FileName = FileName::constant("run-0000000007.tmp");
        const RUN: FileName = FileName::constant("run-");
        const TEMPORARY: FileName = FileName::constant(".tmp");
        assert_eq!(RUN.then_number(7, 10).then(&TEMPORARY), MADE);
        assert_eq!(RUN.then_number(12_345, 3), "run-12345");
        assert_eq!(MADE.to_string(), "run-0000000007.tmp");
    }

    #[test]
    fn an_invalid_name_is_invalid_input() {
        let error = io::Error::from(FileName::try_from("..").unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "\"..\" is no file name");
    }
}

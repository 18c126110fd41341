//! Secrets: typed into the file, or better, named there and kept elsewhere.

use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
};

use toml::de::DeValue;

use super::schema::Scalar;
use super::value::not_a;

/// A password is a line, a URL two: the limit keeps a wrong path out of memory.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// A string that may be kept outside of the file.
#[derive(Clone, PartialEq, Eq)]
pub enum Hidden {
    /// It stands in the file.
    Inline(String),
    /// It is in this environment variable.
    Env(String),
    /// It is in this file.
    File(PathBuf),
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("(hidden)"),
            Self::Env(name) => write!(f, "(environment variable {name})"),
            Self::File(path) => write!(f, "(file {})", path.display()),
        }
    }
}

impl Scalar for Hidden {
    const TYPE: &'static str = "a secret";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let wanted = r#"a string, { env = "NAME" } or { file = "path" }"#;
        if let Some(text) = value.as_str() {
            return Ok(Self::Inline(text.to_owned()));
        }
        let table = value.as_table().ok_or_else(|| not_a(wanted, value))?;
        let only = table.iter().next().filter(|_| table.len() == 1);
        let wrong = || format!("must be {wanted}");
        let (key, value) = only.ok_or_else(wrong)?;
        let text = value
            .get_ref()
            .as_str()
            .filter(|text| !text.is_empty())
            .ok_or_else(wrong)?;
        match key.get_ref().as_ref() {
            "env" => Ok(Self::Env(text.to_owned())),
            "file" => Ok(Self::File(text.into())),
            _ => Err(wrong()),
        }
    }

    fn show(&self) -> Option<String> {
        None
    }
}

/// Where secrets and other files are looked up.
pub(super) struct Sources<'a> {
    directory: PathBuf,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Sources<'a> {
    /// Relative paths start beside the configuration file `origin`.
    pub(super) fn new(origin: &Path, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            directory: origin.parent().unwrap_or_else(|| Path::new("")).to_owned(),
            env,
        }
    }

    /// Where relative paths start.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The secret itself; the error goes on from the key's name and never holds the secret.
    pub(super) fn read(&self, hidden: &Hidden) -> Result<String, String> {
        match hidden {
            Hidden::Inline(text) => Ok(text.clone()),
            Hidden::Env(name) => match (self.env)(name) {
                Some(text) if !text.is_empty() => Ok(text),
                Some(_) => Err(format!(
                    "needs the environment variable {name}, which is empty"
                )),
                None => Err(format!(
                    "needs the environment variable {name}, which is not set"
                )),
            },
            Hidden::File(path) => {
                let text = self.file(path, MAX_SECRET_BYTES)?;
                // Editors and `echo` end a file with a newline that nobody means.
                let line = text.strip_suffix('\n').unwrap_or(&text);
                let line = line.strip_suffix('\r').unwrap_or(line);
                match line {
                    "" => Err(format!("needs the file {}, which is empty", path.display())),
                    line => Ok(line.to_owned()),
                }
            }
        }
    }

    /// The text of a file that the configuration names.
    pub(super) fn file(&self, path: &Path, most: u64) -> Result<String, String> {
        let path = self.directory.join(path);
        read_text(&path, most)
            .map_err(|reason| format!("needs the file {}, which {reason}", path.display()))
    }
}

/// Reads a text file of at most `most` bytes; the error goes on from the file's name.
pub(super) fn read_text(path: &Path, most: u64) -> Result<String, String> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(format!("is larger than {most} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

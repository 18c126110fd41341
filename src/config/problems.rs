//! What is wrong with a configuration: all of it, each with its line, never with a secret.

use std::{collections::BTreeMap, fmt, path::Path};

/// Why a configuration is refused: one line for each mistake, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<String>);

impl ConfigErrors {
    /// A single mistake that has no line.
    pub fn one(origin: &Path, text: impl fmt::Display) -> Self {
        Self(vec![format!("{}: {text}", origin.display())])
    }

    /// The mistakes, each as `file:line: what is wrong`.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects what is wrong (and what deserves a warning) while a configuration is read.
#[derive(Debug)]
pub struct Problems<'a> {
    text: &'a str,
    /// Line of each (section, key) that was seen; a section itself has the key "".
    lines: BTreeMap<(String, String), usize>,
    errors: Vec<(Option<usize>, String)>,
    warnings: Vec<(Option<usize>, String)>,
}

impl<'a> Problems<'a> {
    /// None yet, in `text`.
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            lines: BTreeMap::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Remembers where a key stands, so that whoever finds fault with it later can say so.
    pub fn saw(&mut self, section: &str, key: &str, offset: usize) {
        let line = self.line_at(offset);
        self.lines
            .insert((section.to_owned(), key.to_owned()), line);
    }

    /// Whether the key was typed at all.
    pub fn has(&self, section: &str, key: &str) -> bool {
        self.lines
            .contains_key(&(section.to_owned(), key.to_owned()))
    }

    /// The text itself is broken at `offset`.
    pub fn syntax(&mut self, offset: Option<usize>, message: String) {
        let line = offset.map(|offset| self.line_at(offset));
        self.errors.push((line, message));
    }

    /// A key's value is wrong; `message` goes on from the key's name: "must be …".
    pub fn key(&mut self, section: &str, key: &str, message: impl fmt::Display) {
        let line = self.line_of(section, key);
        self.errors
            .push((line, format!("{key} in [{section}] {message}")));
    }

    /// Something else is wrong, at this place.
    pub fn at(&mut self, section: &str, key: &str, message: impl fmt::Display) {
        let line = self.line_of(section, key);
        self.errors.push((line, message.to_string()));
    }

    /// A whole sentence that the operator should read, about this place.
    pub fn warn(&mut self, section: &str, key: &str, message: impl fmt::Display) {
        let line = self.line_of(section, key);
        self.warnings.push((line, message.to_string()));
    }

    /// The errors that were found.
    pub fn into_errors(self, origin: &Path) -> ConfigErrors {
        ConfigErrors(rendered(origin, self.errors))
    }

    /// The warnings if nothing is wrong, the errors otherwise.
    pub fn finish(self, origin: &Path) -> Result<Vec<String>, ConfigErrors> {
        if self.errors.is_empty() {
            Ok(rendered(origin, self.warnings))
        } else {
            Err(self.into_errors(origin))
        }
    }

    fn line_of(&self, section: &str, key: &str) -> Option<usize> {
        let find = |key: &str| {
            self.lines
                .get(&(section.to_owned(), key.to_owned()))
                .copied()
        };
        find(key).or_else(|| find("")).filter(|line| *line > 0)
    }

    /// The line; 0 for what does not stand in the text.
    fn line_at(&self, offset: usize) -> usize {
        if offset > self.text.len() {
            return 0;
        }
        1 + self
            .text
            .bytes()
            .take(offset)
            .filter(|byte| *byte == b'\n')
            .count()
    }
}

fn rendered(origin: &Path, mut found: Vec<(Option<usize>, String)>) -> Vec<String> {
    found.sort_by_key(|(line, _)| *line);
    let origin = origin.display();
    let render = |(line, text): (Option<usize>, String)| match line {
        Some(line) => format!("{origin}:{line}: {text}"),
        None => format!("{origin}: {text}"),
    };
    found.into_iter().map(render).collect()
}

/// The name among `known` that is probably meant by `typed`.
pub fn nearest<'n>(typed: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // A third of the letters may be wrong: enough for slips, too little for another word.
    let most = (typed.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name)
}

/// A part of a section's name as TOML wants it: quoted if it is not a plain word.
pub fn quoted(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(plain) {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

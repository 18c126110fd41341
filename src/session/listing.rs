//! The statements of a pool's catalogue, as they can be shown.

use std::sync::Arc;

use super::{
    catalogue::{Catalogue, Statement},
    printable,
};
use crate::sql::{Dialect, mask};

/// How much of a text is shown.
const MOST_SHOWN: usize = 1024;

/// How much of it is read for that.
const MOST_READ: usize = 8 * MOST_SHOWN;

/// A statement that a pool remembers.
#[derive(Debug)]
pub struct Listed {
    statement: Arc<Statement>,
    /// How many clients' names stand for it.
    pub uses: usize,
}

impl Catalogue {
    /// All that it remembers.
    pub fn listed(&self) -> Vec<Listed> {
        let listed = |statement: &Arc<Statement>| Listed {
            // All but the catalogue's own.
            uses: Arc::strong_count(statement) - 1,
            statement: Arc::clone(statement),
        };
        self.remembered(listed)
    }
}

impl Listed {
    /// Its number: those that came later have larger ones.
    pub fn id(&self) -> u64 {
        self.statement.id
    }

    /// What it is called on servers.
    pub fn name(&self) -> String {
        let name = Statement::server_name(self.id());
        printable(name.bytes())
    }

    fn text(&self) -> &[u8] {
        self.statement
            .body
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default()
    }

    /// Bytes of its text.
    pub fn length(&self) -> usize {
        self.text().len()
    }

    /// The beginning of its text, with its literals masked.
    ///
    /// By which dialect its server reads it is not known here. Where that matters, nothing is shown.
    pub fn shown(&self) -> String {
        let text = self.text();
        let text = text.get(..MOST_READ).unwrap_or(text);
        let read = |standard_strings| {
            let dialect = Dialect {
                standard_strings,
                ascii_safe: false,
            };
            mask::mask(text, dialect, MOST_SHOWN)
        };
        let shown = read(true);
        if shown == read(false) {
            shown
        } else {
            mask::REST.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pool_remembers_can_be_shown() {
        let catalogue = Catalogue::default();
        let body = |text: &str| [text.as_bytes(), &[0, 0, 0]].concat();
        let kept: Vec<_> = [
            "select 'secret', $1",
            // Read in the one way it is a string and a name, in the other a string that never ends.
            r"select 'a\', secret",
            "select 'é', secret",
        ]
        .iter()
        .map(|text| catalogue.statement(&body(text), &Arc::default()))
        .collect();
        let twice = Arc::clone(&kept[0]);
        catalogue.statement(&body("select 2"), &Arc::default());
        let mut listed = catalogue.listed();
        listed.sort_by_key(Listed::id);
        let shown: Vec<_> = listed
            .iter()
            .map(|it| (it.name(), it.uses, it.length(), it.shown()))
            .collect();
        let expected = [
            ("pgusher_1", 2, 19, "select $?, $1"),
            ("pgusher_2", 1, 19, "select …"),
            ("pgusher_3", 1, 19, "…"),
            ("pgusher_4", 0, 8, "select $?"),
        ];
        let expected = expected
            .map(|(name, uses, length, text)| (name.to_owned(), uses, length, text.to_owned()));
        assert_eq!(shown, expected);
        drop(twice);
    }
}

//! Tables change under statements that were prepared before.
//!
//! PostgreSQL settles at Parse what the parameters are of, and refuses a statement whose result has
//! changed since. That is right for the client who prepared it, and wrong for one that prepares the same text
//! afterwards: that one must not be given the older statement because it is there (C12).

use std::sync::atomic::{AtomicU64, Ordering};

/// How often the tables of a database have changed, as far as its clients have changed them through us.
#[derive(Debug, Default)]
pub struct Schema(AtomicU64);

impl Schema {
    /// They have changed, or will have when a transaction commits.
    pub(super) fn has_changed(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    pub(super) fn version(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Whether a statement with this command tag may have changed what others mean. What a function or a
/// procedure does inside is not seen.
pub(super) fn may_change(tag: &[u8]) -> bool {
    let is = |verb: &[u8]| tag.starts_with(verb);
    (is(b"CREATE ") && !is(b"CREATE INDEX"))
        || is(b"ALTER ")
        || (is(b"DROP ") && !is(b"DROP INDEX"))
        || is(b"IMPORT FOREIGN SCHEMA")
        || is(b"DO\0")
        || is(b"COMMIT PREPARED")
}

#[cfg(test)]
mod tests {
    use super::*;

    // C12
    #[test]
    fn what_changes_tables() {
        for tag in [
            "CREATE TABLE",
            "CREATE VIEW",
            "ALTER TABLE",
            "ALTER TYPE",
            "DROP TABLE",
            "DO",
        ] {
            assert!(may_change(format!("{tag}\0").as_bytes()), "{tag}");
        }
        for tag in [
            "SELECT 1",
            "INSERT 0 1",
            "CREATE INDEX",
            "DROP INDEX",
            "DROPS",
            "SET",
            "DOES",
        ] {
            assert!(!may_change(format!("{tag}\0").as_bytes()), "{tag}");
        }
    }
}

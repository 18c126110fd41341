//! Tables change under statements that were prepared before.
//!
//! PostgreSQL settles at Parse what the parameters are of, and refuses a statement whose result has
//! changed since. That is right for the client who prepared it, and wrong for one that prepares the same text
//! afterwards: that one must not be given the older statement because it is there (C12).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

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

/// What the transactions of one server connection do to the tables.
///
/// Others see it when its transaction ends, so they may have prepared something about the tables as
/// they were in the meantime: what a transaction changes counts twice.
#[derive(Debug, Default)]
pub(super) struct Changes {
    schema: Arc<Schema>,
    /// The transaction may have changed something.
    pending: bool,
}

impl Changes {
    /// The connection leads to the database with this schema.
    pub(super) fn are_of(&mut self, schema: &Arc<Schema>) {
        if !Arc::ptr_eq(&self.schema, schema) {
            self.schema = Arc::clone(schema);
        }
    }

    /// A statement was completed, with the command tag `tag`.
    pub(super) fn completed(&mut self, tag: &[u8]) {
        // A savepoint takes back what was changed behind it.
        if may_change(tag) || self.pending && tag == b"ROLLBACK\0" {
            self.pending = true;
            self.schema.has_changed();
        }
    }

    /// The open transaction may have changed something.
    pub(super) fn are_pending(&self) -> bool {
        self.pending
    }

    /// No transaction is open.
    pub(super) fn ended(&mut self) {
        if std::mem::take(&mut self.pending) {
            self.schema.has_changed();
        }
    }
}

/// A connection that is lost may have committed before.
impl Drop for Changes {
    fn drop(&mut self) {
        self.ended();
    }
}

/// Whether a statement with this command tag may have changed what others mean. What a function
/// does is not seen, nor is a table made by a SELECT: what has its tag is too often something else.
fn may_change(tag: &[u8]) -> bool {
    let is = |verb: &[u8]| tag.starts_with(verb);
    (is(b"CREATE ") && !is(b"CREATE INDEX"))
        || is(b"ALTER ")
        || (is(b"DROP ") && !is(b"DROP INDEX"))
        || is(b"IMPORT FOREIGN SCHEMA")
        || is(b"DO\0")
        || is(b"CALL\0")
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
            "CALL",
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

    #[test]
    fn a_transaction_counts_when_it_ends_as_well() {
        let schema = Arc::new(Schema::default());
        let mut changes = Changes::default();
        changes.are_of(&schema);
        let mut versions = Vec::new();
        for tag in [
            "SELECT 1",
            "ROLLBACK",
            "ALTER TABLE",
            "SELECT 1",
            "ROLLBACK",
        ] {
            changes.completed(format!("{tag}\0").as_bytes());
            versions.push(schema.version());
        }
        assert_eq!(versions, [0, 0, 1, 1, 2]);
        changes.ended();
        changes.ended();
        assert_eq!(schema.version(), 3);
        changes.completed(b"DROP TABLE\0");
        drop(changes);
        assert_eq!(schema.version(), 5);
    }
}

//! Does row-level security apply to the role that logs in at the server?
//!
//! It does not apply to superusers, to roles with `BYPASSRLS`, and to owners of tables that do not
//! force it. Whatever context is set for a transaction, such a role sees every row, and nobody
//! notices before it is too late. So it is asked once for each pool, and said in the log (J7).

use std::fmt;

/// Asks what [`Audit::read`] reads. One row, whatever the role is and may.
///
/// An owner is whoever has the rights of the owning role, as PostgreSQL itself sees it.
pub const QUERY: &str = "\
SELECT r.rolname, r.rolsuper, r.rolbypassrls, t.protected, t.unforced, t.example \
FROM pg_catalog.pg_roles r, LATERAL (\
SELECT pg_catalog.count(*) AS protected, \
pg_catalog.count(*) FILTER (WHERE o.owns) AS unforced, \
pg_catalog.min(pg_catalog.format('%I.%I', n.nspname, c.relname)) FILTER (WHERE o.owns) AS example \
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, LATERAL (\
SELECT NOT c.relforcerowsecurity AND pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owns) o \
WHERE c.relrowsecurity) t \
WHERE r.rolname = current_user";

/// What the server says of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    role: String,
    superuser: bool,
    bypasses: bool,
    /// Tables that have row-level security.
    protected: u64,
    /// Those of them that the role owns and that do not force it.
    unforced: u64,
    /// One of these.
    example: String,
}

/// A reason why row-level security protects nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The role is a superuser.
    Superuser,
    /// The role has `BYPASSRLS`.
    Bypass,
    /// The role owns tables that do not hold their owner to their policies.
    Unforced {
        /// How many.
        tables: u64,
        /// One of them.
        example: String,
    },
    /// No table of the database has row-level security.
    Nothing,
}

impl Audit {
    /// Reads the row that [`QUERY`] brings; `None` if it is another one.
    pub fn read(row: &[Option<&[u8]>]) -> Option<Self> {
        let &[role, superuser, bypasses, protected, unforced, example] = row else {
            return None;
        };
        let text = |value: Option<&[u8]>| String::from_utf8(value?.to_vec()).ok();
        let truth = |value: Option<&[u8]>| Some(value? == b"t");
        let number = |value: Option<&[u8]>| text(value)?.parse().ok();
        Some(Self {
            role: text(role)?,
            superuser: truth(superuser)?,
            bypasses: truth(bypasses)?,
            protected: number(protected)?,
            unforced: number(unforced)?,
            example: text(example).unwrap_or_default(),
        })
    }

    /// The role that was asked about.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// What is wrong, most dangerous first; nothing is best.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.superuser {
            // Whatever else it is or owns, makes no difference.
            found.push(Finding::Superuser);
        } else if self.bypasses {
            found.push(Finding::Bypass);
        } else if self.unforced > 0 {
            found.push(Finding::Unforced {
                tables: self.unforced,
                example: self.example.clone(),
            });
        }
        if self.protected == 0 {
            found.push(Finding::Nothing);
        }
        found
    }
}

impl Finding {
    /// Tenants see each other's rows, although somebody has set policies. Otherwise it may be that
    /// the policies are still to come.
    pub fn is_dangerous(&self) -> bool {
        *self != Self::Nothing
    }
}

/// What it means, and what to do.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superuser => f.write_str(
                "row-level security does not apply: this role is a superuser, and every tenant \
                 sees all rows. Log in at the server as another role",
            ),
            Self::Bypass => f.write_str(
                "row-level security does not apply: this role has BYPASSRLS, and every tenant \
                 sees all rows. ALTER ROLE ... NOBYPASSRLS, or log in as another role",
            ),
            Self::Unforced { tables, example } => write!(
                f,
                "row-level security does not apply to {tables} of the tables that this role owns, \
                 such as {example}: every tenant sees all their rows. ALTER TABLE {example} FORCE \
                 ROW LEVEL SECURITY, or log in as a role that does not own them"
            ),
            Self::Nothing => f.write_str(
                "no table of this database has row-level security: tenants see each other's rows. \
                 `pgusher policy` prints the SQL to start from",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(values: [&str; 6]) -> Option<Audit> {
        Audit::read(&values.map(|value| Some(value.as_bytes()).filter(|it| !it.is_empty())))
    }

    // J7
    #[test]
    fn what_makes_policies_void_is_found() {
        let unforced = Finding::Unforced {
            tables: 2,
            example: "shop.orders".to_owned(),
        };
        for (row, found) in [
            (["app", "f", "f", "3", "0", ""], vec![]),
            (["app", "t", "t", "3", "2", "a.b"], vec![Finding::Superuser]),
            (["app", "f", "t", "3", "2", "a.b"], vec![Finding::Bypass]),
            (["app", "f", "f", "3", "2", "shop.orders"], vec![unforced]),
            (["app", "f", "f", "0", "0", ""], vec![Finding::Nothing]),
            (
                ["app", "t", "f", "0", "0", ""],
                vec![Finding::Superuser, Finding::Nothing],
            ),
        ] {
            let audit = audit(row).unwrap();
            assert_eq!(audit.role(), "app");
            assert_eq!(audit.findings(), found, "{row:?}");
        }
    }

    #[test]
    fn another_row_is_no_audit() {
        assert_eq!(Audit::read(&[]), None);
        assert_eq!(audit(["", "f", "f", "0", "0", ""]), None);
        assert_eq!(audit(["app", "f", "f", "", "0", ""]), None);
        assert_eq!(audit(["app", "f", "f", "-1", "0", ""]), None);
    }
}

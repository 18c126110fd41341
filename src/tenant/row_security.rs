//! The SQL that makes a table's rows visible to their tenant only, for `pgusher policy`.
//!
//! It is text for people to read and keep in their migrations. pgusher never runs it, and any
//! policy that reads the setting does as well; this is the form that copes with all that the
//! setting can be, and that an index can serve. The sealed form is in [`sealed`].

pub mod sealed;

use std::{fmt, fmt::Write as _, str::FromStr};

use self::sealed::Sealed;
use super::SettingName;

/// PostgreSQL cuts longer names without an error.
const MAX_NAME_BYTES: usize = 63;

/// A name in a database, as it is stored: without its quotes. It prints in quotes, always, because
/// `order` and `user` are names of tables, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier(String);

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl FromStr for Identifier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match identifiers(text)?.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err("must be a single name, without a table's".to_owned()),
        }
    }
}

/// A table, with or without its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    schema: Option<Identifier>,
    name: Identifier,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => self.name.fmt(f),
        }
    }
}

impl FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut names = identifiers(text)?.into_iter();
        match (names.next(), names.next(), names.next()) {
            (Some(name), None, _) => Ok(Self { schema: None, name }),
            (schema, Some(name), None) => Ok(Self { schema, name }),
            _ => Err("must be TABLE or SCHEMA.TABLE".to_owned()),
        }
    }
}

/// Reads names with dots between them as SQL does: what is not in quotes becomes lower case.
fn identifiers(text: &str) -> Result<Vec<Identifier>, String> {
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        let (name, behind) = match rest.strip_prefix('"') {
            Some(inside) => quoted(inside).ok_or("has a quote that is not closed")?,
            None => {
                let (name, behind) = rest.split_at(rest.find(['.', '"']).unwrap_or(rest.len()));
                if !is_plain(name) {
                    return Err(format!(
                        "has the name {name:?}, which SQL wants in double quotes: '\"{name}\"'"
                    ));
                }
                (name.to_ascii_lowercase(), behind)
            }
        };
        if name.is_empty() || name.contains('\0') {
            return Err("has an empty name in it".to_owned());
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(format!(
                "has a name of more than {MAX_NAME_BYTES} bytes in it"
            ));
        }
        names.push(Identifier(name));
        if behind.is_empty() {
            return Ok(names);
        }
        rest = behind
            .strip_prefix('.')
            .ok_or("has something behind a quote")?;
    }
}

/// The name up to its closing quote, and what stands behind that.
fn quoted(inside: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = inside;
    loop {
        let (before, behind) = rest.split_once('"')?;
        name.push_str(before);
        let Some(more) = behind.strip_prefix('"') else {
            return Some((name, behind));
        };
        name.push('"');
        rest = more;
    }
}

fn is_plain(name: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    name.starts_with(starts)
        && name
            .chars()
            .all(|c| starts(c) || c.is_ascii_digit() || c == '$')
}

/// The type of the column that names the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// `text`, and `varchar`.
    Text,
    /// `uuid`.
    Uuid,
    /// `bigint`, and the smaller whole numbers.
    Bigint,
}

impl ColumnType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Uuid => "uuid",
            Self::Bigint => "bigint",
        }
    }
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "uuid" => Ok(Self::Uuid),
            "bigint" => Ok(Self::Bigint),
            _ => Err("must be text, uuid or bigint".to_owned()),
        }
    }
}

/// What the SQL is to say.
#[derive(Debug, Clone)]
pub struct Starter {
    /// The column that names a row's tenant.
    pub column: Identifier,
    /// Its type.
    pub column_type: ColumnType,
    /// The setting that names the transaction's tenant.
    pub setting: SettingName,
    /// Whether new rows get their tenant by a default.
    pub default: bool,
    /// Whether only a sealed tenant counts, and how its seal is known.
    pub sealed: Option<Sealed>,
}

const HEAD: &str = "\
-- Row-level security by tenant, for PostgreSQL 15 and later. Run it as the owner of the tables,
-- statement by statement, as psql does (CREATE INDEX CONCURRENTLY refuses to be one of several in
-- a batch). It can be run again.
--
-- Superusers and roles with BYPASSRLS see every row whatever stands here: applications must not
-- log in as one. Another permissive policy on the same table widens what these let through.
";

impl Starter {
    /// The SQL for `tables`.
    pub fn sql(&self, tables: &[Table]) -> String {
        let mut sql = HEAD.to_owned();
        if let Some(sealed) = &self.sealed {
            sealed.write(&self.setting, &mut sql);
        }
        for table in tables {
            self.table(table, &mut sql);
        }
        sql
    }

    fn table(&self, table: &Table, out: &mut String) {
        let (column, kind) = (&self.column, self.column_type.as_str());
        let index = self.index_name(table);
        // The setting is `''` and not NULL on a connection that had it once, and `''` is no uuid.
        let tenant = match self.sealed {
            Some(_) => format!("{}::{kind}", sealed::CALL),
            None => format!(
                "NULLIF(current_setting('{}', true), '')::{kind}",
                self.setting
            ),
        };
        // Either ends a comment.
        let comment = table.to_string().replace(['\n', '\r'], " ");
        let default = if self.default {
            format!(
                "-- New rows belong to the tenant that inserts them.\n\
                 ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {tenant};\n"
            )
        } else {
            String::new()
        };
        let _ = write!(
            out,
            "\n\
             -- {comment}: every query now asks for a tenant's rows, so an index leads with the\n\
             -- tenant. If this step fails it leaves an invalid index: drop it, and run it again.\n\
             CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} ({column});\n\
             \n\
             BEGIN;\n\
             -- Give up rather than make everybody wait behind a long query.\n\
             SET LOCAL lock_timeout = '5s';\n\
             -- Without FORCE the owner of the table would see all rows.\n\
             ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;\n\
             {default}\
             DROP POLICY IF EXISTS pgusher_tenant ON {table};\n\
             -- No tenant, or an empty one, is NULL: no rows, and no error. The SELECT around it is\n\
             -- run once per query and not once per row. USING is about rows that are there, WITH\n\
             -- CHECK about rows that are written.\n\
             CREATE POLICY pgusher_tenant ON {table}\n    \
                 USING ({column} = (SELECT {tenant}))\n    \
                 WITH CHECK ({column} = (SELECT {tenant}));\n\
             COMMIT;\n"
        );
    }

    /// `orders_tenant_id_idx`, as PostgreSQL itself would call it. One that is too long is cut and
    /// told apart by a checksum: with IF NOT EXISTS, two tables must not come to share a name.
    fn index_name(&self, table: &Table) -> Identifier {
        let name = format!("{}_{}_idx", table.name.0, self.column.0);
        if name.len() <= MAX_NAME_BYTES {
            return Identifier(name);
        }
        let tail = format!("_{:08x}_idx", checksum(name.as_bytes()));
        let mut cut = MAX_NAME_BYTES - tail.len();
        while !name.is_char_boundary(cut) {
            cut -= 1;
        }
        Identifier(format!("{}{tail}", name.get(..cut).unwrap_or_default()))
    }
}

/// FNV-1a: the same on every machine and in every version.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starter() -> Starter {
        Starter {
            column: "tenant_id".parse().unwrap(),
            column_type: ColumnType::Uuid,
            setting: SettingName::default(),
            default: false,
            sealed: None,
        }
    }

    #[test]
    fn tables_are_read_as_sql_reads_them() {
        let read = |text: &str| text.parse::<Table>().map(|table| table.to_string());
        for (typed, printed) in [
            ("Orders", r#""orders""#),
            ("Shop.Orders", r#""shop"."orders""#),
            (r#""Shop".orders"#, r#""Shop"."orders""#),
            (r#"shop."Order ""x"".y""#, r#""shop"."Order ""x"".y""#),
            ("größe$1", r#""größe$1""#),
        ] {
            assert_eq!(read(typed).as_deref(), Ok(printed), "{typed}");
        }
        let long = "x".repeat(64);
        for typed in [
            "", ".", "a.", ".a", "a.b.c", "a b", "a-b", "1a", "a;b", "a'b", r#""a"#, r#""""#,
            r#""a"b"#, r#"a"b""#, "\"a\0\"", "a\n", &long,
        ] {
            assert!(read(typed).is_err(), "{typed:?}");
        }
        assert!("a.b".parse::<Identifier>().is_err());
    }

    #[test]
    fn names_of_indexes_fit_and_differ() {
        let name = |table: &str| starter().index_name(&table.parse().unwrap()).0;
        assert_eq!(name("shop.orders"), "orders_tenant_id_idx");
        let (a, b) = (name(&"a".repeat(63)), name(&"a".repeat(62)));
        assert_eq!((a.len(), b.len()), (63, 63));
        assert_ne!(a, b);
        // Characters of two bytes: not cut in the middle.
        assert_eq!(name(&format!("\"x{}\"", "é".repeat(31))).len(), 62);
    }

    // A name cannot end the comment that it stands in.
    #[test]
    fn a_line_in_a_name_stays_in_the_comment() {
        let table: Table = "\"a\n\rDROP TABLE b;\"".parse().unwrap();
        let sql = starter().sql(&[table]);
        assert!(sql.contains("-- \"a  DROP TABLE b;\": every"), "{sql}");
    }

    // J5
    #[test]
    fn the_whole_text() {
        let sql = Starter {
            default: true,
            ..starter()
        }
        .sql(&["shop.orders".parse().unwrap()]);
        let found: Vec<&str> = sql.lines().filter(|line| !line.starts_with("--")).collect();
        let tenant = "NULLIF(current_setting('app.tenant_id', true), '')::uuid";
        assert_eq!(
            found.join("\n").trim(),
            format!(
                r#"CREATE INDEX CONCURRENTLY IF NOT EXISTS "orders_tenant_id_idx" ON "shop"."orders" ("tenant_id");

BEGIN;
SET LOCAL lock_timeout = '5s';
ALTER TABLE "shop"."orders" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE "shop"."orders" ALTER COLUMN "tenant_id" SET DEFAULT {tenant};
DROP POLICY IF EXISTS pgusher_tenant ON "shop"."orders";
CREATE POLICY pgusher_tenant ON "shop"."orders"
    USING ("tenant_id" = (SELECT {tenant}))
    WITH CHECK ("tenant_id" = (SELECT {tenant}));
COMMIT;"#
            )
        );
    }
}

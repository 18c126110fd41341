//! The half of the sealed context that lives in the database: the table of keys, and the function
//! that says who the tenant is if the seal is right.

use std::{fmt::Write as _, sync::Arc};

use super::SettingName;
use crate::tenant::seal::{Key, PURPOSE};

/// The tenant, or NULL, as policies ask for it.
pub(super) const CALL: &str = "pgusher.tenant()";

/// How a seal is known to be right.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The setting that has it.
    pub setting: SettingName,
    /// The key, if it is to be printed.
    pub key: Option<Arc<Key>>,
}

const SCHEMA: &str = "
-- The seal. Who runs this owns the keys: a role that the application is no member of, and that no
-- application logs in as. Whoever owns one of the tables below can take its policies away, so that is
-- no role of the application's either. Members of pg_read_all_data and backups have the keys, too.
BEGIN;
CREATE SCHEMA IF NOT EXISTS pgusher;
CREATE TABLE IF NOT EXISTS pgusher.seal_keys (
    name text PRIMARY KEY,
    inner_pad bytea NOT NULL CHECK (octet_length(inner_pad) = 64),
    outer_pad bytea NOT NULL CHECK (octet_length(outer_pad) = 64),
    added timestamptz NOT NULL DEFAULT now()
);
-- What was there already must not be somebody else's, and default privileges must not give it away.
DO $pgusher$
DECLARE
    grantee regrole;
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace
            WHERE nspname = 'pgusher' AND nspowner <> current_user::regrole)
        OR EXISTS (SELECT FROM pg_catalog.pg_class
            WHERE relnamespace = 'pgusher'::regnamespace AND relowner <> current_user::regrole)
    THEN
        RAISE EXCEPTION 'the schema \"pgusher\" or something in it belongs to another role';
    END IF;
    FOR grantee IN SELECT DISTINCT a.grantee
        FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
        WHERE c.oid = 'pgusher.seal_keys'::regclass AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON pgusher.seal_keys FROM %s CASCADE', grantee);
    END LOOP;
    FOR grantee IN SELECT DISTINCT a.grantee
        FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
        WHERE n.nspname = 'pgusher' AND a.grantee NOT IN (0, n.nspowner)
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA pgusher FROM %s CASCADE', grantee);
    END LOOP;
END $pgusher$;
REVOKE ALL ON SCHEMA pgusher FROM PUBLIC;
REVOKE ALL ON pgusher.seal_keys FROM PUBLIC;
GRANT USAGE ON SCHEMA pgusher TO PUBLIC;
";

const KEYLESS: &str = "
-- The key is not printed here. Without one nobody has a tenant, and nobody sees a row:
--   pgusher policy --sealed --config pgusher.toml --with-key TABLE... | psql ...
";

impl Sealed {
    pub(super) fn write(&self, tenant: &SettingName, out: &mut String) {
        out.push_str(SCHEMA);
        let seal = &self.setting;
        let _ = write!(
            out,
            "-- The tenant, if pgusher has sealed it, and otherwise NULL. The hashes of both seals are compared,\n\
             -- and not the seals, so that the time it takes says nothing about the right one.\n\
             CREATE OR REPLACE FUNCTION {CALL} RETURNS text\n    \
                 LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER\n    \
                 SET search_path = pg_catalog, pg_temp\n\
             AS $pgusher$\n\
             DECLARE\n    \
                 tenant text := current_setting('{tenant}', true);\n    \
                 seal bytea := sha256(convert_to(current_setting('{seal}', true), 'UTF8'));\n    \
                 message bytea := convert_to('{PURPOSE} {tenant} ' || tenant, 'UTF8');\n\
             BEGIN\n    \
                 IF tenant <> '' AND EXISTS (SELECT FROM pgusher.seal_keys WHERE seal = sha256(convert_to(\n        \
                     encode(sha256(outer_pad || sha256(inner_pad || message)), 'hex'), 'UTF8')))\n    \
                 THEN\n        \
                     RETURN tenant;\n    \
                 END IF;\n    \
                 RETURN NULL;\n\
             END $pgusher$;\n\
             REVOKE ALL ON FUNCTION {CALL} FROM PUBLIC;\n\
             GRANT EXECUTE ON FUNCTION {CALL} TO PUBLIC;\n\
             COMMIT;\n"
        );
        let Some(key) = &self.key else {
            out.push_str(KEYLESS);
            return;
        };
        let [inner, outer] = key.halves();
        let (name, inner, outer) = (key.name(), inner.as_str(), outer.as_str());
        let _ = write!(
            out,
            "\n\
             -- THE KEY: keep this file as you keep passwords. Keys that are there stay valid: when pgusher\n\
             -- seals with this one everywhere, take the others away:\n\
             --   DELETE FROM pgusher.seal_keys WHERE name <> '{name}';\n\
             INSERT INTO pgusher.seal_keys (name, inner_pad, outer_pad)\n    \
                 VALUES ('{name}', decode('{inner}', 'hex'), decode('{outer}', 'hex'))\n    \
                 ON CONFLICT (name) DO NOTHING;\n"
        );
    }
}

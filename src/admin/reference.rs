//! `docs/console.md`, written from the list of commands.

use std::fmt::Write as _;

use super::command::{holders, lines};

const HEAD: &str = r#"# The console

Operators talk to pgusher itself by connecting to the database `pgusher` (or `pgbouncer`, where
tools made for PgBouncer look), with psql or any driver. This page is written from the list of
commands in `src/admin/command.rs` and the views in `src/admin/views` by
`cargo test --test reference`: change it there.

```toml
[console]
admin_users = ["admin"]   # may do everything
stats_users = ["stats"]   # may look
```

```sh
psql -h 127.0.0.1 -p 6432 -U admin pgusher -c 'SHOW TENANTS LIMIT 10'
```

- There is no console unless `[console]` names somebody. A database that is configured under one of
  the two names is that database; `"*"` does not stand for them once there is a console.
- Users log in as for any database. Who is in neither list is refused, and so is `admin.acme`, a name
  with a tenant in it: rights are the user's own.
- Words may be written in capitals or not. Names are taken as they are typed (`Acme` and `acme` are
  two tenants) and need quotes, single or double, only around blanks, `;`, `,`, `=` and quotes. A
  tenant's id must be one in the configured `format`.
- Any SHOW can be cut short: `SHOW CLIENTS LIMIT 10`. Without it there are at most 100,000 rows.
- Up to 100 commands can be sent at once: all are read before any is done, and the first that fails is
  the last. An error leaves the console usable.
- What drivers say by themselves is answered: the usual settings (`SET extra_float_digits = 3`, `SHOW
  transaction_isolation`), `BEGIN`, `COMMIT`, `SELECT 1`. Nothing is set by it, and there are no
  transactions: a command that was done stays done after a `ROLLBACK`.
- What PgBouncer shows is shown with the columns of PgBouncer 1.25: their names, their types, their
  order. Columns that only pgusher has stand behind them. What PgBouncer has and pgusher has not is
  there and empty, so that tools find it. Prometheus's
  [pgbouncer_exporter](https://github.com/prometheus-community/pgbouncer_exporter) reads it unchanged
  (`make drivers ARGS=console_exporter`); Debian's `prometheus-pgbouncer-exporter` 1.7 is another program,
  which asks for columns that PgBouncer gave up in 1.8 and 1.24.
- Simple and extended protocol, values in text and binary form; no parameters.
- Each command that changes something is logged with the user's name. What it changed lasts until
  pgusher ends.

| command | for | what it does |
|---|---|---|
"#;

/// The page.
pub fn markdown() -> String {
    let mut out = HEAD.to_owned();
    for line in lines() {
        let grammar = line.grammar.replace('|', "\\|");
        let (rights, text) = (holders(line.rights), line.about);
        let _ = writeln!(out, "| `{grammar}` | {rights} | {text} |");
    }
    for line in lines() {
        if line.columns.is_empty() {
            continue;
        }
        let _ = write!(out, "\n## `{}`\n\n", line.grammar);
        out += "| column | type | meaning |\n|---|---|---|\n";
        for column in line.columns {
            let (name, kind) = (column.name, column.kind.name());
            let _ = writeln!(out, "| `{name}` | {kind} | {} |", column.about);
        }
    }
    out
}

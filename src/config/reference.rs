//! Writes the reference of the configuration from its declarations in [`super::file`].

use std::fmt::Write as _;

use super::file::File;
use super::schema::{Absent, Key, Section as _, Shape};

const TOML_HEAD: &str = "\
# Every section and key of pgusher's configuration, with its default or an example.
# Written from the source by `cargo test --test reference`: change it there (src/config/file.rs).
# A line that begins with `#` and no space can be uncommented as it is.
";

const PAGE_HEAD: &str = "\
# Configuration

This page is written from the source by `cargo test --test reference`: change it there
(`src/config/file.rs`). [`config/pgusher.toml`](../config/pgusher.toml) is a file to start from,
[`config/reference.toml`](../config/reference.toml) has every key.

    pgusher check --config pgusher.toml    # says everything that is wrong with a file
    pgusher serve --config pgusher.toml

With `DATABASE_URL` set and no `--config`, pgusher listens on 127.0.0.1:6432 and passes every
database name on to that server, as the URL's user.

## Rules

- **Unknown keys are refused**, with the line and the nearest known name. All mistakes of a file are
  reported at once, and no message shows a password.
- **Durations** are a whole number and a unit: `\"50ms\"`, `\"5s\"`, `\"10m\"`, `\"1h\"`, `\"1d\"`. `0` and
  `\"off\"` switch a timeout off, everywhere. A number without a unit is refused.
- **Limits**: where 0 is allowed for a number, it means that there is no such limit, or none of the
  thing; the table says which.
- **Numbers of bytes** are a number, or one with a unit: `\"64KiB\"`, `\"10MB\"`, `\"1GiB\"`. `kB`, `MB`,
  `GB` are powers of 1000, `KiB`, `MiB`, `GiB` of 1024. (Values in `settings` are PostgreSQL's to read.)
- **Secrets** (`url`, `password`) are a string, `{ env = \"NAME\" }` or `{ file = \"path\" }`. A newline
  at the end of such a file does not count.
- **Relative paths** of files that are read start beside the configuration file; the paths of
  sockets are taken as they are.
- **Overrides**: what is given for a user goes before what is given for a database, and that before
  `[timeouts]`. `connect_timeout` in a URL counts as `server_connect_timeout` of its database, unless
  that key is given too.
- **URLs** are those of libpq, with one host. Write `@` `/` `?` `#` `%` in names and passwords as `%40`
  `%2F` `%3F` `%23` `%25`. A socket is `postgres://user@/database?host=/directory`.
  `sslmode` may be `disable`, `allow` or `prefer`, all of which mean plain text in this version;
  the modes that insist on TLS are refused.
- **What has no effect yet** is checked and warned of; what would be dangerous to believe in is
  refused. The sections say so.
";

/// A section on the page: its name in brackets and its keys.
struct Page {
    path: String,
    about: &'static str,
    keys: Vec<Key>,
}

/// All sections in the order of the file.
fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    collect("", File::keys(), &mut pages);
    pages
}

fn collect(above: &str, keys: Vec<Key>, pages: &mut Vec<Page>) {
    for key in keys {
        let path = if above.is_empty() {
            key.name.to_owned()
        } else {
            format!("{above}.{}", key.name)
        };
        let (path, keys) = match key.shape {
            Shape::Value(_) => continue,
            Shape::Section(keys) => (path, keys),
            Shape::Named(keys) => (format!("{path}.NAME"), keys),
        };
        pages.push(Page {
            path: path.clone(),
            about: key.about,
            keys: keys.clone(),
        });
        collect(&path, keys, pages);
    }
}

/// `config/reference.toml`.
pub fn toml() -> String {
    let mut out = TOML_HEAD.to_owned();
    for page in pages() {
        out.push('\n');
        comment(&mut out, page.about);
        let _ = writeln!(out, "#[{}]", page.path);
        for key in page.keys {
            let Shape::Value(kind) = key.shape else {
                continue;
            };
            out.push('\n');
            comment(&mut out, key.about);
            let value = match key.absent {
                Absent::Default(value) => {
                    comment(&mut out, &format!("Type: {kind}."));
                    value
                }
                Absent::Unset(words, example) => {
                    comment(&mut out, &format!("Type: {kind}. Default: {words}."));
                    example.to_owned()
                }
            };
            let _ = writeln!(out, "#{} = {value}", key.name);
        }
    }
    out
}

/// `docs/configuration.md`.
pub fn markdown() -> String {
    let mut out = PAGE_HEAD.to_owned();
    for page in pages() {
        let _ = write!(out, "\n## `[{}]`\n\n{}\n", page.path, one_line(page.about));
        let _ = write!(
            out,
            "\n| key | type | default | meaning |\n|---|---|---|---|\n"
        );
        for key in page.keys {
            let Shape::Value(kind) = key.shape else {
                continue;
            };
            let default = match key.absent {
                Absent::Default(value) => format!("`{value}`"),
                Absent::Unset(words, example) => format!("{words} (e.g. `{example}`)"),
            };
            let about = one_line(key.about);
            let _ = writeln!(out, "| `{}` | {kind} | {default} | {about} |", key.name);
        }
    }
    out
}

fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// Wraps `text` into comment lines.
fn comment(out: &mut String, text: &str) {
    const WIDTH: usize = 96;
    let mut line = "#".to_owned();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = "#".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
}

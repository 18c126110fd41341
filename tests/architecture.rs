//! The layers of the crate, held by reading its sources: arrows point down only, and what a
//! layer must not know it must not name. The table is [`LAYERS`]; `src/lib.rs` explains it.
//!
//! The check reads text, not syntax: comments and strings are blanked out first, and so are
//! `#[cfg(test)]` modules, which may use what they like.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The modules by layer, from the bottom. A module may name those of its own layer and below.
const LAYERS: [&[&str]; 5] = [
    &["wire", "sql"],
    &[
        "auth", "tenant", "limit", "lookup", "meter", "session", "pool", "cancel", "error", "sync",
        "config",
    ],
    &["net", "metrics"],
    &["ops", "admin"],
    &["server", "main", "lib"],
];

/// What a layer up to and including this one must not name, and why.
const FORBIDDEN: [(usize, &str, &str); 19] = [
    (1, "tokio", "decisions are made without a runtime"),
    (1, "tracing", "decisions are returned, not logged"),
    (1, "println!", "decisions are returned, not printed"),
    (1, "eprintln!", "decisions are returned, not printed"),
    (1, "Instant::now", "time is an argument"),
    (1, "SystemTime::now", "time is an argument"),
    (1, "elapsed()", "time is an argument"),
    (1, "getrandom", "randomness is an argument"),
    (1, "rand::", "randomness is an argument"),
    (1, "socket2", "sockets belong to `net`"),
    (1, "TcpStream", "sockets belong to `net`"),
    (1, "TcpListener", "sockets belong to `net`"),
    (1, "UdpSocket", "sockets belong to `net`"),
    (1, "UnixStream", "sockets belong to `net`"),
    (1, "UnixListener", "sockets belong to `net`"),
    (1, "ToSocketAddrs", "names are looked up in `net`"),
    (1, "std::thread", "threads are started above"),
    (1, "from_utf8_lossy", "bytes are forwarded as they came"),
    (0, "std::fs", "bytes and text come as arguments"),
];

/// What a module may name all the same, and why.
const ALLOWED: [(&str, &str, &str); 1] = [(
    "config",
    "std::thread::available_parallelism",
    "the default number of workers is the number of cores; nothing is started",
)];

/// What no source may hold.
const UNFINISHED: [&str; 4] = ["TODO", "FIXME", "unimplemented!", "todo!"];

/// The longest file that one sitting can read.
const MAX_LINES: usize = 600;

/// What a rule found, where.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    line: usize,
    what: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The layer of a module's first name.
fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The module that a path under `src/` belongs to: `net/relay.rs` and `net.rs` are both `net`.
fn module_of(path: &str) -> &str {
    path.split('/')
        .next()
        .unwrap_or_default()
        .trim_end_matches(".rs")
}

/// All findings of the rules that look at one file's code.
fn check(path: &str, source: &str) -> Vec<Finding> {
    let module = module_of(path);
    let Some(own) = layer(module) else {
        return vec![Finding {
            line: 1,
            what: format!("`{module}` stands in no layer"),
        }];
    };
    let code = without_tests(&without_text(source));
    let mut findings = Vec::new();
    for (at, line) in code.lines().enumerate() {
        let mut add = |what: String| findings.push(Finding { line: at + 1, what });
        let mut line = line.to_owned();
        for (_, name, _) in ALLOWED
            .iter()
            .filter(|(allowed_in, ..)| *allowed_in == module)
        {
            line = line.replace(name, "");
        }
        for (lowest, name, why) in FORBIDDEN {
            if own <= lowest && names(&line, name) {
                add(format!("`{name}` in layer {own}: {why}"));
            }
        }
        if own <= 1 && is_static(&line) {
            add(format!("a static in layer {own}: state belongs to values"));
        }
    }
    for (line, named) in crate_names(&code) {
        match layer(&named) {
            Some(other) if other > own => findings.push(Finding {
                line,
                what: format!("layer {own} (`{module}`) names layer {other} (`{named}`)"),
            }),
            _ => {}
        }
    }
    findings.extend(unfinished(source));
    let lines = source.lines().count();
    if lines > MAX_LINES {
        findings.push(Finding {
            line: lines,
            what: format!("{lines} lines, {MAX_LINES} at most"),
        });
    }
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// Marks of unfinished work, in comments too.
fn unfinished(source: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in source.lines().enumerate() {
        for mark in UNFINISHED {
            if names(line, mark) {
                findings.push(Finding {
                    line: at + 1,
                    what: format!("`{mark}`"),
                });
            }
        }
    }
    findings
}

/// Does the line hold this name, and not only as a part of a longer one?
fn names(line: &str, name: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        let open_ended = name.ends_with(|c: char| !part_of_name(c));
        !before.is_some_and(part_of_name) && (open_ended || !after.is_some_and(part_of_name))
    })
}

/// Does the line declare a static? (`&'static` is a lifetime.)
fn is_static(line: &str) -> bool {
    let mut rest = line.trim_start();
    for prefix in ["pub ", "pub(crate) ", "pub(super) "] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    rest.starts_with("static ") || rest.contains("thread_local!")
}

/// The modules that code names by `crate::name`, `pgusher::name` or in `crate::{name, …}`, with
/// their lines.
fn crate_names(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for prefix in ["crate::", "pgusher::"] {
        for (at, _) in code.match_indices(prefix) {
            let is_part = code[..at].ends_with(|c: char| c.is_alphanumeric() || "_$".contains(c));
            if is_part {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                None => found.push((line_of(code, at), first_name(rest))),
                Some(group) => {
                    let start = code.len() - group.len();
                    for offset in heads_of_group(group) {
                        let name = first_name(&group[offset..]);
                        found.push((line_of(code, start + offset), name));
                    }
                }
            }
        }
    }
    found
}

/// Where the top-level entries of `a::b, c::{d, e}, f}…` start.
fn heads_of_group(group: &str) -> Vec<usize> {
    let mut heads = Vec::new();
    let (mut depth, mut expecting) = (0_u32, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expecting = true,
            c if expecting && !c.is_whitespace() => {
                heads.push(at);
                expecting = false;
            }
            _ => {}
        }
    }
    heads
}

fn first_name(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The source with the insides of comments, strings and characters blanked, line by line.
fn without_text(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let length = text_length(rest, code.chars().next_back());
        if length == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(
                rest[..length]
                    .chars()
                    .map(|c| if c == '\n' { '\n' } else { ' ' }),
            );
            rest = &rest[length..];
        }
    }
    code
}

/// How long the comment or literal is that begins here; 0 when none does.
fn text_length(rest: &str, before: Option<char>) -> usize {
    let until = |from: usize, end: &str| {
        rest[from..]
            .find(end)
            .map_or(rest.len(), |at| from + at + end.len())
    };
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until(2, "*/");
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    if rest.starts_with('r') && !before.is_some_and(|c| c.is_alphanumeric() && c != 'b' || c == '_')
    {
        let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
        if rest[1 + hashes..].starts_with('"') {
            return until(2 + hashes, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    // A character and not a lifetime: 'x' or '\…'.
    let mut chars = rest.chars();
    if chars.next() == Some('\'') {
        let inside = chars.next();
        if inside == Some('\\') || chars.next() == Some('\'') {
            return quoted(rest, '\'');
        }
    }
    0
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The code with its `#[cfg(test)]` modules blanked; it must have no text in it any more.
fn without_tests(code: &str) -> String {
    let mut kept = code.to_owned();
    let mut from = 0;
    while let Some(at) = kept[from..].find("#[cfg(test)]").map(|at| at + from) {
        let end = item_end(&kept, at);
        let blank: String = kept[at..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        kept.replace_range(at..end, &blank);
        from = at + blank.len();
    }
    kept
}

/// Where the item that starts here ends: at its `;` or at the brace that closes its first one.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_u32;
    for (at, c) in code[from..].char_indices() {
        match c {
            ';' if depth == 0 => return from + at + 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return from + at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// All files below a directory that git would keep, as paths from the root of the repository.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if [".git", ".cache", "target", "corpus", "artifacts"]
            .iter()
            .any(|skip| name == *skip)
        {
            continue;
        }
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A file of tests: they sit beside what they test and may use what they like.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn failures(all: impl IntoIterator<Item = (String, Vec<Finding>)>) -> String {
    let mut text = String::new();
    for (path, findings) in all {
        for Finding { line, what } in findings {
            text += &format!("{path}:{line}: {what}\n");
        }
    }
    text
}

#[test]
fn arrows_point_down() {
    let src = root().join("src");
    let files = files_below(&src);
    assert!(files.len() > 5, "the sources are not where they were");
    let found = failures(files.iter().filter_map(|file| {
        let path = file.strip_prefix(&src).unwrap().to_str().unwrap();
        let source = fs::read_to_string(file).unwrap();
        let findings = if is_test_file(path) {
            unfinished(&source)
        } else {
            check(path, &source)
        };
        path.ends_with(".rs")
            .then(|| (format!("src/{path}"), findings))
    }));
    assert!(found.is_empty(), "\n{found}");
}

/// Paths of the machine on which something was written help nobody else.
#[test]
fn no_paths_of_one_machine() {
    let found = failures(files_below(root()).into_iter().filter_map(|file| {
        let source = fs::read_to_string(&file).ok()?; // what is no text has no paths
        let path = file
            .strip_prefix(root())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        Some((path, machine_paths(&source)))
    }));
    assert!(found.is_empty(), "\n{found}");
}

fn machine_paths(source: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in source.lines().enumerate() {
        for home in ["work", "root", "home"] {
            let path = format!("/{home}/");
            let starts_here = |at: usize| {
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.}~/)*".contains(c))
            };
            if line.match_indices(&path).any(|(at, _)| starts_here(at)) {
                findings.push(Finding {
                    line: at + 1,
                    what: format!("a path under {path}"),
                });
            }
        }
    }
    findings
}

/// The two commands that anybody needs.
#[test]
fn readme_shows_the_two_commands() {
    let Ok(readme) = fs::read_to_string(root().join("README.md")) else {
        return; // not written yet
    };
    for command in ["make demo", "make test"] {
        assert!(
            readme.contains(command),
            "README.md does not show `{command}`"
        );
    }
}

/// The checker on bad sources: each must be found, at its line.
mod checker {
    use super::{check, machine_paths, module_of, without_text};

    fn lines(path: &str, source: &str) -> Vec<usize> {
        check(path, source)
            .into_iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn upward_imports() {
        assert_eq!(lines("wire/frame.rs", "\nuse crate::pool::Pool;\n"), [2]);
        assert_eq!(
            lines("sql/mod.rs", "fn f(x: crate::session::Session) {}"),
            [1]
        );
        assert_eq!(
            lines(
                "pool/mod.rs",
                "use crate::{\n  wire::Frame,\n  net::{a, b},\n};"
            ),
            [3]
        );
        assert_eq!(lines("net/mod.rs", "use crate::ops::log;"), [1]);
        assert_eq!(lines("ops/mod.rs", "use crate::server;"), [1]);
        assert_eq!(
            lines("session/mod.rs", "pub use pgusher::net::Stream;"),
            [1]
        );
    }

    #[test]
    fn imports_within_and_below() {
        let fine = "use crate::{wire::{self, Frame}, pool, sql};\nuse crate::error::Error;";
        assert!(check("session/mod.rs", fine).is_empty());
        assert!(check("server.rs", "use crate::{net, ops, wire};").is_empty());
        assert!(check("main.rs", "use pgusher::server;").is_empty());
        assert!(check("pool/mod.rs", "use crate::pool::networking;").is_empty());
    }

    #[test]
    fn forbidden_names() {
        for bad in [
            "use tokio::time;",
            "let now = Instant::now();",
            "let now = std::time::SystemTime::now();",
            "tracing::info!(\"x\");",
            "getrandom::fill(&mut key);",
            "let x = rand::random();",
            "static COUNT: AtomicUsize = AtomicUsize::new(0);",
            "pub(crate) static X: u8 = 0;",
            "use std::net::TcpStream;",
            "std::thread::spawn(f);",
            "String::from_utf8_lossy(bytes)",
            "since.elapsed()",
        ] {
            for path in ["wire/frame.rs", "sync.rs", "auth/scram.rs"] {
                assert_eq!(
                    lines(path, &format!("fn f() {{\n{bad}\n}}")),
                    [2],
                    "{path}: {bad}"
                );
            }
            assert_eq!(lines("net/relay.rs", bad), [], "{bad}");
        }
        assert_eq!(lines("wire/mod.rs", "use std::fs;"), [1]);
        assert_eq!(lines("config/file.rs", "use std::fs;"), []);
        let cores = "std::thread::available_parallelism()";
        assert_eq!(lines("config/file.rs", cores), []);
        assert_eq!(lines("pool/mod.rs", cores), [1]);
    }

    #[test]
    fn harmless_look_alikes() {
        for fine in [
            "// tokio would be Instant::now here",
            "/* use crate::net;\n tokio */",
            "let s = \"tokio \\\" Instant::now\";",
            "let s = r#\"crate::net \" tokio\"#;",
            "fn f(x: &'static str, y: Instant) -> IpAddr {}",
            "use std::net::{IpAddr, SocketAddr};",
            "let tokio_like = 1; let operand = 2;",
            "let c = '\"'; let d = '\\''; let e = b'\"';",
            "#[cfg(test)]\nmod tests {\n use tokio::x;\n fn f() { if a { } Instant::now(); }\n}",
            "#[cfg(test)]\nmod tests;",
        ] {
            assert_eq!(check("wire/frame.rs", fine), [], "{fine}");
        }
        let after_tests = "#[cfg(test)]\nmod tests { fn f() {} }\nuse tokio::x;";
        assert_eq!(lines("wire/frame.rs", after_tests), [3]);
        let after_quotes = "let c = '\"';\nuse tokio::x; // \"";
        assert_eq!(lines("wire/frame.rs", after_quotes), [2]);
    }

    #[test]
    fn unfinished_long_and_unknown() {
        let mark = ["TO", "DO"].concat();
        assert_eq!(lines("net/mod.rs", &format!("\n\n// {mark}: later")), [3]);
        assert_eq!(lines("net/mod.rs", "let method = \"NOTODOX\";"), []);
        assert_eq!(lines("net/mod.rs", &"\n".repeat(600)), []);
        assert_eq!(lines("net/mod.rs", &"\n".repeat(601)), [601]);
        assert_eq!(lines("stranger/mod.rs", ""), [1]);
    }

    #[test]
    fn paths_of_a_machine() {
        let path = |home: &str| format!("see {}{home}/me/x", "/");
        assert_eq!(machine_paths(&path("home")).len(), 1);
        assert_eq!(machine_paths(&format!("\n{}", path("root")))[0].line, 2);
        assert!(machine_paths("src/home/x, https://example.org/work/x").is_empty());
    }

    #[test]
    fn helpers() {
        assert_eq!(
            (module_of("net/relay.rs"), module_of("sync.rs")),
            ("net", "sync")
        );
        assert_eq!(
            without_text("a /* b\n */ c // d\ne"),
            "a     \n    c     \ne"
        );
    }
}

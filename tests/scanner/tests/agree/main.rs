//! `pgusher::sql` and PostgreSQL must read every text that PostgreSQL accepts in the same way:
//! the same tokens, the same statements, the same kinds. Of a text that it refuses nothing runs,
//! so it is enough that nothing panics.
//!
//! Variables: `CASES` (of each property), `SQL` (a folder with `.sql` files to be judged too, such as
//! `src/test/regress/sql` of PostgreSQL's sources).

#[path = "../../../properties/sql.rs"]
mod properties;

mod kinds;

use pg_query::ParserOptions;
use pg_query::protobuf::{ScanToken, Token as Theirs};
use pgusher::sql::lexer::{Lexer, Token, TokenKind as Ours};
use pgusher::sql::{self, Dialect, Statement};
use proptest::prelude::*;
use proptest::sample::select;

/// The texts of a corpus file.
fn corpus(file: &str) -> Vec<&str> {
    file.split("\n----\n").collect()
}

const TRICKY: &str = include_str!("../../../corpus/sql/tricky.sql");

/// Compares everything; says whether PostgreSQL accepted the text as it does unless told otherwise.
fn judge(text: &str) -> bool {
    properties::sql(text.as_bytes());
    tokens(text);
    same_statements(
        text,
        ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS,
        false,
    );
    same_statements(text, ParserOptions::DEFAULT, true)
}

/// Compares statements and their kinds; says whether PostgreSQL accepted the text.
fn same_statements(text: &str, options: ParserOptions, standard_strings: bool) -> bool {
    let Ok(parsed) = pg_query::parse(text, options) else {
        return false;
    };
    let dialect = Dialect {
        standard_strings,
        ascii_safe: true,
    };
    let ours: Vec<Statement<'_>> = sql::statements(text.as_bytes(), dialect).collect();
    let theirs = &parsed.protobuf.stmts;
    assert_eq!(
        ours.len(),
        theirs.len(),
        "number of statements in {text:?}: {ours:?}"
    );
    for (ours, theirs) in ours.iter().zip(theirs) {
        let start = usize::try_from(theirs.stmt_location).unwrap();
        assert_eq!(ours.span.start, start, "beginning of {ours:?} in {text:?}");
        // They give no length to a last statement without a semicolon.
        let length = usize::try_from(theirs.stmt_len).unwrap();
        let end = match ours.terminated {
            true => start + length + 1,
            false => start + length.max(ours.span.len()),
        };
        assert_eq!(ours.span.end, end, "end of {ours:?} in {text:?}");
        let node = theirs
            .stmt
            .as_ref()
            .and_then(|node| node.node.as_ref())
            .unwrap();
        kinds::same(&ours.kind, node, text);
    }
    true
}

/// The kinds of token that must be the same byte by byte.
fn theirs(token: &ScanToken) -> Option<Vec<Ours>> {
    use Theirs::{
        Ascii36, Ascii40, Ascii41, Ascii44, Ascii46, Ascii59, Ascii92, Bconst, CComment, Fconst,
        Iconst, Ident, Param, Sconst, SqlComment, Uident, Usconst, Xconst,
    };
    let kind = Theirs::try_from(token.token).ok()?;
    Some(match kind {
        Ident => vec![Ours::Word, Ours::Quoted],
        Uident => vec![Ours::QuotedUnicode],
        Sconst => vec![Ours::Text, Ours::TextEscaped, Ours::TextDollar],
        Usconst => vec![Ours::TextUnicode],
        Bconst | Xconst => vec![Ours::Bits],
        Fconst | Iconst => vec![Ours::Number],
        Param => vec![Ours::Parameter],
        SqlComment | CComment => vec![Ours::Comment],
        Ascii40 => vec![Ours::Open],
        Ascii41 => vec![Ours::Close],
        Ascii44 => vec![Ours::Comma],
        Ascii46 => vec![Ours::Dot],
        Ascii59 => vec![Ours::Semicolon],
        // Refused by the grammar, wherever they stand.
        Ascii36 | Ascii92 => vec![Ours::Doubt],
        _ if token.keyword_kind != 0 => vec![Ours::Word],
        // Operators, `:`, `[`, `..`: cut a little differently.
        _ => return None,
    })
}

/// Everything but operators stands at the same place, as far as we claim to be certain.
fn tokens(text: &str) {
    let Ok(scanned) = pg_query::scan(text) else {
        return;
    };
    let mut lexer = Lexer::new(text.as_bytes(), Dialect::default());
    let mut ours: Vec<Token> = Vec::new();
    loop {
        let token = lexer.token_or_comment();
        match token.kind {
            Ours::End | Ours::Doubt => break,
            Ours::Operator | Ours::Mark => {}
            _ => ours.push(token),
        }
    }
    let certain = lexer.clone().token().kind == Ours::End;
    let mut ours = ours.into_iter();
    for token in &scanned.tokens {
        let place = (
            usize::try_from(token.start).unwrap(),
            usize::try_from(token.end).unwrap(),
        );
        let Some(kinds) = theirs(token) else { continue };
        match ours.next() {
            Some(token) => {
                assert_eq!((token.start, token.end), place, "{token:?} in {text:?}");
                assert!(kinds.contains(&token.kind), "{token:?} in {text:?}");
            }
            None => break,
        }
    }
    assert!(certain || ours.next().is_none());
}

#[test]
fn corpus_agrees() {
    // What is refused judges nothing.
    let refused: Vec<&str> = corpus(TRICKY)
        .into_iter()
        .filter(|text| !judge(text))
        .collect();
    assert_eq!(refused, Vec::<&str>::new());
}

/// Whatever one has at hand: see the variable `SQL`.
#[test]
fn files_agree() {
    let Ok(folder) = std::env::var("SQL") else {
        return;
    };
    let (mut texts, mut accepted) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let Ok(file) = std::fs::read_to_string(&path) else {
            continue;
        };
        for text in without_psql(&file) {
            texts += 1;
            accepted += u32::from(judge(&text));
        }
    }
    println!("{texts} texts, {accepted} accepted");
    assert!(accepted > 0);
}

/// The file cut at empty lines, and without what only psql understands; and as a whole.
fn without_psql(file: &str) -> Vec<String> {
    let lines: Vec<&str> = file
        .lines()
        .filter(|line| !line.starts_with('\\'))
        .collect();
    let whole = lines.join("\n");
    let mut texts: Vec<String> = whole.split("\n\n").map(ToOwned::to_owned).collect();
    texts.extend(whole.split_inclusive(";\n").map(ToOwned::to_owned));
    texts.push(whole);
    texts
}

/// Pieces that texts are made of: what begins, ends or hides something.
fn piece() -> impl Strategy<Value = String> {
    let fixed = select(vec![
        " ",
        "\n",
        "\t",
        "\r\n",
        "\x0b",
        ";",
        ";",
        ";",
        "(",
        ")",
        ",",
        ".",
        "..",
        "[",
        "]",
        ":",
        "::",
        ":=",
        "=",
        "'",
        "''",
        "\\",
        "\"",
        "\"\"",
        "$",
        "$$",
        "$a$",
        "$b$",
        "$1",
        "$1$",
        "--",
        "-",
        "/*",
        "*/",
        "/",
        "*",
        "+",
        "E'",
        "e'",
        "B'",
        "X'",
        "N'",
        "U&'",
        "U&\"",
        "u&",
        "UESCAPE '!'",
        "'a'",
        "'b;'",
        "E'\\''",
        "'\n'",
        "' \n '",
        "'--x\n'",
        "1",
        "1.",
        ".5",
        "1e5",
        "0x1F",
        "1_000",
        "1e",
        "0x",
        "é",
        "ü'",
        "\u{a0}",
        "\u{1F600}",
        "select ",
        "select 1",
        "select a",
        " as ",
        " end",
        " end ",
        "end;",
        "begin",
        " begin ",
        "atomic",
        " begin atomic ",
        "case when true then 1 end",
        "create function f() returns int ",
        "create rule r as on insert to t do (",
        "insert into t values (1)",
        "return 1;",
        "set a.b = ",
        "set local ",
        "a",
        "b",
        "commit",
        " and chain",
        "/* ; */",
        "/*",
        "-- ; \n",
        "@",
        "?",
        "|",
        "~",
        "<",
        ">",
        "!",
        "#",
        "%",
        "^",
        "&",
        "`",
        "{",
        "\u{1}",
    ]);
    prop_oneof![
        12 => fixed.prop_map(ToOwned::to_owned),
        1 => "[ -~]{0,5}",
        1 => "[^\0]{0,4}",
    ]
}

/// Fragments that PostgreSQL accepts in most places of a list of columns.
fn expression() -> impl Strategy<Value = String> {
    select(vec![
        "1",
        "'a'",
        "'a;b'",
        "'it''s'",
        "E'a\\';b'",
        "E'\\\\'",
        "E'a'\n'\\';'",
        "'a' -- ;'\n 'b'",
        "$$;$$",
        "$a$;$$;$a$",
        "$é$;$é$",
        "\"a;b\"",
        "\"a\"\"b\"",
        "a$$b",
        "a",
        "a.b",
        "t.end",
        "U&'d\\0061;'",
        "U&\"d\\0061;\"",
        "U&'!0061' UESCAPE '!'",
        "N'x;'",
        "B'01'",
        "X'1f'",
        "1e5",
        ".5",
        "0x1F",
        "1_000",
        "$1",
        "$1::text",
        "1 + 2",
        "1 +/*;*/ 2",
        "1 - -1",
        "1 --;\n",
        "/*;/*;*/;*/ 1",
        "(select 1)",
        "case when true then 1 else 2 end",
        "f(1, 'x;')",
        "a[1:2]",
        "a[1]",
        "array['x;', 'y']",
        "'a'::text",
        "cast('x' as text)",
        "a @> b",
        "a ->> 'x'",
        "-1",
        "@ -1",
        "a <> b",
        "a != b",
        "set_config('a.b', 'c', true)",
        "pg_advisory_lock(1)",
        "é",
        "'é;'",
        "1 end",
        "1 as end",
        "begin",
        "begin atomic",
        "1\u{0b}",
    ])
    .prop_map(ToOwned::to_owned)
}

/// A statement that PostgreSQL most likely accepts.
fn statement() -> impl Strategy<Value = String> {
    let columns = || proptest::collection::vec(expression(), 1..4).prop_map(|all| all.join(", "));
    let ready: Vec<String> = corpus(TRICKY)
        .into_iter()
        .flat_map(|text| {
            sql::statements(text.as_bytes(), Dialect::default())
                .map(|statement| {
                    text[statement.span.clone()]
                        .trim_end_matches(';')
                        .to_owned()
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let query = columns().prop_map(|columns| format!("select {columns}"));
    let queries = || {
        proptest::collection::vec(columns(), 0..3).prop_map(|all| {
            all.iter()
                .map(|columns| format!("select {columns};"))
                .collect::<String>()
        })
    };
    prop_oneof![
        4 => query,
        4 => select(ready),
        1 => queries().prop_map(|body| format!("create function f() returns int begin atomic {body} end")),
        1 => queries().prop_map(|body| format!("create rule r as on insert to t do also ({body} select 1)")),
        1 => Just(String::new()),
    ]
}

/// What may stand between two statements.
fn gap() -> impl Strategy<Value = &'static str> {
    select(vec![
        "",
        " ",
        "\n",
        "-- x;\n",
        "/* ; */",
        "/*/**/*/ ",
        "\n\t",
        "/* a='b' */",
    ])
}

fn config() -> ProptestConfig {
    let cases = std::env::var("CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(2000),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn pieces_agree(pieces in proptest::collection::vec(piece(), 0..14)) {
        judge(&pieces.concat());
    }

    #[test]
    fn statements_agree(parts in proptest::collection::vec((gap(), statement(), gap()), 0..5)) {
        let text: Vec<String> = parts
            .iter()
            .map(|(before, statement, behind)| format!("{before}{statement}\n{behind}"))
            .collect();
        judge(&text.join(";"));
    }

    /// A text of the corpus with something put in, or taken out.
    #[test]
    fn mutations_agree(
        text in select(corpus(TRICKY)),
        at in any::<prop::sample::Index>(),
        length in 0_usize..4,
        piece in piece(),
    ) {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let start = at.index(places.len());
        let end = (start + length).min(places.len() - 1);
        judge(&[&text[..places[start]], &piece, &text[places[end]..]].concat());
    }
}

/// The judge can object: to a text that is read as if strings were not standard.
#[test]
#[should_panic(expected = "number of statements")]
fn the_judge_can_object() {
    same_statements(
        r"select 'a\'; select 2; select '",
        ParserOptions::DEFAULT,
        false,
    );
    same_statements(r"select 'a\'; select 2 --'", ParserOptions::DEFAULT, false);
}

use super::*;

fn kinds(text: &str) -> Vec<Kind<'_>> {
    statements(text.as_bytes(), Dialect::default())
        .map(|statement| statement.kind)
        .collect()
}

#[test]
fn smoke() {
    assert_eq!(
        kinds("select 1; ; commit and chain;"),
        [Kind::Plain, Kind::Commit { chain: true }]
    );
}

//! What a row of the query for tenants says.

use std::sync::Arc;

use super::{Rules, Terms, Tier};

/// The column that names the tier.
const TIER: &str = "tier";

/// The column that says whether the tenant is suspended.
const SUSPENDED: &str = "suspended";

/// A tenant that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its tier.
    pub tier: Arc<Tier>,
    /// It is not to be served.
    pub suspended: bool,
}

/// Understands a row: columns with their names, `None` = NULL.
///
/// What is not understood is complained about and left out: an operator who misspells a number
/// must not lock a tenant out. A tier that does not exist is the default tier.
pub fn read<'a>(
    rules: &Rules,
    row: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    mut complain: impl FnMut(String),
) -> Found {
    let mut tier = &rules.default;
    let mut terms = Terms::default();
    let mut suspended = false;
    for (column, value) in row {
        let Some(value) = value else {
            // A name that is none is complained about, whatever its value.
            if !is_known(column) {
                complain(stray(column));
            }
            continue;
        };
        match column {
            TIER => match rules.tier(value) {
                Some(known) => tier = known,
                None => complain(format!("tier {value:?} does not exist")),
            },
            SUSPENDED => match truth(value) {
                Some(truth) => suspended = truth,
                None => complain(format!("{SUSPENDED} must be a boolean, not {value:?}")),
            },
            column if !is_known(column) => complain(stray(column)),
            column => {
                if let Err(why) = terms.set(column, value) {
                    complain(format!("{column} {why}"));
                }
            }
        }
    }
    let tier = match terms == Terms::default() {
        true => Arc::clone(tier),
        false => match tier.with(&terms) {
            Ok(own) => Arc::new(own),
            Err(why) => {
                complain(format!("min_servers {why}"));
                Arc::clone(tier)
            }
        },
    };
    Found { tier, suspended }
}

fn stray(column: &str) -> String {
    format!("the column {column:?} means nothing here and is ignored")
}

/// Whether a column can mean something.
fn is_known(column: &str) -> bool {
    // A duration, a number, and no weight beyond its range: what is a key takes it.
    matches!(column, TIER | SUSPENDED) || Terms::default().set(column, "1").is_ok()
}

/// As PostgreSQL prints booleans, alone or as text.
fn truth(value: &str) -> Option<bool> {
    match value {
        "t" | "true" => Some(true),
        "f" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Rate, Tier};

    fn rules() -> Rules {
        let gold = Tier {
            name: "gold".into(),
            transactions: Some(Rate::new(500, 500)),
            max_clients: 7,
            ..Tier::default()
        };
        Rules {
            tiers: [("gold".to_owned(), Arc::new(gold))].into(),
            ..Rules::default()
        }
    }

    /// The tier's name, its transactions, its most clients; suspended or not; the complaints.
    type Understood = (
        &'static str,
        Option<Rate>,
        usize,
        bool,
        &'static [&'static str],
    );

    #[test]
    fn rows_are_understood() {
        let rules = rules();
        let some = Some(Rate::new(500, 500));
        let own = Some(Rate::new(5, 5));
        let most = usize::MAX;
        type Row<'r> = &'r [(&'r str, Option<&'r str>)];
        let table: &[(Row<'_>, Understood)] = &[
            (&[], ("default", None, most, false, &[])),
            (&[("tier", None)], ("default", None, most, false, &[])),
            (
                &[("tier", Some("default"))],
                ("default", None, most, false, &[]),
            ),
            (&[("tier", Some("gold"))], ("gold", some, 7, false, &[])),
            (
                &[("max_clients", Some("3")), ("tier", Some("gold"))],
                ("gold", some, 3, false, &[]),
            ),
            (
                &[
                    ("tier", Some("gold")),
                    ("transactions_per_second", Some("5")),
                ],
                ("gold", own, 7, false, &[]),
            ),
            (
                &[("tier", Some("gold")), ("max_clients", None)],
                ("gold", some, 7, false, &[]),
            ),
            (
                &[("suspended", Some("t"))],
                ("default", None, most, true, &[]),
            ),
            (
                &[("suspended", Some("f"))],
                ("default", None, most, false, &[]),
            ),
            (
                &[("suspended", Some("true"))],
                ("default", None, most, true, &[]),
            ),
            (
                &[("suspended", Some("yes")), ("max_clients", Some("3"))],
                (
                    "default",
                    None,
                    3,
                    false,
                    &["suspended must be a boolean, not \"yes\""],
                ),
            ),
            (
                &[("tier", Some("Gold"))],
                (
                    "default",
                    None,
                    most,
                    false,
                    &["tier \"Gold\" does not exist"],
                ),
            ),
            (
                &[("tier", Some("gold")), ("max_clients", Some("many"))],
                (
                    "gold",
                    some,
                    7,
                    false,
                    &["max_clients must be a whole number up to 1000000, not \"many\""],
                ),
            ),
            (
                &[("tier", Some("gold")), ("name", Some("Acme")), ("id", None)],
                (
                    "gold",
                    some,
                    7,
                    false,
                    &[
                        "the column \"name\" means nothing here and is ignored",
                        "the column \"id\" means nothing here and is ignored",
                    ],
                ),
            ),
            (
                &[("max_servers", Some("2")), ("min_servers", Some("3"))],
                (
                    "default",
                    None,
                    most,
                    false,
                    &["min_servers must be at most max_servers, which is 2"],
                ),
            ),
        ];
        for (row, (name, transactions, max_clients, suspended, complaints)) in table {
            let mut said = Vec::new();
            let found = read(&rules, row.iter().copied(), |text| said.push(text));
            assert_eq!(&*found.tier.name, *name, "{row:?}");
            assert_eq!(found.tier.transactions, *transactions, "{row:?}");
            assert_eq!(found.tier.max_clients, *max_clients, "{row:?}");
            assert_eq!(found.suspended, *suspended, "{row:?}");
            assert_eq!(said, *complaints, "{row:?}");
        }
    }

    #[test]
    fn tenants_of_a_tier_share_it() {
        let rules = rules();
        let found = read(&rules, [("tier", Some("gold"))], |text| panic!("{text}"));
        assert!(Arc::ptr_eq(&found.tier, &rules.tiers["gold"]));
    }
}

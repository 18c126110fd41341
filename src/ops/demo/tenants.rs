//! The steps about tenants: each one's rows, and nobody else's, however the tenant is named.

use super::{
    client::Client,
    say,
    stage::{JOBS, ORDERS},
    tour::{Scene, code, expect},
};

/// Those who have ordered.
pub(super) const TENANTS: [&str; 3] = ["acme", "globex", "initech"];

/// What every tenant asks, and none of them asks for its own rows.
const QUESTION: &str = "SELECT item, pieces FROM orders ORDER BY item";

/// The rows that `tenant` is to see.
fn rows_of(tenant: &str) -> Vec<Vec<String>> {
    let own = ORDERS.iter().filter(|(owner, ..)| *owner == tenant);
    own.map(|(_, item, pieces)| vec![(*item).to_owned(), pieces.to_string()])
        .collect()
}

/// Rows on one line.
fn listed(rows: &[Vec<String>]) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|row| row.iter().rev().cloned().collect::<Vec<_>>().join(" "))
        .collect();
    rows.join(", ")
}

fn sees(client: &mut Client, tenant: &str) -> Result<(), String> {
    let rows = client.must(QUESTION)?;
    expect(&format!("rows of {tenant}"), &rows, &rows_of(tenant))
}

pub(super) fn three_urls(scene: &mut Scene<'_>) -> Result<String, String> {
    say(format_args!("   {QUESTION}"));
    for tenant in TENANTS {
        let url = scene.stage.url_of(tenant);
        let mut client = scene.stage.client_of(tenant)?;
        sees(&mut client, tenant)?;
        say(format_args!("   {url}\n      {}", listed(&rows_of(tenant))));
    }
    // The server's own view: they are all in one table.
    let all = scene.stage.direct()?.value("SELECT count(*) FROM orders")?;
    expect("rows in the table", &all, &ORDERS.len().to_string())?;
    Ok(format!("One table with {all} rows, three results."))
}

pub(super) fn forgotten_where(scene: &mut Scene<'_>) -> Result<String, String> {
    let mut client = scene.stage.client_of("globex")?;
    let foreign = "SELECT * FROM orders WHERE tenant_id = 'acme'";
    expect("foreign rows", &client.must(foreign)?, &Vec::new())?;
    client.must("BEGIN")?;
    let changed = client.must("UPDATE orders SET pieces = pieces + 1 RETURNING tenant_id")?;
    let own = vec![vec!["globex".to_owned()]];
    expect("whose rows were changed", &changed, &own)?;
    let deleted = client.must("DELETE FROM orders RETURNING tenant_id")?;
    expect("whose rows were deleted", &deleted, &own)?;
    client.must("COMMIT")?;
    for tenant in ["acme", "initech"] {
        sees(&mut scene.stage.client_of(tenant)?, tenant)?;
    }
    // New rows get their tenant by the column's default.
    client.must("INSERT INTO orders (item, pieces) VALUES ('weather machines', 1)")?;
    sees(&mut client, "globex")?;
    Ok(
        "UPDATE and DELETE without WHERE met the rows of globex only; \
        so did SELECT … WHERE tenant_id = 'acme', which found none."
            .to_owned(),
    )
}

pub(super) fn foreign_insert(scene: &mut Scene<'_>) -> Result<String, String> {
    let mut client = scene.stage.client_of("globex")?;
    for write in [
        "INSERT INTO orders VALUES ('acme', 'a trap', 1)",
        "UPDATE orders SET tenant_id = 'acme'",
    ] {
        expect("SQLSTATE", &code(&client.query(write)?), &"42501")?;
    }
    sees(&mut scene.stage.client_of("acme")?, "acme")?;
    Ok("INSERT and UPDATE were refused by the policy with 42501.".to_owned())
}

pub(super) fn nobody(scene: &mut Scene<'_>) -> Result<String, String> {
    let mut client = scene.stage.client("app", &[])?;
    let answer = client.query(QUESTION)?;
    expect("SQLSTATE", &code(&answer), &"28000")?;
    for way in [
        "options=-c app.tenant_id=",
        "app.TENANT",
        "SET app.tenant_id",
        "/* tenant_id=",
    ] {
        expect(
            &format!("{way} in the hint"),
            &answer.hint.contains(way),
            &true,
        )?;
    }
    say(format_args!("   The hint: {}", answer.hint));
    // Who is listed may work without one, and the policies show it nothing.
    let mut jobs = scene.stage.client(JOBS, &[])?;
    expect("rows without a tenant", &jobs.must(QUESTION)?, &Vec::new())?;
    Ok(format!(
        "Refused with 28000. The user {JOBS} has bypass = true: it is let through, and sees no rows."
    ))
}

pub(super) fn set_by_hand(scene: &mut Scene<'_>) -> Result<String, String> {
    let mut clients = Vec::new();
    for tenant in TENANTS {
        let mut client = scene.stage.client("app", &[])?;
        client.must(&format!("SET app.tenant_id = '{tenant}'"))?;
        clients.push((tenant, client));
    }
    // By turns, on whichever server connection is free.
    for _ in 0..3 {
        for (tenant, client) in &mut clients {
            sees(client, tenant)?;
        }
    }
    let mut other = scene.stage.client("app", &[])?;
    expect(
        "a client behind them",
        &code(&other.query(QUESTION)?),
        &"28000",
    )?;
    other.must("BEGIN; SET LOCAL app.tenant_id = 'acme'")?;
    sees(&mut other, "acme")?;
    other.must("COMMIT")?;
    expect("after SET LOCAL", &code(&other.query(QUESTION)?), &"28000")?;
    let (_, first) = clients.first_mut().ok_or("there is no client")?;
    first.must("RESET app.tenant_id")?;
    expect("after RESET", &code(&first.query(QUESTION)?), &"28000")?;
    Ok(
        "SET held for its own client on every server connection, and for nobody else; \
        SET LOCAL ended with its transaction, RESET ended it at once."
            .to_owned(),
    )
}

pub(super) fn comment(scene: &mut Scene<'_>) -> Result<String, String> {
    let mut client = scene.stage.client("app", &[])?;
    for tenant in TENANTS {
        let rows = client.must(&format!("{QUESTION} /* tenant_id='{tenant}' */"))?;
        expect("rows", &rows, &rows_of(tenant))?;
        let front = format!("/*route='%2Forders',tenant_id='{tenant}'*/ {QUESTION}");
        expect("rows", &client.must(&front)?, &rows_of(tenant))?;
    }
    expect("the next one", &code(&client.query(QUESTION)?), &"28000")?;
    let string = "SELECT '/* tenant_id=''acme'' */'";
    expect("in a string", &code(&client.query(string)?), &"28000")?;
    Ok(
        "One connection asked for each tenant in turn; the comment counted for its statement only, \
        and not inside a string."
            .to_owned(),
    )
}

pub(super) fn impostor(scene: &mut Scene<'_>) -> Result<String, String> {
    let mut client = scene.stage.client("app.globex", &[])?;
    for attempt in [
        "SET app.tenant_id = 'acme'",
        "RESET app.tenant_id",
        "SELECT set_config('app.tenant_id', 'acme', false)",
    ] {
        expect(attempt, &code(&client.query(attempt)?), &"42501")?;
    }
    let attempt = format!("{QUESTION} /* tenant_id='acme' */");
    expect(&attempt, &code(&client.query(&attempt)?), &"28000")?;
    sees(&mut client, "globex")?;
    let both = [("options", "-c app.tenant_id=acme")];
    let refused = scene.stage.client("app.globex", &both).map(|_| ());
    let refused = refused.is_err_and(|why| why.contains("28000"));
    expect("a URL that names two tenants is refused", &refused, &true)?;
    Ok(
        "SET, RESET and set_config were refused with 42501; a comment, and a URL that names two, \
        with 28000."
            .to_owned(),
    )
}

//! tokio-postgres and tenants. It needs no package from elsewhere, so this runs always.

use std::future::Future;

use tokio_postgres::{Client, Error, NoTls, SimpleQueryMessage, types::ToSql};

use crate::{
    Pgusher,
    support::{Database, both_versions},
    tenants_of,
};

const SUM: &str = "SELECT sum(n) FROM orders";
const TENANTS: [(&str, i64); 2] = [("acme", 6), ("globex", 30)];

fn run(checks: impl Future<Output = Result<(), Error>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(checks).unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "the driver's own task, which ends with its client"
)]
async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn sum(client: &Client) -> Result<i64, Error> {
    client.query_one(SUM, &[]).await.map(|row| row.get(0))
}

fn state<T>(outcome: Result<T, Error>) -> String {
    let error = outcome.err().unwrap();
    error.code().map_or("none", |code| code.code()).to_owned()
}

/// What works on a connection that has its tenant.
async fn work(client: &mut Client, tenant: &str, own: i64) -> Result<(), Error> {
    let prepared = client
        .prepare("SELECT sum(n) FROM orders WHERE n > $1")
        .await?;
    for _ in 0..3 {
        assert_eq!(sum(client).await?, own);
        assert_eq!(
            client.query_one(&prepared, &[&0]).await?.get::<_, i64>(0),
            own
        );
        client.batch_execute(SUM).await?;
    }
    // Polled together, queries go out without waiting for each other.
    let others = "SELECT count(*) FROM orders WHERE tenant_id <> $1";
    let zero: [&(dyn ToSql + Sync); 1] = [&0_i32];
    let named: [&(dyn ToSql + Sync); 1] = [&tenant];
    let (one, two, three) = tokio::join!(
        client.query_one(&prepared, &zero),
        client.query_one(others, &named),
        client.query_one(&prepared, &zero),
    );
    let values = [one?, two?, three?].map(|row| row.get::<_, i64>(0));
    assert_eq!(values, [own, 0, own]);
    let mut outer = client.transaction().await?;
    outer
        .execute("INSERT INTO orders (n) VALUES ($1)", &[&100])
        .await?;
    let inner = outer.transaction().await?;
    let foreign = "INSERT INTO orders VALUES ('initech', 0)";
    assert_eq!(state(inner.execute(foreign, &[]).await), "42501");
    inner.rollback().await?;
    assert_eq!(outer.query_one(SUM, &[]).await?.get::<_, i64>(0), own + 100);
    let portal = outer.bind("SELECT n FROM orders ORDER BY n", &[]).await?;
    let first = outer.query_portal(&portal, 2).await?;
    let rest = outer.query_portal(&portal, 0).await?;
    let total: i32 = first
        .iter()
        .chain(&rest)
        .map(|row| row.get::<_, i32>(0))
        .sum();
    assert_eq!(i64::from(total), own + 100);
    outer.rollback().await?;
    assert_eq!(
        state(client.query_one("SELECT 1 / $1::int", &[&0]).await),
        "22012"
    );
    assert_eq!(sum(client).await?, own);
    Ok(())
}

async fn by_url(base: &str) -> Result<(), Error> {
    for (tenant, own) in TENANTS {
        for url in [
            format!("{base}?options=-c%20app.tenant_id%3D{tenant}"),
            base.replace("//app:", &format!("//app.{tenant}:")),
        ] {
            work(&mut connect(&url).await?, tenant, own).await?;
        }
    }
    Ok(())
}

async fn by_set(base: &str) -> Result<(), Error> {
    let mut client = connect(base).await?;
    assert_eq!(state(sum(&client).await), "28000");
    for (tenant, own) in TENANTS {
        client
            .batch_execute(&format!("SET app.tenant_id = '{tenant}'"))
            .await?;
        work(&mut client, tenant, own).await?;
        let set = "SELECT set_config('app.tenant_id', $1, false)";
        client.execute(set, &[&tenant]).await?;
        work(&mut client, tenant, own).await?;
    }
    client.batch_execute("RESET app.tenant_id").await?;
    for (tenant, own) in TENANTS {
        let transaction = client.transaction().await?;
        let set = "SELECT set_config('app.tenant_id', $1, true)";
        transaction.execute(set, &[&tenant]).await?;
        assert_eq!(transaction.query_one(SUM, &[]).await?.get::<_, i64>(0), own);
        transaction.commit().await?;
    }
    assert_eq!(state(sum(&client).await), "28000");
    Ok(())
}

async fn by_comment(base: &str) -> Result<(), Error> {
    let client = connect(base).await?;
    let text = |tenant| format!("{SUM} /* tenant_id='{tenant}' */");
    for (tenant, own) in TENANTS {
        assert_eq!(
            client.query_one(&text(tenant), &[]).await?.get::<_, i64>(0),
            own
        );
        let simple = client.simple_query(&text(tenant)).await?;
        let own = own.to_string();
        assert!(simple.iter().any(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0) == Some(&*own),
            _ => false,
        }));
    }
    let (acme, globex) = (text("acme"), text("globex"));
    let (acme, globex) = tokio::join!(client.prepare(&acme), client.prepare(&globex));
    let (acme, globex) = (acme?, globex?);
    // J9: each belongs to its comment's tenant, whenever it is run.
    for _ in 0..3 {
        assert_eq!(client.query_one(&acme, &[]).await?.get::<_, i64>(0), 6);
        assert_eq!(client.query_one(&globex, &[]).await?.get::<_, i64>(0), 30);
    }
    assert_eq!(state(sum(&client).await), "28000");
    Ok(())
}

/// Two tenants with the same statement, which the server has once and plans once after five executions.
async fn shared_plans(base: &str) -> Result<(), Error> {
    let mut clients = Vec::new();
    for (tenant, own) in TENANTS {
        let client = connect(&format!("{base}?options=-c%20app.tenant_id%3D{tenant}")).await?;
        let prepared = client.prepare(SUM).await?;
        clients.push((client, prepared, own));
    }
    for _ in 0..12 {
        for (client, prepared, own) in &clients {
            let sum: i64 = client.query_one(prepared, &[]).await?.get(0);
            assert_eq!(sum, *own);
        }
    }
    Ok(())
}

fn url(pgusher: &Pgusher, database: &Database<'_>) -> String {
    pgusher.url(&database.name)
}

both_versions!(tokio_postgres_names_its_tenant_by_url, |pg| {
    let (database, pgusher) = tenants_of(pg, "");
    run(by_url(&url(&pgusher, &database)));
});

both_versions!(tokio_postgres_names_its_tenant_by_set, |pg| {
    let (database, pgusher) = tenants_of(pg, "");
    run(by_set(&url(&pgusher, &database)));
});

both_versions!(tokio_postgres_names_its_tenant_by_comment, |pg| {
    let (database, pgusher) = tenants_of(pg, "");
    run(by_comment(&url(&pgusher, &database)));
});

both_versions!(
    /// J11
    tokio_postgres_shares_plans_and_no_rows,
    |pg| {
        let (database, pgusher) = tenants_of(pg, "");
        run(shared_plans(&url(&pgusher, &database)));
    }
);

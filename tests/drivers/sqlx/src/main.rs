//! sqlx: every query is a named statement of the server, kept by its text; BEGIN is a simple query.

use std::env;

use sqlx::{Connection, Executor, PgConnection, Row, postgres::PgPoolOptions};

type Outcome = Result<(), sqlx::Error>;

const SUM: &str = "SELECT sum(n) FROM orders";
const TENANTS: [(&str, i64); 2] = [("acme", 6), ("globex", 30)];

fn base() -> String {
    env::var("DATABASE_URL").expect("DATABASE_URL is set")
}

/// The SQLSTATE of what must fail.
fn state<T>(outcome: Result<T, sqlx::Error>) -> String {
    match outcome {
        Err(sqlx::Error::Database(error)) => error.code().unwrap_or_default().into_owned(),
        Err(other) => other.to_string(),
        Ok(_) => "none".to_owned(),
    }
}

async fn sum(conn: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(SUM).fetch_one(conn).await
}

/// What works for a connection that has its tenant, in autocommit and in transactions.
async fn work(conn: &mut PgConnection, tenant: &str, own: i64) -> Outcome {
    for _ in 0..8 {
        assert_eq!(sum(conn).await?, own);
        let bound: i64 = sqlx::query_scalar("SELECT count(*) FROM orders WHERE tenant_id <> $1")
            .bind(tenant)
            .fetch_one(&mut *conn)
            .await?;
        assert_eq!(bound, 0);
        let simple = conn.fetch_one(sqlx::raw_sql(SUM)).await?;
        assert_eq!(simple.get::<i64, _>(0), own);
    }
    let mut outer = conn.begin().await?;
    sqlx::query("INSERT INTO orders (n) VALUES ($1)").bind(100).execute(&mut *outer).await?;
    let mut inner = outer.begin().await?;
    let foreign = "INSERT INTO orders VALUES ('initech', 0)";
    assert_eq!(state(inner.execute(sqlx::query(foreign)).await), "42501");
    inner.rollback().await?;
    assert_eq!(sum(&mut outer).await?, own + 100);
    outer.rollback().await?;
    let mut copy = conn.copy_in_raw("COPY copied (n) FROM STDIN").await?;
    copy.send("1\n2\n".as_bytes()).await?;
    copy.finish().await?;
    let copied = "SELECT count(*) FROM copied WHERE tenant_id = $1 AND n > 0";
    let copied: i64 = sqlx::query_scalar(copied).bind(tenant).fetch_one(&mut *conn).await?;
    assert!(copied >= 2);
    assert_eq!(state(conn.execute("SELECT 1 / 0").await), "22012");
    assert_eq!(sum(conn).await?, own);
    Ok(())
}

async fn by_url() -> Outcome {
    let base = base();
    for (tenant, own) in TENANTS {
        let user = base.replacen("app:", &format!("app.{tenant}:"), 1);
        for url in [
            format!("{base}?options[app.tenant_id]={tenant}"),
            format!("{base}?options=-c%20app.tenant_id%3D{tenant}"),
            user,
        ] {
            let mut conn = PgConnection::connect(&url).await?;
            work(&mut conn, tenant, own).await?;
            println!("url     {}", url.split_once("://").map_or("", |(_, rest)| rest));
        }
    }
    Ok(())
}

async fn by_set() -> Outcome {
    let mut conn = PgConnection::connect(&base()).await?;
    assert_eq!(state(sum(&mut conn).await), "28000");
    for (tenant, own) in TENANTS {
        conn.execute(format!("SET app.tenant_id = '{tenant}'").as_str()).await?;
        work(&mut conn, tenant, own).await?;
        let set = "SELECT set_config('app.tenant_id', $1, false)";
        sqlx::query(set).bind(tenant).execute(&mut conn).await?;
        assert_eq!(sum(&mut conn).await?, own);
    }
    conn.execute("RESET app.tenant_id").await?;
    for (tenant, own) in TENANTS {
        let mut transaction = conn.begin().await?;
        let set = "SELECT set_config('app.tenant_id', $1, true)";
        sqlx::query(set).bind(tenant).execute(&mut *transaction).await?;
        assert_eq!(sum(&mut transaction).await?, own);
        transaction.commit().await?;
    }
    assert_eq!(state(sum(&mut conn).await), "28000");
    conn.close().await
}

async fn by_comment() -> Outcome {
    let mut conn = PgConnection::connect(&base()).await?;
    for _ in 0..8 {
        for (tenant, own) in TENANTS {
            let text = format!("{SUM} /* tenant_id='{tenant}' */");
            let seen: i64 = sqlx::query_scalar(&text).fetch_one(&mut conn).await?;
            assert_eq!(seen, own);
        }
    }
    assert_eq!(state(sum(&mut conn).await), "28000");
    conn.close().await
}

async fn pools() -> Outcome {
    let mut tasks = Vec::new();
    for (tenant, own) in TENANTS {
        let url = format!("{}?options[app.tenant_id]={tenant}", base());
        let pool = PgPoolOptions::new().max_connections(10).connect(&url).await?;
        for _ in 0..10 {
            let pool = pool.clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..30 {
                    let seen: i64 = sqlx::query_scalar(SUM).fetch_one(&pool).await?;
                    assert_eq!(seen, own);
                }
                Ok::<(), sqlx::Error>(())
            }));
        }
    }
    for task in tasks {
        task.await.expect("a task ends")?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    by_url().await?;
    println!("ok      by_url");
    by_set().await?;
    println!("ok      by_set");
    by_comment().await?;
    println!("ok      by_comment");
    pools().await?;
    println!("ok      pools");
    Ok(())
}

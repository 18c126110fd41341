//! tokio-postgres over rustls.

#![expect(
    clippy::disallowed_methods,
    reason = "the driver's own tasks, which end with their clients"
)]

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, TryStreamExt as _, future::join_all};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::sync::mpsc;
use tokio_postgres::{
    AsyncMessage, Client, Config, Error,
    config::{ChannelBinding, SslMode, SslNegotiation},
    error::SqlState,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    support::{block_on, certs::Files, patience},
    tls_::Stage,
};

const CROWD: i32 = 200;

/// All of them, one after the other.
pub(crate) fn all(stage: &Stage<'_>) {
    block_on(async {
        verified_and_bound(stage).await;
        by_certificate(stage).await;
        tenant_by_server_name(stage).await;
        large_results(stage).await.unwrap();
        copy(stage).await.unwrap();
        sent_together(stage).await.unwrap();
        cancel(stage).await.unwrap();
        notifications_while_idle(stage).await.unwrap();
        crowd(stage).await;
    });
}

/// Trusts the authority; shows a certificate if it has one.
fn rustls(stage: &Stage<'_>, shown: Option<&Files>, protocols: &[&[u8]]) -> MakeRustlsConnect {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(stage.authority.ca()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        None => config.with_no_client_auth(),
        Some(files) => {
            let cert = CertificateDer::from_pem_file(&files.cert).unwrap();
            let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
            config.with_client_auth_cert(vec![cert], key).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    MakeRustlsConnect::new(config)
}

/// Everything is asked for.
fn strict(url: &str) -> Config {
    let mut config: Config = url.parse().unwrap();
    config.ssl_mode(SslMode::Require);
    config.channel_binding(ChannelBinding::Require);
    config
}

async fn log_in(config: &Config, tls: MakeRustlsConnect) -> Result<Client, Error> {
    let connecting = tokio::time::timeout(patience(), config.connect(tls));
    let (client, connection) = connecting.await.unwrap()?;
    tokio::spawn(connection);
    Ok(client)
}

async fn connect(stage: &Stage<'_>) -> Client {
    let tls = rustls(stage, None, &[]);
    log_in(&strict(&stage.url()), tls).await.unwrap()
}

async fn verified_and_bound(stage: &Stage<'_>) {
    let config = strict(&stage.url());
    assert_eq!(
        works(&log_in(&config, rustls(stage, None, &[])).await.unwrap()).await,
        42
    );
    let mut direct = config.clone();
    direct.ssl_negotiation(SslNegotiation::Direct);
    let tls = rustls(stage, None, &[b"postgresql"]);
    assert_eq!(works(&log_in(&direct, tls).await.unwrap()).await, 42);
    let mut wrong = config.clone();
    wrong.password("wrong");
    let refused = log_in(&wrong, rustls(stage, None, &[])).await.unwrap_err();
    assert_eq!(
        refused.code(),
        Some(&SqlState::INVALID_PASSWORD),
        "{refused:?}"
    );
    let mut elsewhere: Config = stage
        .url()
        .replace("localhost", "db.example.org")
        .parse()
        .unwrap();
    elsewhere
        .hostaddr([127, 0, 0, 1].into())
        .ssl_mode(SslMode::Require);
    let refused = log_in(&elsewhere, rustls(stage, None, &[]))
        .await
        .unwrap_err();
    assert!(
        format!("{refused:?}").contains("NotValidForName"),
        "{refused:?}"
    );
    let mut plain = config;
    plain
        .ssl_mode(SslMode::Disable)
        .channel_binding(ChannelBinding::Disable);
    let refused = log_in(&plain, rustls(stage, None, &[])).await.unwrap_err();
    assert!(
        format!("{refused:?}").contains("requires TLS"),
        "{refused:?}"
    );
}

async fn works(client: &Client) -> i32 {
    client
        .query_one("SELECT $1::int", &[&42])
        .await
        .unwrap()
        .get(0)
}

async fn by_certificate(stage: &Stage<'_>) {
    let mut config = strict(&stage.cert_url());
    config.channel_binding(ChannelBinding::Prefer);
    let known = rustls(stage, Some(&stage.app), &[]);
    assert_eq!(works(&log_in(&config, known).await.unwrap()).await, 42);
    let refused = log_in(&config, rustls(stage, None, &[])).await.unwrap_err();
    let words = "requires a valid client certificate";
    assert!(format!("{refused:?}").contains(words), "{refused:?}");
}

async fn tenant_by_server_name(stage: &Stage<'_>) {
    for tenant in ["acme", "globex"] {
        let name = format!("{tenant}.db.example.com");
        let mut config = strict(&stage.url().replace("localhost", &name));
        config.hostaddr([127, 0, 0, 1].into());
        let client = log_in(&config, rustls(stage, None, &[])).await.unwrap();
        let sql = "SELECT current_setting('app.tenant_id', true)";
        let found: String = client.query_one(sql, &[]).await.unwrap().get(0);
        assert_eq!(found, tenant);
    }
}

/// 20 MB, and values around what a record holds (I2).
async fn large_results(stage: &Stage<'_>) -> Result<(), Error> {
    let client = connect(stage).await;
    let sql = "SELECT i, repeat(chr(97 + i % 26), 10000) FROM generate_series(1, 2000) i";
    let rows = client.query(sql, &[]).await?;
    assert_eq!(rows.len(), 2_000);
    for (expected, row) in (1..).zip(rows) {
        let (i, text): (i32, String) = (row.get(0), row.get(1));
        assert_eq!(i, expected);
        let letter = char::from(b'a' + u8::try_from(i % 26).unwrap()).to_string();
        assert!(text == letter.repeat(10_000), "row {i} has changed");
    }
    for record in [4096, 8192, 16_384, 65_536] {
        for size in (record - 60..=record + 60).step_by(9) {
            let text: String = client
                .query_one("SELECT repeat('x', $1)", &[&size])
                .await?
                .get(0);
            assert_eq!(i32::try_from(text.len()), Ok(size));
        }
    }
    Ok(())
}

async fn copy(stage: &Stage<'_>) -> Result<(), Error> {
    let mut client = connect(stage).await;
    let transaction = client.transaction().await?;
    let table = "CREATE TEMP TABLE copied (i int, t text) ON COMMIT DROP";
    transaction.batch_execute(table).await?;
    let lines = |i: usize| format!("{i}\t{}\n", "t".repeat(i % 1_000));
    let mut sink = Box::pin(transaction.copy_in("COPY copied FROM STDIN").await?);
    let mut sent = Vec::new();
    for i in 0..20_000 {
        let line = lines(i);
        sent.extend_from_slice(line.as_bytes());
        sink.send(Bytes::from(line)).await?;
    }
    assert_eq!(sink.close().await.map(|()| sent.len())?, sent.len());
    let out = transaction.copy_out("COPY copied TO STDOUT").await?;
    let back: Vec<Bytes> = out.try_collect().await?;
    assert!(back.concat() == sent, "what came back is something else");
    transaction.rollback().await
}

async fn sent_together(stage: &Stage<'_>) -> Result<(), Error> {
    let client = connect(stage).await;
    let statement = client.prepare("SELECT $1::text").await?;
    let texts: Vec<String> = (0..300).map(|i| "q".repeat(i * 100)).collect();
    let asked = texts
        .iter()
        .map(async |text| client.query_one(&statement, &[text]).await);
    for (row, text) in join_all(asked).await.into_iter().zip(&texts) {
        assert_eq!(&row?.get::<_, String>(0), text);
    }
    Ok(())
}

async fn cancel(stage: &Stage<'_>) -> Result<(), Error> {
    let client = connect(stage).await;
    let token = client.cancel_token();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel_query(rustls(stage, None, &[])).await
    };
    let (ended, cancelled) = tokio::join!(client.batch_execute("SELECT pg_sleep(15)"), cancel);
    cancelled?;
    assert_eq!(ended.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    assert_eq!(works(&client).await, 42);
    Ok(())
}

async fn notifications_while_idle(stage: &Stage<'_>) -> Result<(), Error> {
    let speaker = connect(stage).await;
    let tls = rustls(stage, None, &[]);
    let (listener, mut connection) = strict(&stage.url()).connect(tls).await?;
    let (tell, mut heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = tell.send(notification.payload().to_owned());
            }
        }
    });
    listener.batch_execute("LISTEN news").await?;
    for i in 0..20 {
        let text = i.to_string();
        speaker
            .execute("SELECT pg_notify('news', $1)", &[&text])
            .await?;
        let come = tokio::time::timeout(patience(), heard.recv()).await;
        assert_eq!(come.unwrap(), Some(text));
    }
    Ok(())
}

async fn crowd(stage: &Stage<'_>) {
    let clients = join_all((0..CROWD).map(|_| connect(stage))).await;
    let asked = clients.iter().zip(0..CROWD).map(async |(client, who)| {
        let row = client.query_one("SELECT $1::int", &[&who]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), who);
    });
    join_all(asked).await;
}

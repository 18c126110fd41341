"""psycopg 3 over TLS: libpq, waited for (sync) or asked now and then (async, I2)."""

import asyncio
import threading

import psycopg
from checks import URL, check, later, run_all
from psycopg import pq
from tls import (
    CA,
    CERT,
    CERT_URL,
    CROWD,
    KEY,
    LARGE,
    OTHER_CA,
    OTHER_CERT,
    OTHER_KEY,
    SIZES,
    TENANT,
    check_large,
)

print(f"libpq {pq.version()}", flush=True)
TRUSTED = {"sslmode": "verify-full", "sslrootcert": CA, "autocommit": True}


def connect(**more):
    return psycopg.connect(URL, **{**TRUSTED, **more})


async def connect_async(**more):
    return await psycopg.AsyncConnection.connect(URL, **{**TRUSTED, **more})


def refused(words, **more):
    try:
        connect(**more).close()
    except psycopg.OperationalError as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"not refused: {more}")


@check
def verified():
    with connect() as conn:
        assert conn.pgconn.ssl_in_use
        assert conn.execute("SELECT 1").fetchone() == (1,)
    refused("SSL error", sslrootcert=OTHER_CA)
    refused("does not match", host="db.example.org", hostaddr="127.0.0.1")
    refused("requires TLS", sslmode="disable")


@check
def bound():
    with connect(channel_binding="require") as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    refused("password authentication failed", channel_binding="require", password="wrong")


@check
def by_certificate():
    def known(cert, key):
        return psycopg.connect(CERT_URL, **TRUSTED, sslcert=cert, sslkey=key)

    with known(CERT, KEY) as conn:
        assert conn.execute("SELECT session_user").fetchone() == ("app",)
    try:
        known(OTHER_CERT, OTHER_KEY)
        raise AssertionError("somebody else's certificate is enough")
    except psycopg.OperationalError as error:
        assert "certificate authentication failed" in str(error), error


@(check if pq.version() >= 170_000 else later("libpq knows it since 17"))
def direct():
    with connect(sslnegotiation="direct", channel_binding="require") as conn:
        assert conn.pgconn.ssl_in_use
        assert conn.execute("SELECT 1").fetchone() == (1,)


@check
def tenant_by_server_name():
    for tenant in ("acme", "globex"):
        with connect(host=f"{tenant}.db.example.com", hostaddr="127.0.0.1") as conn:
            assert conn.execute(TENANT).fetchone() == (tenant,)
    refused("globex", host="acme.db.example.com", hostaddr="127.0.0.1", user="app.globex")


@check
def large_result():
    with connect() as conn:
        check_large(conn.execute(LARGE))
        check_large(conn.execute(LARGE, binary=True))
        with conn.transaction(), conn.cursor(name="large") as cursor:
            cursor.execute(LARGE)
            check_large(cursor)


# I2
@check
async def large_result_async():
    conn = await connect_async()
    cursor = await conn.execute(LARGE)
    check_large(await cursor.fetchall())
    check_large([row async for row in conn.cursor().stream(LARGE)])
    await conn.close()


# I2
@check
async def sizes_async():
    conn = await connect_async()
    for size in SIZES:
        cursor = await conn.execute(f"SELECT repeat('x', {size})")
        assert await cursor.fetchone() == ("x" * size,)
        cursor = await conn.execute("SELECT %s::text, %s::int", ("y" * size, size))
        assert await cursor.fetchone() == ("y" * size, size)
    await conn.close()


@check
def copy():
    with connect() as conn, conn.transaction(force_rollback=True):
        conn.execute("CREATE TEMP TABLE copied (i int, t text) ON COMMIT DROP")
        with conn.cursor().copy("COPY copied FROM STDIN") as out:
            for i in range(20_000):
                out.write_row((i, "t" * (i % 1_000)))
        expected = (20_000, 20 * 499_500)
        assert conn.execute("SELECT count(*), sum(length(t)) FROM copied").fetchone() == expected
        with conn.cursor().copy("COPY copied TO STDOUT") as rows:
            lengths = [len(text) for _, text in rows.rows()]
        assert (len(lengths), sum(lengths)) == expected


@check
async def pipeline_async():
    conn = await connect_async()
    for _ in range(3):
        async with conn.pipeline():
            texts = ["x" * (i * 37) for i in range(300)]
            cursors = [await conn.execute("SELECT %s::text", (text,)) for text in texts]
        assert [await cursor.fetchone() for cursor in cursors] == [(text,) for text in texts]
    await conn.close()


@check
def cancel():
    with connect() as conn:
        # With libpq 17 and later this one is encrypted as the connection is, the other never.
        for request in (conn.cancel_safe, conn.cancel):
            timer = threading.Timer(0.3, request)
            timer.start()
            try:
                conn.execute("SELECT pg_sleep(15)")
                raise AssertionError("not cancelled")
            except psycopg.errors.QueryCanceled:
                pass
            timer.join()
            assert conn.execute("SELECT 1").fetchone() == (1,)


@check
async def notifications_while_idle():
    listener, speaker = await connect_async(), await connect_async()
    await listener.execute("LISTEN news")
    heard = []

    async def listen():
        async for notify in listener.notifies():
            heard.append(notify.payload)
            if len(heard) == 20:
                return

    async def speak():
        for i in range(20):
            await speaker.execute("SELECT pg_notify('news', %s)", (f"{i}" + "n" * i * 390,))

    await asyncio.gather(listen(), speak())
    assert heard == [f"{i}" + "n" * i * 390 for i in range(20)]
    await listener.execute("UNLISTEN *")
    await listener.close()
    await speaker.close()


@check
async def crowd():
    async def client(who):
        conn = await connect_async()
        cursor = await conn.execute("SELECT %s::int, repeat('x', 20000)", (who,))
        assert await cursor.fetchone() == (who, "x" * 20_000)
        return conn

    conns = await asyncio.gather(*(client(who) for who in range(CROWD)))
    for who, conn in enumerate(conns):
        assert await (await conn.execute("SELECT %s::int", (who,))).fetchone() == (who,)
    for conn in conns:
        await conn.close()


run_all()

"""asyncpg over TLS: Python's own, read by the event loop in pieces of any size (I2)."""

import asyncio
import socket
import ssl

import asyncpg
from checks import URL, check, run_all
from tls import CA, CERT, CERT_URL, CROWD, KEY, LARGE, OTHER_CA, SIZES, TENANT, check_large


def trusting(ca):
    return ssl.create_default_context(cafile=ca)


async def connect(url=URL, **more):
    return await asyncpg.connect(url, **{"ssl": trusting(CA), **more})


@check
async def verified():
    conn = await connect()
    assert await conn.fetchval("SELECT 1") == 1
    await conn.close()
    for wrong in ({"ssl": trusting(OTHER_CA)}, {"ssl": False}, {"password": "wrong"}):
        try:
            await connect(**wrong)
            raise AssertionError(f"not refused: {wrong}")
        except (ssl.SSLCertVerificationError, asyncpg.InvalidAuthorizationSpecificationError):
            pass


@check
async def by_certificate():
    context = trusting(CA)
    context.load_cert_chain(CERT, KEY)
    conn = await connect(CERT_URL, ssl=context)
    assert await conn.fetchval("SELECT session_user") == "app"
    await conn.close()


@check
async def direct():
    context = trusting(CA)
    context.set_alpn_protocols(["postgresql"])
    conn = await connect(ssl=context, direct_tls=True)
    assert await conn.fetchval("SELECT 1") == 1
    await conn.close()


@check
async def tenant_by_server_name():
    # Nothing else knows these names here.
    known = socket.getaddrinfo

    def here(host, *more, **named):
        ours = str(host).endswith(".db.example.com")
        return known("127.0.0.1" if ours else host, *more, **named)

    socket.getaddrinfo = here
    for tenant in ("acme", "globex"):
        conn = await connect(URL.replace("localhost", f"{tenant}.db.example.com"))
        assert await conn.fetchval(TENANT) == tenant
        await conn.close()
    socket.getaddrinfo = known


@check
async def large_result():
    conn = await connect()
    check_large(await conn.fetch(LARGE))
    for size in SIZES:
        assert await conn.fetchval("SELECT repeat('x', $1)", size) == "x" * size
    async with conn.transaction():
        check_large([row async for row in conn.cursor(LARGE, prefetch=70)])
    await conn.close()


@check
async def copy():
    conn = await connect()
    await conn.execute("DROP TABLE IF EXISTS tls_asyncpg; CREATE TABLE tls_asyncpg (i int, t text)")
    rows = [(i, "t" * (i % 1_000)) for i in range(20_000)]
    await conn.copy_records_to_table("tls_asyncpg", records=rows)
    out = bytearray()

    async def take(data):
        out.extend(data)

    await conn.copy_from_query("SELECT t FROM tls_asyncpg ORDER BY i", output=take)
    assert out.decode() == "".join(text + "\n" for _, text in rows)
    await conn.close()


@check
async def batch():
    conn = await connect()
    await conn.execute("DROP TABLE IF EXISTS tls_batch; CREATE TABLE tls_batch (i int, t text)")
    await conn.executemany("INSERT INTO tls_batch VALUES ($1, $2)", [(i, "b" * i) for i in range(3_000)])
    assert await conn.fetchval("SELECT sum(length(t)) FROM tls_batch") == 3_000 * 2_999 // 2
    await conn.close()


@check
async def cancel():
    conn = await connect()
    try:
        await conn.fetchval("SELECT pg_sleep($1)", 15, timeout=0.3)
        raise AssertionError("not cancelled")
    except asyncio.TimeoutError:
        pass
    assert await conn.fetchval("SELECT 1") == 1
    await conn.close()


@check
async def notifications_while_idle():
    listener, speaker = await connect(), await connect()
    heard = asyncio.Queue()
    await listener.add_listener("news", lambda *about: heard.put_nowait(about[3]))
    for i in range(20):
        await speaker.execute("SELECT pg_notify('news', $1)", f"{i}")
        assert await asyncio.wait_for(heard.get(), 15) == f"{i}"
    await listener.close()
    await speaker.close()


@check
async def crowd():
    conns = await asyncio.gather(*(connect() for _ in range(CROWD)))
    found = await asyncio.gather(*(conn.fetchval("SELECT $1::int", who) for who, conn in enumerate(conns)))
    assert found == list(range(CROWD))
    await asyncio.gather(*(conn.close() for conn in conns))


run_all()

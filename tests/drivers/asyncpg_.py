"""asyncpg: every query with parameters is a named statement of the server; Flush-heavy."""

import asyncio

import asyncpg
from checks import CLIENTS, ROUNDS, URL, check, run_all


@check
async def simple_and_parameterised():
    conn = await asyncpg.connect(URL)
    assert await conn.fetchval("SELECT 1") == 1
    for i in range(ROUNDS):
        assert tuple(await conn.fetchrow("SELECT $1::int * 2, $2::text", i, "v")) == (i * 2, "v")
    statement = await conn.prepare("SELECT $1::int + 1")
    for i in range(ROUNDS):
        assert await statement.fetchval(i) == i + 1
    await conn.close()


@check
async def transactions():
    conn = await asyncpg.connect(URL)
    await conn.execute("CREATE TABLE IF NOT EXISTS asyncpg_ (i int); TRUNCATE asyncpg_")
    try:
        async with conn.transaction():
            await conn.execute("INSERT INTO asyncpg_ VALUES ($1)", 1)
            raise RuntimeError
    except RuntimeError:
        pass
    async with conn.transaction():
        await conn.execute("INSERT INTO asyncpg_ VALUES ($1)", 2)
    await conn.executemany("INSERT INTO asyncpg_ VALUES ($1)", [(i,) for i in range(3, 1000)])
    assert await conn.fetchval("SELECT count(*) FROM asyncpg_") == 998
    await conn.close()


@check
async def error_and_on():
    conn = await asyncpg.connect(URL)
    for _ in range(ROUNDS):
        try:
            await conn.fetchval("SELECT 1 / $1::int", 0)
            raise AssertionError("no error")
        except asyncpg.DivisionByZeroError:
            pass
        assert await conn.fetchval("SELECT $1::int", 7) == 7
    await conn.close()


@check
async def schema_change():
    conn = await asyncpg.connect(URL)
    await conn.execute("DROP TABLE IF EXISTS changing; CREATE TABLE changing (a int)")
    await conn.execute("INSERT INTO changing VALUES (1)")
    assert tuple(await conn.fetchrow("SELECT * FROM changing")) == (1,)
    await conn.execute("ALTER TABLE changing ADD b text DEFAULT 'b'")
    assert tuple(await conn.fetchrow("SELECT * FROM changing")) == (1, "b")
    await conn.close()


@check
async def copy():
    conn = await asyncpg.connect(URL)
    await conn.execute("CREATE TABLE IF NOT EXISTS asyncpg_copy (i int, t text); TRUNCATE asyncpg_copy")
    rows = [(i, f"row {i}") for i in range(10_000)]
    await conn.copy_records_to_table("asyncpg_copy", records=rows)
    out = bytearray()

    async def take(data):
        out.extend(data)

    await conn.copy_from_query("SELECT * FROM asyncpg_copy", output=take)
    assert out.count(b"\n") == 10_000
    await conn.close()


@check
async def cursor():
    conn = await asyncpg.connect(URL)
    async with conn.transaction():
        total = 0
        async for row in conn.cursor("SELECT generate_series(1, 1000)", prefetch=50):
            total += row[0]
    assert total == 500_500
    await conn.close()


@check
async def cancel():
    conn = await asyncpg.connect(URL)
    try:
        await conn.fetchval("SELECT pg_sleep($1)", 15, timeout=0.3)
        raise AssertionError("not cancelled")
    except asyncio.TimeoutError:
        pass
    assert await conn.fetchval("SELECT 1") == 1
    await conn.close()


@check
async def many_clients():
    conns = [await asyncpg.connect(URL) for _ in range(CLIENTS)]

    async def client(who, conn):
        for i in range(ROUNDS):
            assert tuple(await conn.fetchrow("SELECT $1::int, $2::int", who, i)) == (who, i)

    await asyncio.gather(*(client(who, conn) for who, conn in enumerate(conns)))
    for conn in conns:
        await conn.close()


@check
async def pool():
    async with asyncpg.create_pool(URL, min_size=10, max_size=CLIENTS) as pool:

        async def work(i):
            async with pool.acquire() as conn, conn.transaction():
                assert await conn.fetchval("SELECT $1::int", i) == i

        await asyncio.gather(*(work(i) for i in range(CLIENTS * ROUNDS)))


run_all()

"""asyncpg and tenants: every query with parameters is a named statement, kept by its text."""

import asyncio

import asyncpg
from asyncpg.exceptions import DivisionByZeroError, InsufficientPrivilegeError, InvalidAuthorizationSpecificationError
from checks import CLIENTS, ROUNDS, URL, check, run_all
from tenants import COPIED, FOREIGN, SUM, SUMS, urls

PARAMETER = "?app.tenant_id="


async def work(conn, tenant):
    """What works on a connection that has its tenant."""
    own = SUMS[tenant]
    statement = await conn.prepare(SUM)
    for _ in range(8):
        assert await conn.fetchval(SUM) == own
        assert await statement.fetchval() == own
        assert await conn.fetchval("SELECT count(*) FROM orders WHERE tenant_id <> $1", tenant) == 0
        await conn.execute(SUM)
    for isolation in ["read_committed", "serializable"]:
        outer = conn.transaction(isolation=isolation)
        await outer.start()
        await conn.execute("INSERT INTO orders (n) VALUES ($1)", 100)
        try:
            async with conn.transaction():
                await conn.execute(FOREIGN)
            raise AssertionError("written for somebody else")
        except InsufficientPrivilegeError:
            pass
        assert await conn.fetchval(SUM) == own + 100
        assert sum([row["n"] async for row in conn.cursor("SELECT n FROM orders")]) == own + 100
        await conn.copy_records_to_table("copied", records=[(i,) for i in range(1000)], columns=["n"])
        assert tuple(await conn.fetchrow(COPIED)) == (1000, tenant, tenant)
        await outer.rollback()
    await conn.executemany("INSERT INTO orders (n) VALUES ($1)", [(0,)] * 500)
    assert await conn.fetchval("DELETE FROM orders WHERE n = 0 RETURNING tenant_id") == tenant
    try:
        await conn.fetchval("SELECT 1 / $1::int", 0)
    except DivisionByZeroError:
        pass
    assert await conn.fetchval(SUM) == own


@check
async def by_url():
    for tenant in SUMS:
        for url in urls(tenant, PARAMETER):
            conn = await asyncpg.connect(url)
            await work(conn, tenant)
            await conn.close()


@check
async def by_server_settings():
    for tenant in SUMS:
        conn = await asyncpg.connect(URL, server_settings={"app.tenant_id": tenant})
        await work(conn, tenant)
        await conn.close()


@check
async def by_set():
    conn = await asyncpg.connect(URL)
    await nobody(conn)
    for tenant in SUMS:
        await conn.execute(f"SET app.tenant_id = '{tenant}'")
        await work(conn, tenant)
        await conn.execute("SELECT set_config('app.tenant_id', $1, false)", tenant)
        await work(conn, tenant)
    await conn.execute("RESET app.tenant_id")
    for tenant, own in SUMS.items():
        async with conn.transaction():
            await conn.execute("SELECT set_config('app.tenant_id', $1, true)", tenant)
            assert await conn.fetchval(SUM) == own
    await nobody(conn)
    await conn.close()


async def nobody(conn):
    try:
        await conn.fetchval(SUM)
        raise AssertionError("somebody's rows")
    except InvalidAuthorizationSpecificationError as error:
        assert "app.tenant_id" in error.hint


@check
async def by_comment():
    conn = await asyncpg.connect(URL)
    for _ in range(8):
        for tenant, own in SUMS.items():
            for text in [f"{SUM} /* tenant_id='{tenant}' */", f"/*tenant_id='{tenant}'*/ {SUM}"]:
                assert await conn.fetchval(text) == own
                assert await conn.fetchval(text.replace("orders", "orders WHERE n > $1"), 0) == own
    await nobody(conn)
    await conn.close()


@check
async def pool_with_a_tenant_for_each_use():
    """The pool's own reset (RESET ALL and more) between two uses forgets the tenant."""
    pool = await asyncpg.create_pool(URL, min_size=2, max_size=4)

    async def use(tenant, own):
        for _ in range(ROUNDS):
            async with pool.acquire() as conn:
                await nobody(conn)
                await conn.execute("SELECT set_config('app.tenant_id', $1, false)", tenant)
                assert await conn.fetchval(SUM) == own

    await asyncio.gather(*(use(*one) for one in SUMS.items() for _ in range(4)))
    await pool.close()


@check
async def many_clients():
    conns = [
        (own, await asyncpg.connect(next(urls(tenant)))) for _ in range(CLIENTS // 2) for tenant, own in SUMS.items()
    ]

    async def client(own, conn):
        for _ in range(ROUNDS):
            assert await conn.fetchval(SUM) == own

    await asyncio.gather(*(client(*one) for one in conns))
    for _, conn in conns:
        await conn.close()


run_all()

"""The console with Python's drivers: their transactions, their types, their ways to connect."""

from decimal import Decimal

import asyncpg
import psycopg
import psycopg2
import psycopg2.extras
import sqlalchemy
from checks import URL, check, run_all


def views(rows):
    """Views that have rows whatever happens: `rows` gives those of a SHOW as dictionaries."""
    lists = {row["list"]: row["items"] for row in rows("SHOW LISTS")}
    assert lists["used_clients"] >= 1 and lists["peers"] == 0, lists
    totals = {row["name"]: row["value"] for row in rows("SHOW TOTALS")}
    assert totals["avg_wait_time"] == 0 and isinstance(totals["avg_wait_time"], Decimal), totals
    assert {"key": "active", "value": "yes"} in rows("SHOW STATE")
    visitors = [row for row in rows("SHOW CLIENTS") if row["database"] == "pgbouncer"]
    assert visitors and all(isinstance(row["port"], int) for row in visitors), visitors
    for view in ["POOLS", "STATS", "SERVERS", "SOCKETS", "DATABASES", "USERS", "PINS", "LIMITS"]:
        rows(f"SHOW {view}")


@check
def psycopg3():
    # It begins a transaction by itself.
    with psycopg.connect(URL) as conn:
        conn.execute("SUSPEND TENANT psycopg3")
        row = conn.execute("SHOW TENANT psycopg3").fetchone()
        assert row[:6] == ("tenant", "psycopg3", "default", True, 0, 0), row
        try:
            conn.execute("SHOW ME")
            raise AssertionError("no error")
        except psycopg.errors.SyntaxError:
            conn.rollback()
        with conn.transaction(), conn.transaction():
            conn.execute("RESUME TENANT psycopg3", prepare=True)
        for _ in range(10):
            row = conn.execute("SHOW TENANT psycopg3", binary=True).fetchone()
            assert row[3:5] == (False, 0), row
    with psycopg.connect(URL, row_factory=psycopg.rows.dict_row) as conn:
        for binary in [False, True]:
            views(lambda sql: conn.execute(sql, binary=binary).fetchall())
    with psycopg.connect(URL, autocommit=True) as conn, conn.pipeline():
        first, second = conn.execute("SHOW VERSION"), conn.execute("SELECT 1")
        assert first.fetchone()[0].startswith("pgusher ")
        assert second.fetchone() == (1,)


@check
def psycopg2_():
    with psycopg2.connect(URL) as conn, conn.cursor() as cursor:
        cursor.execute("SUSPEND TENANT psycopg2")
        cursor.execute("SHOW TENANT %s", ("psycopg2",))
        assert cursor.fetchone()[:4] == ("tenant", "psycopg2", "default", True)
        conn.commit()
    with conn.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        views(lambda sql: cursor.execute(sql) or list(map(dict, cursor.fetchall())))
    conn.commit()
    conn.set_session(readonly=True, autocommit=True)
    conn.set_client_encoding("UTF8")
    with conn.cursor() as cursor:
        cursor.execute("SHOW VERSION")
        assert cursor.fetchone()[0].startswith("pgusher ")
    conn.close()


@check
async def asyncpg_():
    conn = await asyncpg.connect(URL)
    await conn.execute("SUSPEND TENANT asyncpg")
    # It reads binary values.
    row = await conn.fetchrow("SHOW TENANT asyncpg")
    assert (row["name"], row["suspended"], row["clients"], row["burst"]) == ("asyncpg", True, 0, None)
    shows = [row["command"] for row in await conn.fetch("SHOW HELP")]
    shows = [show for show in shows if show.startswith("SHOW ") and "{" not in show]
    views({show: list(map(dict, await conn.fetch(show))) for show in shows}.get)
    async with conn.transaction():
        assert [row async for row in conn.cursor("SHOW HELP", prefetch=3)]
    try:
        await conn.fetch("SHOW ME")
        raise AssertionError("no error")
    except asyncpg.exceptions.PostgresSyntaxError:
        pass
    await conn.reset()
    assert await conn.fetchval("SELECT 1") == 1
    await conn.close()
    async with asyncpg.create_pool(URL, min_size=1, max_size=2) as pool:
        for _ in range(3):
            assert (await pool.fetchval("SHOW VERSION")).startswith("pgusher ")


@check
def sqlalchemy_():
    for driver in ["psycopg", "psycopg2"]:
        url = URL.replace("postgres:", f"postgresql+{driver}:")
        # It would ask the catalogue for a type otherwise.
        engine = sqlalchemy.create_engine(url, use_native_hstore=False)
        with engine.connect() as conn:
            rows = conn.exec_driver_sql("SHOW TENANTS").mappings().all()
            assert "psycopg3" in [row["name"] for row in rows]
        engine.dispose()


run_all()

"""psycopg 3: prepares on the server after five executions; has a pipeline mode and COPY."""

import threading

import psycopg
from checks import CLIENTS, ROUNDS, URL, check, run_all


def connect(**more):
    return psycopg.connect(URL, **more)


@check
def simple_and_parameterised():
    with connect(autocommit=True) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
        for i in range(ROUNDS):
            row = conn.execute("SELECT %s::int * 2, %s::text", (i, f"v{i}")).fetchone()
            assert row == (i * 2, f"v{i}")
        for i in range(ROUNDS):
            assert conn.execute("SELECT %b::int", (i,), prepare=True).fetchone() == (i,)


@check
def transactions():
    with connect() as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS psycopg3 (i int)")
        conn.execute("TRUNCATE psycopg3")
        conn.commit()
        conn.execute("INSERT INTO psycopg3 VALUES (1)")
        conn.rollback()
        with conn.transaction():
            conn.execute("INSERT INTO psycopg3 VALUES (2)")
            try:
                with conn.transaction():
                    conn.execute("INSERT INTO psycopg3 VALUES (3)")
                    raise RuntimeError
            except RuntimeError:
                pass
        conn.commit()
        assert conn.execute("SELECT i FROM psycopg3").fetchall() == [(2,)]


@check
def error_and_on():
    with connect() as conn:
        for _ in range(ROUNDS):
            try:
                conn.execute("SELECT 1 / %s", (0,))
                raise AssertionError("no error")
            except psycopg.errors.DivisionByZero:
                conn.rollback()
            assert conn.execute("SELECT 1").fetchone() == (1,)


@check
def copy():
    with connect() as conn:
        conn.execute("CREATE TEMP TABLE copied (i int, t text) ON COMMIT DROP")
        with conn.cursor().copy("COPY copied FROM STDIN") as out:
            for i in range(10_000):
                out.write_row((i, f"row {i}"))
        assert conn.execute("SELECT count(*), sum(i) FROM copied").fetchone() == (10_000, 49_995_000)
        with conn.cursor().copy("COPY copied TO STDOUT") as rows:
            assert sum(1 for _ in rows.rows()) == 10_000
        conn.rollback()


@check
def pipeline():
    with connect(autocommit=True) as conn:
        for _ in range(3):
            with conn.pipeline() as pipe:
                cursors = [conn.execute("SELECT %s::int", (i,)) for i in range(200)]
                pipe.sync()
            assert [cursor.fetchone() for cursor in cursors] == [(i,) for i in range(200)]
        try:
            with conn.pipeline():
                conn.execute("SELECT 1")
                conn.execute("SELECT 1 / 0")
                conn.execute("SELECT 2")
        except psycopg.errors.DivisionByZero:
            pass
        assert conn.execute("SELECT 3").fetchone() == (3,)


@check
def server_side_cursor():
    with connect() as conn, conn.cursor(name="rows", binary=True) as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT generate_series(1, 1000)")
        assert sum(row[0] for row in cursor) == 500_500


@check
def cancel():
    with connect(autocommit=True) as conn:
        timer = threading.Timer(0.3, conn.cancel)
        timer.start()
        try:
            conn.execute("SELECT pg_sleep(15)")
            raise AssertionError("not cancelled")
        except psycopg.errors.QueryCanceled:
            pass
        timer.join()
        assert conn.execute("SELECT 1").fetchone() == (1,)


@check
def many_clients():
    wrong = []

    def client(who):
        try:
            with connect() as conn:
                for i in range(ROUNDS):
                    row = conn.execute("SELECT %s::int, %s::int", (who, i)).fetchone()
                    assert row == (who, i), row
                    conn.commit()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=client, args=(who,)) for who in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]


@check
async def many_async_clients():
    import asyncio

    conns = [await psycopg.AsyncConnection.connect(URL, autocommit=True) for _ in range(CLIENTS)]

    async def client(who, conn):
        for i in range(ROUNDS):
            cursor = await conn.execute("SELECT %s::int, %s::int", (who, i))
            assert await cursor.fetchone() == (who, i)

    await asyncio.gather(*(client(who, conn) for who, conn in enumerate(conns)))
    for conn in conns:
        await conn.close()


run_all()

"""psycopg 3 and tenants: through the URL, through SET, through a comment."""

import threading

import psycopg
from checks import CLIENTS, ROUNDS, URL, check, run_all
from psycopg.errors import ActiveSqlTransaction, DivisionByZero, InsufficientPrivilege
from psycopg.errors import InvalidAuthorizationSpecification
from tenants import COPIED, FOREIGN, SUM, SUMS, urls


def seen(conn, **how):
    return conn.execute(SUM, **how).fetchone()[0]


def work(conn, tenant):
    """What works on a connection that has its tenant."""
    own = SUMS[tenant]
    # Prepared on the server by the driver, or by wish, or never.
    for how in [{}, {"prepare": True}, {"prepare": False}]:
        for _ in range(8):
            assert seen(conn, **how) == own
    others = "SELECT count(*) FROM orders WHERE tenant_id <> %s"
    assert conn.execute(others, (tenant,)).fetchone() == (0,)
    with conn.transaction(force_rollback=True):
        conn.execute("INSERT INTO orders (n) VALUES (%s)", (100,))
        try:
            with conn.transaction():
                conn.execute(FOREIGN)
            raise AssertionError("written for somebody else")
        except InsufficientPrivilege:
            pass
        assert seen(conn) == own + 100
    with conn.transaction(force_rollback=True):
        with conn.cursor().copy("COPY copied (n) FROM STDIN") as out:
            for i in range(1000):
                out.write_row((i,))
        assert conn.execute(COPIED).fetchone() == (1000, tenant, tenant)
        with conn.cursor().copy("COPY orders TO STDOUT") as rows:
            assert sum(int(row[1]) for row in rows.rows()) == own
    with conn.transaction(), conn.cursor(name="rows") as cursor:
        cursor.execute("SELECT n FROM orders")
        assert sum(row[0] for row in cursor) == own
    if conn.autocommit:
        pipelines(conn, own)
        # These cannot have the context in front of them; what follows at once has its own again.
        for alone in ["DO $$ BEGIN PERFORM 1; END $$", f"{SUM} /* {'long ' * 10_000} */"]:
            conn.execute(alone)
            assert seen(conn) == own
    try:
        conn.execute("SELECT 1 / 0")
    except DivisionByZero:
        conn.rollback()
    assert seen(conn) == own


def pipelines(conn, own):
    with conn.pipeline() as pipe:
        sums = [conn.execute(SUM) for _ in range(100)]
        pipe.sync()
        sums += [conn.execute(SUM, binary=True) for _ in range(100)]
    assert all(cursor.fetchone() == (own,) for cursor in sums)
    with conn.pipeline() as pipe, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        sums = [conn.execute(SUM) for _ in range(10)]
    assert all(cursor.fetchone() == (own,) for cursor in sums)
    try:
        with conn.pipeline():
            conn.execute(SUM)
            conn.execute(FOREIGN)
            conn.execute(SUM)
        raise AssertionError("written for somebody else")
    except InsufficientPrivilege:
        pass
    assert seen(conn) == own


@check
def by_url():
    for tenant in SUMS:
        for url in urls(tenant):
            for autocommit in [True, False]:
                with psycopg.connect(url, autocommit=autocommit) as conn:
                    work(conn, tenant)


@check
def by_connect_parameter():
    for tenant in SUMS:
        with psycopg.connect(URL, options=f"-c app.tenant_id={tenant}") as conn:
            work(conn, tenant)


@check
def by_set():
    with psycopg.connect(URL, autocommit=True) as conn:
        nobody(conn)
        for tenant in SUMS:
            conn.execute(f"SET app.tenant_id = '{tenant}'")
            work(conn, tenant)
        for tenant in SUMS:
            conn.execute("SELECT set_config('app.tenant_id', %s, false)", (tenant,))
            work(conn, tenant)
        conn.execute("RESET app.tenant_id")
        nobody(conn)
    with psycopg.connect(URL) as conn:
        for tenant in SUMS:
            # The driver's own BEGIN stands in front of these.
            conn.execute("SELECT set_config('app.tenant_id', %s, true)", (tenant,))
            assert seen(conn) == SUMS[tenant]
            conn.commit()
            with conn.transaction():
                conn.execute(f"SET LOCAL app.tenant_id = '{tenant}'")
                assert seen(conn) == SUMS[tenant]
        nobody(conn)


def nobody(conn):
    try:
        conn.execute(SUM)
        raise AssertionError("somebody's rows")
    except InvalidAuthorizationSpecification as error:
        assert "app.tenant_id" in error.diag.message_hint
        conn.rollback()


@check
def by_comment():
    with psycopg.connect(URL, autocommit=True) as conn:
        for how in [None, True, False]:
            for _ in range(8):
                for tenant, own in SUMS.items():
                    for text in [f"{SUM} /* tenant_id='{tenant}' */", f"/*tenant_id='{tenant}'*/ {SUM}"]:
                        assert conn.execute(text, prepare=how).fetchone() == (own,)
                        where = text.replace("orders", "orders WHERE n > %s")
                        assert conn.execute(where, (0,), prepare=how).fetchone() == (own,)
        nobody(conn)
        # What stands between two syncs is one transaction, and a transaction has one tenant.
        with conn.pipeline() as pipe:
            sums = []
            for tenant, own in SUMS.items():
                sums.append((own, conn.execute(f"{SUM} /* tenant_id='{tenant}' */")))
                pipe.sync()
        assert all(cursor.fetchone() == (own,) for own, cursor in sums)
        try:
            with conn.pipeline():
                for tenant in SUMS:
                    conn.execute(f"{SUM} /* tenant_id='{tenant}' */")
            raise AssertionError("two tenants in one transaction")
        except ActiveSqlTransaction:
            pass
        nobody(conn)


@check
def many_clients():
    wrong = []

    def client(tenant, by_set):
        try:
            url = URL if by_set else next(urls(tenant))
            with psycopg.connect(url, autocommit=True) as conn:
                if by_set:
                    conn.execute(f"SET app.tenant_id = '{tenant}'")
                for _ in range(ROUNDS):
                    assert seen(conn) == SUMS[tenant]
        except BaseException as error:
            wrong.append(error)

    clients = [(tenant, i % 2) for i in range(CLIENTS // 2) for tenant in SUMS]
    threads = [threading.Thread(target=client, args=who) for who in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]


run_all()

"""psycopg2 and tenants: simple queries only, a BEGIN in front of the first."""

import io

import psycopg2
from checks import URL, check, run_all
from psycopg2.errors import InsufficientPrivilege, InvalidAuthorizationSpecification
from tenants import COPIED, FOREIGN, SUM, SUMS, urls


def connect(url=URL, autocommit=False):
    conn = psycopg2.connect(url)
    conn.autocommit = autocommit
    return conn


def one(conn, sql, parameters=None):
    with conn.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()


def run(conn, sql):
    with conn.cursor() as cursor:
        cursor.execute(sql)


def work(conn, tenant):
    """What works on a connection that has its tenant."""
    own = (SUMS[tenant],)
    assert one(conn, SUM) == own
    assert one(conn, "SELECT count(*) FROM orders WHERE tenant_id <> %s", (tenant,)) == (0,)
    assert one(conn, f"SELECT 1; {SUM}") == own
    if conn.autocommit:
        return
    run(conn, "INSERT INTO orders (n) VALUES (100)")
    run(conn, "SAVEPOINT s")
    try:
        run(conn, FOREIGN)
        raise AssertionError("written for somebody else")
    except InsufficientPrivilege:
        run(conn, "ROLLBACK TO s")
    assert one(conn, SUM) == (SUMS[tenant] + 100,)
    conn.rollback()
    with conn.cursor() as cursor:
        lines = "".join(f"{i}\n" for i in range(1000))
        cursor.copy_expert("COPY copied (n) FROM STDIN", io.StringIO(lines))
        assert one(conn, COPIED) == (1000, tenant, tenant)
        out = io.StringIO()
        cursor.copy_expert("COPY orders TO STDOUT", out)
        assert sum(int(line.split("\t")[1]) for line in out.getvalue().splitlines()) == own[0]
    conn.rollback()
    with conn.cursor(name="rows") as cursor:
        cursor.execute("SELECT n FROM orders")
        assert sum(row[0] for row in cursor) == own[0]
    conn.rollback()
    conn.set_session(isolation_level="SERIALIZABLE")
    assert one(conn, SUM) == own
    assert one(conn, "SHOW transaction_isolation") == ("serializable",)
    conn.rollback()
    conn.set_session(isolation_level="DEFAULT")


@check
def by_url():
    for tenant in SUMS:
        for url in urls(tenant):
            for autocommit in [True, False]:
                conn = connect(url, autocommit)
                work(conn, tenant)
                conn.close()


@check
def by_set():
    conn = connect(autocommit=True)
    nobody(conn)
    for tenant in SUMS:
        run(conn, f"SET app.tenant_id = '{tenant}'")
        work(conn, tenant)
    run(conn, "RESET app.tenant_id")
    nobody(conn)
    conn.close()
    conn = connect()
    for tenant, own in SUMS.items():
        run(conn, f"SET LOCAL app.tenant_id = '{tenant}'")
        assert one(conn, SUM) == (own,)
        conn.commit()
        # Inside the driver's transaction, and committed with it: the session's from then on.
        run(conn, f"SET app.tenant_id = '{tenant}'")
        conn.commit()
        work(conn, tenant)
    conn.close()


def nobody(conn):
    try:
        one(conn, SUM)
        raise AssertionError("somebody's rows")
    except InvalidAuthorizationSpecification as error:
        assert "app.tenant_id" in error.diag.message_hint


@check
def by_comment():
    for autocommit in [True, False]:
        conn = connect(autocommit=autocommit)
        for tenant, own in SUMS.items():
            for text in [f"{SUM} /* tenant_id='{tenant}' */", f"/*tenant_id='{tenant}'*/ {SUM}"]:
                assert one(conn, text) == (own,)
                assert one(conn, text.replace("orders", "orders WHERE n > %s"), (0,)) == (own,)
            conn.rollback()
        nobody(conn)
        conn.close()


run_all()

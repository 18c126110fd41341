"""psycopg 2 and limits: each refusal is an error like any other, and the connection goes on."""

import psycopg2
from checks import check, run_all
from limits import console, tier, url_of, wait_as_told
from psycopg2.extensions import STATUS_READY


def connect(tenant, autocommit=True):
    conn = psycopg2.connect(url_of(tenant))
    conn.autocommit = autocommit
    return conn


def run(conn, sql="SELECT 1"):
    with conn.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()


def refused(conn, sqlstate):
    try:
        run(conn)
    except psycopg2.Error as error:
        assert error.pgcode == sqlstate, error
        assert error.diag.severity == "ERROR"
        assert not conn.closed
        return error.diag
    raise AssertionError("not refused")


@check
def statements():
    conn = connect("py2")
    tier("py2", "slow")
    for _ in range(2):
        assert run(conn) == (1,)
    for _ in range(5):
        diag = refused(conn, "53400")
    assert diag.message_hint.startswith("Try again in ")
    wait_as_told("py2", diag.message_detail)
    assert run(conn) == (1,)
    conn.close()


@check
def transactions():
    conn = connect("py2_blocks", autocommit=False)
    tier("py2_blocks", "slow")
    for _ in range(50):
        run(conn)
    conn.commit()
    with conn:
        run(conn)
    for _ in range(3):
        diag = refused(conn, "53400")
        conn.rollback()
        assert conn.status == STATUS_READY
    wait_as_told("py2_blocks", diag.message_detail)
    with conn:
        assert run(conn) == (1,)
    conn.close()


@check
def suspended():
    for autocommit in [True, False]:
        conn = connect("py2_off", autocommit)
        console("SUSPEND TENANT py2_off")
        for _ in range(3):
            diag = refused(conn, "42501")
            assert "until the operator resumes it" in diag.message_detail
            conn.rollback()
        console("RESUME TENANT py2_off")
        assert run(conn) == (1,)
        conn.close()


@check
def too_many_clients():
    conn = connect("py2_alone")
    tier("py2_alone", "alone")
    try:
        connect("py2_alone")
        raise AssertionError("let in")
    except psycopg2.OperationalError as error:
        assert 'FATAL:  too many connections for tenant "py2_alone"' in str(error), error
    assert run(conn) == (1,)
    conn.close()


run_all()

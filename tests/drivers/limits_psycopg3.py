"""psycopg 3 and limits: each refusal is an error like any other, and the connection goes on."""

import time

import psycopg
from checks import check, run_all
from limits import console, tier, url_of, wait_as_told
from psycopg.errors import ConfigurationLimitExceeded, InsufficientPrivilege
from psycopg.pq import TransactionStatus


def alive(conn):
    assert not conn.closed and not conn.broken
    assert conn.info.transaction_status == TransactionStatus.IDLE


def refused(function):
    try:
        function()
    except ConfigurationLimitExceeded as error:
        assert error.sqlstate == "53400"
        assert error.diag.severity == "ERROR"
        assert "starts too many transactions" in error.diag.message_primary
        assert error.diag.message_hint.startswith("Try again in ")
        return error.diag.message_detail
    raise AssertionError("not refused")


@check
def statements():
    for how in [{}, {"prepare": True}, {"prepare": False}, {"binary": True}]:
        tenant = f"py3_{len(str(how))}"
        with psycopg.connect(url_of(tenant), autocommit=True) as conn:
            pid = conn.info.backend_pid
            tier(tenant, "slow")
            for _ in range(2):
                assert conn.execute("SELECT %s::int", (7,), **how).fetchone() == (7,)
            for _ in range(5):
                detail = refused(lambda: conn.execute("SELECT %s::int", (7,), **how))
                alive(conn)
            wait_as_told(tenant, detail)
            assert conn.execute("SELECT %s::int", (8,), **how).fetchone() == (8,)
            assert conn.info.backend_pid == pid


@check
def transactions():
    tenant = "py3_blocks"
    with psycopg.connect(url_of(tenant)) as conn:
        tier(tenant, "slow")
        with conn.transaction():
            # Far more than two.
            for _ in range(50):
                conn.execute("SELECT 1")
        conn.execute("SELECT 1")
        conn.commit()
        for _ in range(3):
            # It is the driver's own BEGIN that is refused.
            detail = refused(lambda: conn.execute("SELECT 1"))
            alive(conn)
            conn.rollback()

        def block():
            with conn.transaction():
                conn.execute("SELECT 1")

        detail = refused(block)
        alive(conn)
        wait_as_told(tenant, detail)
        block()


@check
def pipelines():
    tenant = "py3_pipes"
    with psycopg.connect(url_of(tenant), autocommit=True) as conn:
        tier(tenant, "slow")
        for _ in range(2):
            conn.execute("SELECT 1")

        def one_batch():
            with conn.pipeline():
                conn.execute("SELECT 1")
                conn.execute("SELECT 2")

        refused(one_batch)
        alive(conn)
        # Each transaction of a pipeline has its own answer.
        errors = []
        with conn.pipeline() as pipe:
            cursors = []
            for nth in range(20):
                cursors.append(conn.cursor())
                cursors[-1].execute("SELECT %s::int", (nth,))
                try:
                    pipe.sync()
                except ConfigurationLimitExceeded as error:
                    errors.append(error)
        assert errors
        alive(conn)
        detail = refused(lambda: conn.execute("SELECT 1"))
        wait_as_told(tenant, detail)
        with conn.pipeline():
            one, two = conn.execute("SELECT 1"), conn.execute("SELECT 2")
        assert (one.fetchone(), two.fetchone()) == ((1,), (2,))


@check
def copies():
    tenant = "py3_copies"
    with psycopg.connect(url_of(tenant), autocommit=True) as conn:
        tier(tenant, "slow")
        for _ in range(2):
            conn.execute("SELECT 1")

        def copy():
            with conn.cursor().copy("COPY copied (n) FROM STDIN") as out:
                out.write_row((1,))

        detail = refused(copy)
        alive(conn)
        wait_as_told(tenant, detail)
        copy()


@check
def delayed():
    with psycopg.connect(url_of("py3_late"), autocommit=True) as conn:
        notices = []
        conn.add_notice_handler(lambda diag: notices.append(diag.message_detail))
        tier("py3_late", "late")
        start = time.monotonic()
        for _ in range(11):
            assert conn.execute("SELECT 1").fetchone() == (1,)
        assert time.monotonic() - start > 0.49
        assert notices and all(it.startswith("tenant=py3_late waited_ms=") for it in notices), notices


@check
def suspended():
    with psycopg.connect(url_of("py3_off"), autocommit=True) as conn:
        console("SUSPEND TENANT py3_off")
        for _ in range(3):
            try:
                conn.execute("SELECT %s::int", (7,))
                raise AssertionError("not refused")
            except InsufficientPrivilege as error:
                assert error.diag.message_primary == 'tenant "py3_off" is suspended'
                assert "until the operator resumes it" in error.diag.message_detail
            alive(conn)
        try:
            psycopg.connect(url_of("py3_off"))
            raise AssertionError("let in")
        except psycopg.OperationalError as error:
            assert 'tenant "py3_off" is suspended' in str(error)
        console("RESUME TENANT py3_off")
        assert conn.execute("SELECT %s::int", (7,)).fetchone() == (7,)


@check
def too_many_clients():
    with psycopg.connect(url_of("py3_alone"), autocommit=True) as conn:
        tier("py3_alone", "alone")
        try:
            psycopg.connect(url_of("py3_alone"))
            raise AssertionError("let in")
        except psycopg.OperationalError as error:
            assert 'FATAL:  too many connections for tenant "py3_alone"' in str(error), error
        assert conn.execute("SELECT 1").fetchone() == (1,)
    while True:
        try:
            psycopg.connect(url_of("py3_alone")).close()
            break
        except psycopg.OperationalError as error:
            assert "too many connections" in str(error)


@check
def expelled():
    conn = psycopg.connect(url_of("py3_killed"), autocommit=True)
    conn.execute("SELECT 1")
    console("KILL TENANT py3_killed")
    try:
        conn.execute("SELECT 1")
        raise AssertionError("it lives")
    except psycopg.OperationalError as error:
        assert "the operator has disconnected its tenant" in str(error), error
    assert conn.closed
    psycopg.connect(url_of("py3_killed")).close()


run_all()

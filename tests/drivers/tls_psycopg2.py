"""psycopg 2 over TLS: libpq, waited for and, when asked to, polled by the application (I2)."""

import select
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg2
from checks import URL, check, run_all
from psycopg2 import extensions
from tls import CA, CERT, CERT_URL, CROWD, KEY, LARGE, OTHER_CA, SIZES, TENANT, check_large

print(f"libpq {extensions.libpq_version()}", flush=True)
TRUSTED = {"sslmode": "verify-full", "sslrootcert": CA}


def connect(**more):
    conn = psycopg2.connect(URL, **{**TRUSTED, **more})
    conn.autocommit = True
    return conn


def value(conn, sql, *values):
    with conn.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()[0]


@check
def verified():
    conn = connect(channel_binding="require")
    assert conn.info.ssl_in_use
    assert value(conn, "SELECT 1") == 1
    conn.close()
    for wrong, words in (
        ({"sslrootcert": OTHER_CA}, "SSL error"),
        ({"sslmode": "disable"}, "requires TLS"),
        ({"password": "wrong"}, "password authentication failed"),
    ):
        try:
            connect(**wrong)
            raise AssertionError(f"not refused: {wrong}")
        except psycopg2.OperationalError as error:
            assert words in str(error), error


@check
def by_certificate():
    conn = psycopg2.connect(CERT_URL, **TRUSTED, sslcert=CERT, sslkey=KEY)
    assert value(conn, "SELECT session_user") == "app"
    conn.close()


@check
def tenant_by_server_name():
    for tenant in ("acme", "globex"):
        conn = connect(host=f"{tenant}.db.example.com", hostaddr="127.0.0.1")
        assert value(conn, TENANT) == tenant
        conn.close()


@check
def large_result():
    conn = connect()
    with conn.cursor() as cursor:
        cursor.execute(LARGE)
        check_large(cursor)
    conn.close()


def wait(conn):
    """As the documentation of psycopg 2 says; nothing here knows of TLS."""
    while True:
        state = conn.poll()
        if state == extensions.POLL_OK:
            return
        reads, writes = {
            extensions.POLL_READ: ([conn], []),
            extensions.POLL_WRITE: ([], [conn]),
        }[state]
        assert select.select(reads, writes, [], 15) != ([], [], []), "waits for what has come"


# I2
@check
def polled():
    conn = psycopg2.connect(URL, **TRUSTED, async_=True)
    wait(conn)
    cursor = conn.cursor()
    for size in SIZES:
        cursor.execute("SELECT repeat('x', %s)", (size,))
        wait(conn)
        assert cursor.fetchone() == ("x" * size,)
    cursor.execute(LARGE)
    wait(conn)
    check_large(cursor)
    conn.close()


@check
def cancel():
    conn = connect()
    timer = threading.Timer(0.3, conn.cancel)
    timer.start()
    try:
        value(conn, "SELECT pg_sleep(15)")
        raise AssertionError("not cancelled")
    except extensions.QueryCanceledError:
        pass
    timer.join()
    assert value(conn, "SELECT 1") == 1
    conn.close()


@check
def notifications_while_idle():
    listener, speaker = connect(), connect()
    with listener.cursor() as cursor:
        cursor.execute("LISTEN news")
    for i in range(20):
        value(speaker, "SELECT pg_notify('news', %s)::text", f"{i}")
        while not listener.notifies:
            assert select.select([listener], [], [], 15) != ([], [], []), "hears nothing"
            listener.poll()
        assert listener.notifies.pop().payload == f"{i}"
    listener.close()
    speaker.close()


@check
def crowd():
    def client(who):
        conn = connect()
        assert value(conn, "SELECT %s", who) == who
        return conn

    with ThreadPoolExecutor(CROWD) as threads:
        conns = list(threads.map(client, range(CROWD)))
    assert [value(conn, "SELECT %s", who) for who, conn in enumerate(conns)] == list(range(CROWD))
    for conn in conns:
        conn.close()


run_all()

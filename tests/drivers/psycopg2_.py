"""psycopg2: simple queries only, through libpq."""

import io
import threading

import psycopg2
from checks import CLIENTS, ROUNDS, URL, check, later, run_all


@check
def simple_and_parameterised():
    with psycopg2.connect(URL) as conn, conn.cursor() as cursor:
        for i in range(ROUNDS):
            cursor.execute("SELECT %s * 2, %s", (i, f"v{i}"))
            assert cursor.fetchone() == (i * 2, f"v{i}")


@check
def transactions():
    conn = psycopg2.connect(URL)
    cursor = conn.cursor()
    cursor.execute("CREATE TABLE IF NOT EXISTS psycopg2_ (i int); TRUNCATE psycopg2_")
    conn.commit()
    cursor.execute("INSERT INTO psycopg2_ VALUES (1)")
    conn.rollback()
    cursor.execute("INSERT INTO psycopg2_ VALUES (2)")
    conn.commit()
    cursor.execute("SELECT i FROM psycopg2_")
    assert cursor.fetchall() == [(2,)]
    conn.close()


@check
def isolation_level():
    conn = psycopg2.connect(URL)
    conn.set_session(isolation_level="SERIALIZABLE", readonly=True)
    cursor = conn.cursor()
    for _ in range(3):
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("serializable",)
        conn.commit()
    conn.close()


def encodes(conn):
    cursor = conn.cursor()
    for _ in range(3):
        cursor.execute("SELECT %s, length(%s)", ("caf\u00e9", "caf\u00e9"))
        assert cursor.fetchone() == ("caf\u00e9", 4)
        conn.commit()
    conn.close()


@check
def encoding():
    encodes(psycopg2.connect(URL, client_encoding="LATIN1"))


@later("a SET outside a transaction is not carried to the next one (E1)")
def encoding_changed():
    conn = psycopg2.connect(URL)
    conn.set_client_encoding("LATIN1")
    encodes(conn)


@check
def error_and_on():
    conn = psycopg2.connect(URL)
    cursor = conn.cursor()
    for _ in range(ROUNDS):
        try:
            cursor.execute("SELECT 1 / 0")
            raise AssertionError("no error")
        except psycopg2.errors.DivisionByZero:
            conn.rollback()
        cursor.execute("SELECT 1")
        conn.commit()
    conn.close()


@check
def copy():
    conn = psycopg2.connect(URL)
    cursor = conn.cursor()
    cursor.execute("CREATE TABLE IF NOT EXISTS psycopg2_copy (i int); TRUNCATE psycopg2_copy")
    cursor.copy_expert("COPY psycopg2_copy FROM STDIN", io.StringIO("".join(f"{i}\n" for i in range(10_000))))
    out = io.StringIO()
    cursor.copy_expert("COPY psycopg2_copy TO STDOUT", out)
    assert out.getvalue().count("\n") == 10_000
    conn.commit()
    conn.close()


@check
def named_cursor():
    conn = psycopg2.connect(URL)
    cursor = conn.cursor("rows")
    cursor.itersize = 100
    cursor.execute("SELECT generate_series(1, 1000)")
    assert sum(row[0] for row in cursor) == 500_500
    conn.rollback()
    conn.close()


@check
def cancel():
    conn = psycopg2.connect(URL)
    timer = threading.Timer(0.3, conn.cancel)
    timer.start()
    try:
        conn.cursor().execute("SELECT pg_sleep(15)")
        raise AssertionError("not cancelled")
    except psycopg2.errors.QueryCanceled:
        conn.rollback()
    timer.join()
    conn.cursor().execute("SELECT 1")
    conn.close()


@check
def many_clients():
    wrong = []

    def client(who):
        try:
            conn = psycopg2.connect(URL)
            cursor = conn.cursor()
            for i in range(ROUNDS):
                cursor.execute("SELECT %s, %s", (who, i))
                assert cursor.fetchone() == (who, i)
                conn.commit()
            conn.close()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=client, args=(who,)) for who in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]


run_all()

"""What PgBouncer's SHOW commands answer with, and that the console answers with the same.

Columns, in name, type and order, are PgBouncer 1.25's; what is ours stands behind them. They are
written down here, and compared with the PgBouncer that is at hand (`PGBOUNCER`, or in the path),
which may be older: then what it has must be here too, in its order.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time

import psycopg2
from checks import URL, check, run_all

TEXT, INT4, INT8, NUMERIC, BYTEA = 25, 23, 20, 1700, 17


def columns(**types):
    """`name=TYPE` for each column."""
    return list(types.items())


def texts(*names):
    return [(name, TEXT) for name in names]


def ints(*names):
    return [(name, INT4) for name in names]


def numerics(*names):
    return [(name, NUMERIC) for name in names]


COUNTS = ["server_assignment_count", "xact_count", "query_count"]
TIMES = ["xact_time", "query_time", "wait_time"]
PARSES = ["client_parse_count", "server_parse_count", "bind_count"]
SOCKET = (
    texts("type", "user", "database", "replication", "state", "addr")
    + ints("port")
    + texts("local_addr")
    + ints("local_port")
    + texts("connect_time", "request_time")
    + ints("wait", "wait_us", "close_needed")
    + texts("ptr", "link")
    + ints("remote_pid")
    + texts("tls", "application_name")
    + ints("prepared_statements", "id")
)
BUFFERS = ints("recv_pos", "pkt_pos", "pkt_remain", "send_pos", "send_remain", "pkt_avail", "send_avail")

# PgBouncer 1.25.2: src/admin.c and src/stats.c.
EXPECTED = {
    "STATS": texts("database")
    + numerics(*(f"total_{name}" for name in [*COUNTS, "received", "sent", *TIMES, *PARSES]))
    + numerics(*(f"avg_{name}" for name in [*COUNTS, "recv", "sent", *TIMES, *PARSES])),
    "STATS_TOTALS": texts("database")
    + numerics(*COUNTS, "bytes_received", "bytes_sent", *TIMES, *PARSES),
    "STATS_AVERAGES": texts("database")
    + numerics(*COUNTS, "bytes_received", "bytes_sent", *TIMES, *(f"avg_{name}" for name in PARSES)),
    "TOTALS": columns(name=TEXT, value=NUMERIC),
    "POOLS": texts("database", "user")
    + ints("cl_active", "cl_waiting", "cl_active_cancel_req", "cl_waiting_cancel_req")
    + ints("sv_active", "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used", "sv_tested")
    + ints("sv_login", "maxwait", "maxwait_us")
    + texts("pool_mode", "load_balance_hosts"),
    "PEER_POOLS": ints(
        "peer_id", "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active_cancel", "sv_login"
    ),
    "CLIENTS": SOCKET,
    "SERVERS": SOCKET,
    "SOCKETS": SOCKET + BUFFERS,
    "ACTIVE_SOCKETS": SOCKET + BUFFERS,
    "DATABASES": texts("name", "host")
    + ints("port")
    + texts("database", "force_user")
    + ints("pool_size", "min_pool_size", "reserve_pool_size", "server_lifetime")
    + texts("pool_mode", "load_balance_hosts")
    + ints("max_connections", "current_connections", "max_client_connections")
    + ints("current_client_connections", "paused", "disabled"),
    "USERS": texts("name", "pool_size", "reserve_pool_size", "pool_mode")
    + ints("max_user_connections", "current_connections")
    + ints("max_user_client_connections", "current_client_connections"),
    "LISTS": columns(list=TEXT, items=INT4),
    "PEERS": columns(peer_id=INT4, host=TEXT, port=INT4, pool_size=INT4),
    "MEM": columns(name=TEXT, size=INT4, used=INT4, free=INT4, memtotal=INT4),
    "STATE": texts("key", "value"),
    "CONFIG": texts("key", "value", "default", "changeable"),
    "DNS_HOSTS": columns(hostname=TEXT, ttl=INT8, addrs=TEXT),
    "DNS_ZONES": columns(zonename=TEXT, serial=INT8, count=INT4),
    "VERSION": texts("version"),
    "FDS": ints("fd")
    + texts("task", "user", "database", "addr")
    + columns(port=INT4, cancel=INT8, link=INT4)
    + texts("client_encoding", "std_strings", "datestyle", "timezone", "password")
    + columns(scram_client_key=BYTEA, scram_server_key=BYTEA),
}

# What the names of rows are, in order.
ROWS = {
    "LISTS": [
        *["databases", "users", "peers", "pools", "peer_pools", "free_clients", "used_clients"],
        *["login_clients", "free_servers", "used_servers"],
        *["dns_names", "dns_zones", "dns_queries", "dns_pending"],
    ],
    "STATE": ["active", "paused", "suspended"],
    "TOTALS": [
        f"{kind}_{name}"
        for kind in ["total", "avg"]
        for name in [*COUNTS, "client_bytes", "server_bytes", *TIMES]
        + ["ps_client_parse_count", "ps_server_parse_count", "ps_bind_count"]
    ],
}

# Columns that had another name, and types that were others, before 1.25.
ONCE_CALLED = {("DATABASES", "reserve_pool")}
ONCE_TYPES = {INT4: {INT4, INT8}, NUMERIC: {NUMERIC, INT8}, TEXT: {TEXT, INT4}}


def connect(url):
    conn = psycopg2.connect(url)
    conn.set_session(autocommit=True)
    return conn


def show(conn, view):
    with conn.cursor() as cursor:
        cursor.execute(f"SHOW {view}")
        return [(column.name, column.type_code) for column in cursor.description], cursor.fetchall()


class PgBouncer:
    """One of its own, on a port of its own, with nothing behind it."""

    def __enter__(self):
        program = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        if not os.path.exists(program):
            return None
        self.home = tempfile.TemporaryDirectory()
        os.chmod(self.home.name, 0o755)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = os.path.join(self.home.name, "it.ini")
        with open(config, "w") as file:
            file.write(
                "[databases]\napp = host=127.0.0.1 port=1\n[pgbouncer]\n"
                f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
                "auth_type = any\nadmin_users = nobody\n"
            )
        # It does not want to be root.
        who = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        self.process = subprocess.Popen(
            [program, "-q", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **who
        )
        url = f"postgresql://nobody@127.0.0.1:{port}/pgbouncer"
        for _ in range(1000):
            try:
                return connect(url)
            except psycopg2.OperationalError:
                assert self.process.poll() is None, "PgBouncer has ended"
                time.sleep(0.01)
        raise AssertionError("PgBouncer does not answer")

    def __exit__(self, *_):
        if hasattr(self, "process"):
            # Asked to end, a newer one would wait for its clients.
            self.process.kill()
            self.process.wait()
            self.home.cleanup()


@check
def columns_are_those_of_pgbouncer():
    conn = connect(URL)
    for view, expected in EXPECTED.items():
        ours, rows = show(conn, view)
        assert ours[: len(expected)] == expected, (view, ours)
        if names := ROWS.get(view):
            assert [row[0] for row in rows][: len(names)] == names, (view, rows)
    conn.close()


@check
def pgbouncer_itself_says_the_same():
    with PgBouncer() as theirs_conn:
        if theirs_conn is None:
            print("later   there is no PgBouncer here")
            return
        version = show(theirs_conn, "VERSION")[1][0][0]
        numbers = version.split()[1].split(".")
        release = (int(numbers[0]), int(numbers[1]))
        print(f"        {version}", flush=True)
        conn = connect(URL)
        for view in EXPECTED:
            try:
                theirs, their_rows = show(theirs_conn, view)
            except psycopg2.Error:
                # It is too old for that.
                assert release < (1, 25), view
                continue
            ours, rows = show(conn, view)
            if release == (1, 25):
                assert theirs == ours[: len(theirs)], (view, theirs)
            left = iter(ours[: len(EXPECTED[view])])
            for name, kind in theirs:
                if (view, name) in ONCE_CALLED:
                    continue
                found = next((it for it in left if it[0] == name), None)
                assert found, (view, name, "is not here, or in another place")
                assert kind in ONCE_TYPES.get(found[1], {found[1]}), (view, name, kind, found)
            if view in ROWS:
                here = [row[0] for row in rows]
                there = [row[0] for row in their_rows]
                assert [name for name in here if name in there] == there, (view, there)
        conn.close()
        theirs_conn.close()


run_all()

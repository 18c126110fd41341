"""pgbouncer_exporter, Prometheus' own, reads the console as if it were PgBouncer.

It is a program in Go, which scripts/drivers.sh installs where there is a Go (`EXPORTER`, or in the
path). Debian's prometheus-pgbouncer-exporter is another program: it asks for columns that PgBouncer
gave up in 1.8 and in 1.24, and reads none of today.
"""

import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import psycopg2
from checks import URL, check, run_all

PROGRAM = next(
    (it for it in [os.environ.get("EXPORTER"), shutil.which("pgbouncer_exporter")] if it and os.path.exists(it)),
    None,
)
USER = urllib.parse.urlsplit(URL).username


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Exporter:
    def __enter__(self):
        self.port = free_port()
        console = re.sub(r"/[^/]*$", "/pgbouncer?sslmode=disable", URL)
        command = [PROGRAM, f"--pgBouncer.connectionString={console}"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def samples(self):
        """Each sample by its name, and by the values of its labels of interest."""
        found = {}
        for line in self.page().splitlines():
            if match := re.fullmatch(r"pgbouncer_(\w+)(?:\{(.*)\})? (\S+)", line):
                name, labels, value = match.groups()
                # As older versions call it.
                name = name.replace("stats_totals_", "stats_")
                labels = dict(re.findall(r'(\w+)="([^"]*)"', labels or ""))
                if labels.get("database") not in [None, "postgres"]:
                    continue
                if "state" in labels:
                    name += "_" + labels["state"]
                assert name not in found, line
                found[name] = float(value)
        return found

    def page(self):
        for _ in range(1000):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
                    return answer.read().decode()
            except urllib.error.HTTPError as error:
                raise AssertionError(error.read().decode()) from error
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, "the exporter has ended"
                time.sleep(0.02)
        raise AssertionError("the exporter does not answer")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def expect(found, **expected):
    wrong = {name: found.get(name) for name, value in expected.items() if found.get(name) != value}
    assert not wrong, (wrong, found)


def what_it_says_is_what_happened():
    clients = [psycopg2.connect(re.sub(r"/[^/]*$", "/postgres", URL)) for _ in range(3)]
    sql = "SELECT repeat('x', 1000)"

    def work(times):
        for client in clients:
            client.set_session(autocommit=True)
            with client.cursor() as cursor:
                for _ in range(times):
                    cursor.execute(sql)

    with Exporter() as exporter:
        work(1)
        before = exporter.samples()
        work(10)
        after = exporter.samples()
    expect(after, up=1, databases=1, users=1, pools=1, login_clients=0)
    expect(after, pools_client_active_connections=3, pools_client_waiting_connections=0)
    expect(after, pools_client_maxwait_seconds=0, pools_server_login_connections=0)
    expect(after, databases_pool_size=2, databases_paused=0, databases_disabled=0)
    expect(after, config_max_client_connections=10_000, config_max_user_connections=0)
    servers = after["pools_server_active_connections"] + after["pools_server_idle_connections"]
    assert 1 <= servers <= 2, after
    expect(after, used_servers=servers, databases_current_connections=servers)
    # The newest says what clients do, too.
    if "client_connections_idle" in after:
        expect(after, client_connections_idle=3)
    grown = {name: after[name] - before[name] for name in after if name in before}
    expect(grown, stats_queries_pooled_total=30, stats_sql_transactions_pooled_total=30)
    # A Query is its text, a zero, its type and its length.
    expect(grown, stats_received_bytes_total=30 * (len(sql) + 1 + 5))
    assert 30_000 < grown["stats_sent_bytes_total"] < 36_000, grown
    for took in ["stats_queries_duration_seconds_total", "stats_server_in_transaction_seconds_total"]:
        assert 0 < grown[took] < 10, grown
    for client in clients:
        client.close()


if PROGRAM:
    check(what_it_says_is_what_happened)
else:
    print("later   there is no pgbouncer_exporter here")

run_all()

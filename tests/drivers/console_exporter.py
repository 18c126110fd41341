"""prometheus-pgbouncer-exporter, as Debian packages it, reads the console as it is."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import psycopg2
from checks import URL, check, run_all

# Where scripts/drivers.sh unpacks it.
EXPORTER = os.environ["EXPORTER"]
RUN = "from prometheus_pgbouncer_exporter.cli import main; main()"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def samples(page):
    """Each sample by its name and labels."""
    lines = [line for line in page.splitlines() if line and not line.startswith("#")]
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


class Exporter:
    def __enter__(self):
        url = urllib.parse.urlsplit(URL)
        self.port = free_port()
        command = [sys.executable, "-c", RUN, "--host=127.0.0.1", f"--port={self.port}"]
        command += [f"--pgbouncer-host={url.hostname}", f"--pgbouncer-port={url.port}"]
        command += [f"--pgbouncer-user={url.username}"]
        environment = {**os.environ, "PYTHONPATH": EXPORTER, "PGPASSWORD": url.password or ""}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        return self

    def page(self):
        for _ in range(1000):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
                    return answer.read().decode()
            except (urllib.error.URLError, ConnectionError) as error:
                if isinstance(error, urllib.error.HTTPError) or self.process.poll() is not None:
                    self.process.kill()
                    raise AssertionError(self.process.stderr.read().decode()) from error
                time.sleep(0.02)
        raise AssertionError("it does not answer")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@check
def what_it_says_is_what_happened():
    database = re.sub(r"/[^/]*$", "/postgres", URL)
    clients = [psycopg2.connect(database) for _ in range(3)]
    for client in clients:
        client.set_session(autocommit=True)
        with client.cursor() as cursor:
            cursor.execute("SELECT repeat('x', 1000)")
    with Exporter() as exporter:
        before = samples(exporter.page())
        for client in clients:
            with client.cursor() as cursor:
                for _ in range(10):
                    cursor.execute("SELECT repeat('x', 1000)")
        after = samples(exporter.page())
    user = urllib.parse.urlsplit(URL).username
    in_pool = f'{{database="postgres",user="{user}"}}'
    of_database = '{database="postgres"}'
    assert after[f"pgbouncer_active_clients{in_pool}"] == 3, after
    assert after[f"pgbouncer_waiting_clients{in_pool}"] == 0, after
    grown = {name: after[name] - before[name] for name in after if name in before}
    assert grown[f"pgbouncer_requests_total{of_database}"] == 30, grown
    # A Query with its text, and an answer with its row.
    assert grown[f"pgbouncer_received_bytes_total{of_database}"] == 30 * (5 + 25), grown
    assert 30_000 < grown[f"pgbouncer_sent_bytes_total{of_database}"] < 36_000, grown
    assert grown[f"pgbouncer_query_microseconds_total{of_database}"] > 0, grown
    assert after[f"pgbouncer_pool_size{of_database}"] == 2, after
    assert after[f"pgbouncer_reserve_pool{of_database}"] == 0, after
    for name, value in {"databases": 1, "users": 1, "pools": 1, "used_clients": 4}.items():
        assert after[f"pgbouncer_{name}"] == value, (name, after)
    assert 1 <= after["pgbouncer_used_servers"] <= 2, after
    for client in clients:
        client.close()


run_all()

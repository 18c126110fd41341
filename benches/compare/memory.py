"""What a client costs that does nothing."""

import dataclasses
import time

from .postgres import DATABASE, PASSWORD, USER
from .scram import Client

# They touch what is set up once, so that it is not counted as a client's.
WARM_CLIENTS = 50
# A pooler may tidy up a moment after the last byte.
SETTLE_SECONDS = 1.0


@dataclasses.dataclass
class Idle:
    """KiB of resident memory per idle client."""

    logged_in: float
    after_query: float
    # None where statements cannot be prepared.
    after_prepare: float | None
    # What is still held, per client, once all have left.
    left_behind: float


def measure(running, count, can_prepare):
    """Logs in `count` clients, lets each run a query and prepare a statement, lets them leave."""
    for client in _connect(running, WARM_CLIENTS, query=True):
        client.close()
    before = _resident(running)
    clients = _connect(running, count, query=False)
    try:
        logged_in = _resident(running)
        for client in clients:
            client.query("select 1")
        after_query = _resident(running)
        after_prepare = None
        if can_prepare:
            for client in clients:
                client.prepare("by_id", "select * from pgbench_accounts where aid = $1")
            after_prepare = _resident(running)
    finally:
        for client in clients:
            client.close()
    left_behind = _resident(running)
    running.check()

    def per_client(resident):
        return None if resident is None else (resident - before) / count / 1024

    return Idle(*map(per_client, (logged_in, after_query, after_prepare, left_behind)))


def _connect(running, count, query):
    clients = [Client(running.port, USER, PASSWORD, DATABASE) for _ in range(count)]
    if query:
        for client in clients:
            client.query("select 1")
    return clients


def _resident(running):
    time.sleep(SETTLE_SECONDS)
    return running.resident_bytes()

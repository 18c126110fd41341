"""Clients that ask again and again, all of them in one process beside the benchmark's own.

Each waits for its answer, thinks for a while and asks again. A latency is the time from the query's
last byte sent to the moment that the answer was there to be read. Nobody who answers slowly is
asked less often than such a client would ask: there is no schedule to fall behind.
"""

import contextlib
import gc
import heapq
import json
import os
import random
import select
import subprocess
import sys
import time

from .postgres import DATABASE, PASSWORD, SCALE, USER
from .processes import Failed
from .scram import Client

# Longest wait for answers when nobody asks any more.
DRAIN_SECONDS = 60


def percentile(ordered, share):
    """Of values in order."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


class Crowd:
    """The process, seen from the benchmark. Ends with the `with` block, whatever happens.

    Its clients log in and run `warm_up` once, all at the same time, before `ready` comes back.
    """

    def __init__(self, port, logins, query, warm_up, think=0.0, realtime=False):
        self._order = {
            "port": port, "logins": logins, "query": query, "warm_up": warm_up, "think": think,
            "realtime": realtime,
        }
        self._popen = None

    def __enter__(self):
        self._popen = subprocess.Popen(
            [sys.executable, "-B", "-m", "compare.crowd"],
            cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the parent.
            start_new_session=True,
        )
        return self

    def __exit__(self, *_):
        self._popen.kill()
        self._popen.communicate()

    def ready(self):
        """Waits until all have logged in. Says whether they have a processor when they want it."""
        self._say(self._order)
        return self._hear()["realtime"]

    def go(self, begin, end):
        """Lets them ask from one moment of the monotonic clock to another."""
        self._say({"begin": begin, "end": end})

    def answers(self):
        """Waits for the end: `asked` (when and how long, in seconds), `cpu` and `queued`."""
        return self._hear()

    def _say(self, what):
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(json.dumps(what) + "\n")
            self._popen.stdin.flush()

    def _hear(self):
        line = self._popen.stdout.readline()
        said = json.loads(line) if line else {"failed": "the clients' process has died"}
        if "failed" in said:
            raise Failed(said["failed"])
        return said


def _main():
    """The process itself: hears an order, logs in, hears the times, asks, tells."""
    try:
        order = json.loads(sys.stdin.readline())
        realtime = order["realtime"] and _prefer()
        clients = [
            Client(order["port"], USER, PASSWORD, DATABASE, login) for login in order["logins"]
        ]
        _all_at_once(clients, order["warm_up"])
        _tell({"realtime": realtime})
        line = sys.stdin.readline()
        # Nobody is there any more.
        if not line:
            return
        times = json.loads(line)
        # A collection of garbage would be measured as a slow answer.
        gc.disable()
        cpu, queued = time.process_time(), _queued_seconds()
        asked = _ask(clients, order["query"], order["think"], times["begin"], times["end"])
        cpu, queued = time.process_time() - cpu, _queued_seconds() - queued
        _tell({"asked": asked, "cpu": cpu, "queued": queued})
        # They stay, idle, until all is over: to see hundreds of clients off is work for a server.
        sys.stdin.readline()
    except (Failed, OSError) as why:
        _tell({"failed": f"clients: {why}"})


def _tell(what):
    print(json.dumps(what), flush=True)


def _prefer():
    """Who measures should not wait for a processor itself: it would be taken for a slow answer."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        return True
    except OSError:
        return False


def _queued_seconds():
    """How long this process was ready to run while others ran."""
    try:
        with open("/proc/self/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:
        return 0.0


def _all_at_once(clients, sql):
    for client in clients:
        client.send_query(sql)
    for client in clients:
        while not client.finished():
            pass


def _ask(clients, query, think, begin, end):
    """Pairs of when it was asked and how long the answer took."""
    # The same in each run; not in step with each other.
    dice = random.Random(1)
    poll, sent, asked = select.epoll(), {}, []
    by_number = {client.fileno(): client for client in clients}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    due = [(begin + think * dice.random(), number) for number in by_number]
    heapq.heapify(due)
    while due or sent:
        now = time.monotonic()
        while due and due[0][0] <= now:
            number = heapq.heappop(due)[1]
            by_number[number].send_query(query.format(aid=dice.randint(1, SCALE * 100_000)))
            sent[number] = time.monotonic()
        pause = due[0][0] - time.monotonic() if due else end + DRAIN_SECONDS - now
        if not due and pause < 0:
            raise Failed(f"{len(sent)} clients got no answer for {DRAIN_SECONDS} s")
        answered = poll.poll(max(pause, 0))
        now = time.monotonic()
        for number, _ in answered:
            if by_number[number].finished():
                asked.append((sent[number], now - sent.pop(number)))
                again = now + think * dice.uniform(0.5, 1.5)
                if again < end:
                    heapq.heappush(due, (again, number))
    return asked


if __name__ == "__main__":
    _main()

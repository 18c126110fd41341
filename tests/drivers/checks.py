"""Runs the checks of a driver one after the other and says which hold.

Each check gets the URL. Those that are coroutines are awaited. A check may take 20 seconds.
"""

import asyncio
import faulthandler
import inspect
import os
import sys
import time
import traceback

URL = os.environ["DATABASE_URL"]
CLIENTS = 20
ROUNDS = 30
_checks = []


def check(function):
    _checks.append(function)
    return function


def slow(function):
    """For a check that starts programs, which take their time where many run at once."""
    function.patience = 300
    return check(function)


def later(reason):
    """For a check of what this version does not do, which is said and not tried."""

    def skip(function):
        print(f"later   {function.__name__}: {reason}", flush=True)
        return function

    return skip


def run_all():
    failed = 0
    for function in _checks:
        start = time.monotonic()
        # A driver that waits for ever is shown where it does, and everything ends.
        faulthandler.dump_traceback_later(getattr(function, "patience", 30), exit=True)
        try:
            if inspect.iscoroutinefunction(function):
                asyncio.run(asyncio.wait_for(function(), 20))
            else:
                function()
            print(f"ok      {function.__name__} ({time.monotonic() - start:.2f} s)", flush=True)
        except BaseException:
            failed += 1
            print(f"FAILED  {function.__name__}", flush=True)
            traceback.print_exc(limit=-4)
        faulthandler.cancel_dump_traceback_later()
    sys.exit(1 if failed else 0)

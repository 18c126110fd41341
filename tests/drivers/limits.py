"""What the checks of limits share. A tenant begins in a tier without limits; on the console it is
given one that has some: slow (one transaction a second, two at once), late (20 a second, one at
once, and who comes too early waits), alone (one client).
"""

import re
import time

import psycopg
from checks import URL

CONSOLE = URL.rsplit("/", 1)[0] + "/pgusher"


def console(command):
    with psycopg.connect(CONSOLE, autocommit=True) as conn:
        conn.execute(command)


def tier(tenant, name):
    console(f"SET TENANT {tenant} tier = '{name}'")


def url_of(tenant):
    return URL.replace("//app:", f"//app.{tenant}:")


def wait_as_told(tenant, detail):
    """Reads what is meant for programs, and does as it says."""
    limit, millis = re.fullmatch(
        rf"limit=(\w+) per_second=1 burst=2 tenant={tenant} retry_after_ms=(\d+)", detail
    ).groups()
    assert limit == "transactions_per_second"
    assert 0 < int(millis) <= 60_000, detail
    time.sleep(int(millis) / 1000)

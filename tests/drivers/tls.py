"""What the checks over TLS share: an authority, certificates, and two ways in.

`URL` asks for a password; `CERT_URL` is content with a certificate. Both insist on TLS. The server's
certificate is for localhost and for *.db.example.com, where the first label says who the tenant is.
"""

import os

CA = os.environ["CA"]
OTHER_CA = os.environ["OTHER_CA"]
CERT = os.environ["CERT"]
KEY = os.environ["KEY"]
OTHER_CERT = os.environ["OTHER_CERT"]
OTHER_KEY = os.environ["OTHER_KEY"]
CERT_URL = os.environ["CERT_URL"]

# All at once.
CROWD = 200

TENANT = "SELECT current_setting('app.tenant_id', true)"

# 20 MB, in rows that do not end where records of TLS do.
ROWS = 2_000
LENGTH = 10_000
LARGE = f"SELECT i, repeat(chr(97 + i % 26), {LENGTH}) FROM generate_series(1, {ROWS}) i"


def check_large(rows):
    count = 0
    for i, text in rows:
        count += 1
        assert i == count
        assert text == chr(97 + i % 26) * LENGTH, f"row {i} has changed"
    assert count == ROWS, count


# Around what a record and the buffers of libpq hold.
SIZES = [size + more for size in (4096, 8192, 16_384, 32_768, 65_536) for more in range(-60, 61, 7)]

"""Large amounts of data: rows that are read and thrown away, rows that are sent and thrown away.

Neither is looked into: the answer ends where ReadyForQuery is the last of what has come, which the
rows, text without a zero byte, cannot look like.
"""

import struct
import time

from .postgres import DATABASE, PASSWORD, USER
from .processes import Failed
from .scram import Client, framed

MIB = 1 << 20
# Bytes of a row, with what frames it.
ROW = 1024
# A row's text in a DataRow or CopyData message, less what numbers and framing take.
_TEXT = ROW - 24
READY = b"Z\0\0\0\5I"
# libpq's clients send COPY data in pieces of about that.
_PIECE = 8192

_ROWS = f"SELECT i, repeat('x', {_TEXT}) FROM generate_series(1, {{rows}}) AS i"
OUT = {"SELECT": _ROWS, "COPY … TO": f"COPY ({_ROWS}) TO STDOUT"}
IN = "COPY … FROM"
# The server takes every row apart, and keeps none.
_COPY_IN = "COPY thrown_away FROM STDIN WHERE false"
TABLE = "CREATE TABLE thrown_away (i int, filler text)"


def connect(running):
    """A client that may wait long."""
    return Client(running.port, USER, PASSWORD, DATABASE)


def read(client, kind, mib, pause_after=None, pause=0.0):
    """Gives how many bytes came. Stops reading for a while in the middle, if it is told to."""
    client.send_query(OUT[kind].format(rows=mib * MIB // ROW))
    buffer, total, tail = bytearray(MIB), 0, b""
    view = memoryview(buffer)
    while tail != READY:
        count = client.receive_into(view)
        if not count:
            raise Failed("the connection was closed in the middle of the rows")
        if not total and buffer[0] == ord("E"):
            raise Failed(f"refused: {bytes(buffer[:count])!r}")
        total += count
        tail = (tail + buffer[max(count - len(READY), 0) : count])[-len(READY) :]
        if pause_after is not None and total >= pause_after:
            time.sleep(pause)
            pause_after = None
    return total


def write(client, mib):
    """Gives how many bytes went."""
    row = b"1\t" + b"x" * (ROW - 3) + b"\n"
    piece = framed(b"d", row * (_PIECE // ROW))
    block = piece * (MIB // _PIECE)
    client.send_query(_COPY_IN)
    kind, _ = client.receive()
    if kind != b"G":
        raise Failed(f"unexpected message {kind!r} instead of CopyInResponse")
    for _ in range(mib):
        client.send(block)
    client.send(struct.pack("!cI", b"c", 4))
    client.finish()
    return mib * len(block)

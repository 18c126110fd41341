"""A PostgreSQL client that can log in, with SCRAM-SHA-256 or MD5, and run a few kinds of queries.

pgbench cannot hold thousands of clients that do nothing, nor thousands of statements, and an extra
driver is not worth its installation.
"""

import base64
import functools
import hashlib
import hmac
import os
import socket
import struct

from .processes import Failed

SASL, SASL_CONTINUE, SASL_FINAL, MD5, OK = 10, 11, 12, 5, 0


class Client:
    """A connection that is logged in, unless `at_once` says that it will be, by `log_in`."""

    def __init__(self, port, user, password, database, settings=None, at_once=True):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._input = self._socket.makefile("rb", buffering=0)
        named = {"user": user, "database": database, **(settings or {})}
        words = [word for pair in named.items() for word in pair]
        startup = struct.pack("!I", 196608) + "\0".join([*words, "", ""]).encode()
        self._socket.sendall(struct.pack("!I", len(startup) + 4) + startup)
        self._user, self._password = user, password
        # What has come of an answer that `finished` looks for the end of.
        self._answer = b""
        if at_once:
            for _ in self.log_in():
                pass

    def query(self, sql):
        """Runs a statement; gives the first value of its last row, if it has one."""
        self._send(b"Q", sql.encode() + b"\0")
        return self._until_ready()

    def fileno(self):
        """For those who wait for the answers of many."""
        return self._socket.fileno()

    def send_query(self, sql):
        """Asks, and does not wait."""
        self._send(b"Q", sql.encode() + b"\0")

    def finished(self):
        """Reads what has come, once; says whether that was the end of the answer."""
        some = self._socket.recv(65536)
        if not some:
            raise Failed("the connection was closed")
        answer, start = self._answer + some, 0
        while len(answer) >= start + 5:
            kind, length = struct.unpack_from("!cI", answer, start)
            end = start + 1 + length
            if len(answer) < end:
                break
            if kind == b"E":
                raise Failed(f"refused: {answer[start + 5 : end].decode(errors='replace')}")
            if kind == b"Z":
                self._answer = b""
                return True
            start = end
        self._answer = answer[start:]
        return False

    def prepare(self, name, sql):
        """Prepares a statement and keeps it."""
        parse = name.encode() + b"\0" + sql.encode() + b"\0\0\0"
        self._socket.sendall(framed(b"P", parse) + framed(b"S", b""))
        self._until_ready()

    def send_execute(self, name, value):
        """Asks for the rows of a prepared statement with one parameter, as text."""
        parameter = struct.pack("!HHI", 0, 1, len(value)) + value.encode() + b"\0\0"
        bind = b"\0" + name.encode() + b"\0" + parameter
        messages = ((b"B", bind), (b"E", b"\0\0\0\0\0"), (b"S", b""))
        self._socket.sendall(b"".join(framed(kind, body) for kind, body in messages))

    def finish(self):
        """Waits for the end of an answer and throws it away."""
        self._until_ready()

    def send(self, messages):
        """Sends messages that somebody else has put together."""
        self._socket.sendall(messages)

    def receive_into(self, buffer):
        """Reads what has come, whatever it is; gives how many bytes."""
        return self._socket.recv_into(buffer)

    def close(self):
        """Says goodbye."""
        try:
            self._send(b"X", b"")
        except OSError:
            pass
        self._input.close()
        self._socket.close()

    def log_in(self):
        """Step by step: each waits for what the server says, and answers."""
        nonce = base64.b64encode(os.urandom(18)).decode()
        first = f"n=,r={nonce}"
        request = None
        while request != OK:
            kind, body = self.receive()
            if kind != b"R":
                raise Failed(f"unexpected message {kind!r} during login")
            (request,) = struct.unpack("!I", body[:4])
            if request == SASL:
                initial = f"n,,{first}".encode()
                header = b"SCRAM-SHA-256\0" + struct.pack("!I", len(initial))
                self._send(b"p", header + initial)
                yield
            elif request == SASL_CONTINUE:
                self._send(b"p", _final_message(self._password, first, body[4:].decode()))
                yield
            elif request == MD5:
                secret = _md5(self._password.encode() + self._user.encode())
                self._send(b"p", b"md5" + _md5(secret + body[4:]) + b"\0")
                yield
            elif request not in (SASL_FINAL, OK):
                raise Failed(f"unexpected authentication request {request}")
        self._until_ready()

    def _until_ready(self):
        value = None
        while True:
            kind, body = self.receive()
            if kind == b"D":
                (length,) = struct.unpack_from("!i", body, 2)
                value = body[6 : 6 + length].decode() if length >= 0 else None
            elif kind == b"Z":
                return value

    def _send(self, kind, body):
        self._socket.sendall(framed(kind, body))

    def receive(self):
        """The next message: its kind and its body."""
        header = self._exactly(5)
        kind, (length,) = header[:1], struct.unpack("!I", header[1:])
        body = self._exactly(length - 4)
        if kind == b"E":
            raise Failed(f"refused: {body.decode(errors='replace')}")
        return kind, body

    def _exactly(self, count):
        parts = b""
        while len(parts) < count:
            part = self._input.read(count - len(parts))
            if not part:
                raise Failed("the connection was closed")
            parts += part
        return parts


def framed(kind, body):
    """A message."""
    return kind + struct.pack("!I", len(body) + 4) + body


def _final_message(password, first, server_first):
    fields = dict(part.split("=", 1) for part in server_first.split(","))
    salted = _salted_password(password, fields["s"], int(fields["i"]))
    without_proof = f"c=biws,r={fields['r']}"
    signed = f"{first},{server_first},{without_proof}".encode()
    client_key = _hmac(salted, b"Client Key")
    signature = _hmac(hashlib.sha256(client_key).digest(), signed)
    proof = bytes(a ^ b for a, b in zip(client_key, signature))
    return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()


@functools.cache
def _salted_password(password, salt, iterations):
    """Slow by design; all clients share one user, so it is derived once."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), iterations)


def _md5(text):
    return hashlib.md5(text).hexdigest().encode()


def _hmac(key, text):
    return hmac.digest(key, text, "sha256")

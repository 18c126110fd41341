"""libpq 18 (psycopg's own) and OAUTHBEARER: discovery, a flow of the program's, a token.

The flow is a hook in libpq (PQsetAuthDataHook), which psycopg does not offer: ctypes does.
"""

import ctypes
import glob
import os

import psycopg
import psycopg_binary
from checks import check, run_all

LIBPQ = glob.glob(
    os.path.join(os.path.dirname(psycopg_binary.__file__), "..", "psycopg_binary.libs", "libpq-*")
)
OAUTH_BEARER_TOKEN = 1


class Request(ctypes.Structure):
    """PGoauthBearerRequest."""

    _fields_ = [
        ("openid_configuration", ctypes.c_char_p),
        ("scope", ctypes.c_char_p),
        ("advance", ctypes.c_void_p),
        ("cleanup", ctypes.c_void_p),
        ("token", ctypes.c_char_p),
        ("user", ctypes.c_void_p),
    ]


HOOK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Request))
TOKEN = [b""]
ASKED = []


@HOOK
def hook(kind, _conn, request):
    if kind != OAUTH_BEARER_TOKEN:
        return 0
    ASKED.append((request.contents.openid_configuration, request.contents.scope))
    request.contents.token = TOKEN[0]
    return 1


ctypes.CDLL(LIBPQ[0]).PQsetAuthDataHook(hook)


def connect(token):
    TOKEN[0] = token.encode()
    ASKED.clear()
    issuer = os.environ["ISSUER"]
    url = os.environ["DATABASE_URL"]
    return psycopg.connect(
        url, user="app", password="", oauth_issuer=issuer, oauth_client_id="x", require_auth="oauth"
    )


@check
def a_good_token():
    with connect(os.environ["TOKEN"]) as conn:
        assert conn.execute("SELECT session_user").fetchone() == ("app",)
    place = os.environ["ISSUER"] + "/.well-known/openid-configuration"
    assert ASKED == [(place.encode(), b"openid")], ASKED


@check
def a_bad_token():
    for token in [os.environ["TOKEN"][:-4], os.environ["OTHER_TOKEN"], "x"]:
        try:
            connect(token)
        except psycopg.OperationalError as error:
            assert 'OAuth bearer authentication failed for user "app"' in str(error), error
        else:
            raise AssertionError("it came in")


run_all()

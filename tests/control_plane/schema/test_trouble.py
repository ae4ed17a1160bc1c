"""What is wrong is said with what to do about it, for each kind of trouble that has an answer."""

import socket
import ssl

import asyncpg
import pytest

from control_plane.schema.trouble import VERSION_MIN, described, is_read_only, too_old


def test_a_server_that_is_too_old_is_refused_with_the_way_out() -> None:
    assert too_old(VERSION_MIN) == too_old(VERSION_MIN + 3) == ""
    problem = too_old(VERSION_MIN - 1)
    assert f"PostgreSQL {VERSION_MIN - 1} is too old" in problem
    assert f"{VERSION_MIN} or newer" in problem
    assert "Nothing was changed" in problem


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
            "standby in recovery",
        ),
        (ssl.SSLCertVerificationError("Hostname mismatch"), "sslrootcert=system"),
        (asyncpg.DuplicatePreparedStatementError('prepared statement "x" already exists'), "?pgbouncer=true"),
        (asyncpg.InvalidPasswordError("password authentication failed"), "percent-encoded"),
        (asyncpg.TooManyConnectionsError("too many clients"), "CONTROL_PLANE_DATABASE_CONNECTIONS"),
        (asyncpg.DiskFullError("could not extend file"), "disk is full"),
        (socket.gaierror(-2, "Name or service not known"), "No such host"),
        (ConnectionError("PostgreSQL server at h rejected SSL upgrade"), "has no TLS"),
        (asyncpg.InvalidAuthorizationSpecificationError("no pg_hba.conf entry for host, no encryption"), "wants TLS"),
        (asyncpg.ProtocolViolationError("unsupported startup parameter: options"), "remove it from DATABASE_URL"),
        (asyncpg.InternalServerError("Tenant or user not found"), "postgres.abcdefgh"),
        (OSError(101, "Network is unreachable"), "IPv6 only"),
    ],
)
def test_trouble_comes_with_advice(error: Exception, advice: str) -> None:
    assert advice in described(error)


def test_what_has_no_advice_is_said_as_it_is_and_never_empty() -> None:
    assert described(asyncpg.UndefinedTableError("no\n table")) == "no table"
    assert described(TimeoutError()) == "TimeoutError"
    assert is_read_only(asyncpg.ReadOnlySQLTransactionError(""))
    assert not is_read_only(OSError())

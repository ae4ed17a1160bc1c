"""What a database URL says, in the forms that providers give out, and nothing of it that is secret in a message."""

import string
from contextlib import suppress
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.schema import address
from control_plane.schema.address import parse
from control_plane.schema.tls import Tls

SUPABASE_PROJECT = "abcdefghijklmnopqrst"


@pytest.mark.parametrize(
    ("url", "pooled", "mode"),
    [
        # Supabase: Project Settings, Connect
        (f"postgresql://postgres:pw@db.{SUPABASE_PROJECT}.supabase.co:5432/postgres", False, "prefer"),
        (f"postgresql://postgres:pw@db.{SUPABASE_PROJECT}.supabase.co:6543/postgres", True, "prefer"),
        (
            f"postgresql://postgres.{SUPABASE_PROJECT}:pw@aws-0-eu-central-1.pooler.supabase.com:5432/postgres",
            False,
            "prefer",
        ),
        (
            (
                f"postgres://postgres.{SUPABASE_PROJECT}:pw@aws-0-eu-central-1.pooler.supabase.com:6543/postgres"
                "?sslmode=require&supa=base-pooler.x"
            ),
            True,
            "require",
        ),
        # Neon: Connect to your database
        (
            (
                "postgresql://owner:pw@ep-cool-rain-123456-pooler.eu-central-1.aws.neon.tech/neondb"
                "?sslmode=require&channel_binding=require"
            ),
            True,
            "verify-full",
        ),
        (
            (
                "postgres://owner:pw@ep-cool-rain-123456.eu-central-1.aws.neon.tech/neondb"
                "?sslmode=require&options=endpoint%3Dep-cool-rain-123456"
            ),
            False,
            "require",
        ),
        # Heroku, Render, Amazon RDS, Azure, DigitalOcean, Google Cloud SQL
        ("postgres://u1:p2@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d3", False, "prefer"),
        ("postgresql://u:p@dpg-abc-a.oregon-postgres.render.com/app", False, "prefer"),
        (
            "postgres://u:p@x.eu-west-1.rds.amazonaws.com:5432/app?sslmode=verify-full&sslrootcert=/etc/rds.pem",
            False,
            "verify-full",
        ),
        ("postgresql://u%40s:p@s.postgres.database.azure.com:6432/app?sslmode=require", True, "require"),
        ("postgresql://u:p@x.db.ondigitalocean.com:25061/pool?sslmode=require", True, "require"),
        ("postgresql://u:p@/app?host=/cloudsql/p:r:i", False, "prefer"),
        # one's own
        ("postgresql://u:p@db.example:5432/app", False, "prefer"),
        ("postgresql://u:p@db.example:6543/app", True, "prefer"),
        ("postgres://u:p@db.example/app?pgbouncer=true", True, "prefer"),
        ("postgres://u:p@db.example/app?pgbouncer=false&sslmode=require", False, "require"),
        ("postgresql://u:p@[::1]:5433/app?sslrootcert=system", False, "verify-full"),
    ],
)
def test_the_forms_that_providers_give_out(url: str, pooled: bool, mode: str) -> None:
    found = parse(url)
    assert (found.pooled, found.tls.mode) == (pooled, mode)
    without_files = msgspec.structs.replace(found, tls=Tls()).connect_options
    assert ("statement_cache_size" in without_files) is pooled
    assert parse(url, pooled=not pooled).pooled is not pooled


def test_what_is_taken_apart() -> None:
    found = parse("postgres://a%40b:p%2Fw@one.example:5433,two.example/d%20b?connect_timeout=3&application_name=lm")
    assert (found.hosts, found.database) == ((("one.example", 5433), ("two.example", 5432)), "d b")
    options = found.connect_options
    assert (options["user"], options["password"], options["timeout"]) == ("a@b", "p/w", 3.0)
    assert options["server_settings"] == {"application_name": "lm"}
    assert found.other_database("x").connect_options == options | {"database": "x"}
    assert parse("postgresql://h/d?port=7&user=u&password=p").connect_options["port"] == [7]
    assert parse("postgresql:///d").hosts == ()


def test_supabases_pooler_knows_the_role_without_the_project() -> None:
    there = "aws-0-eu-central-1.pooler.supabase.com:6543"
    assert parse(f"postgresql://postgres.{SUPABASE_PROJECT}:p@{there}/postgres").role == "postgres"
    assert parse("postgresql://a.b:p@db.example/postgres").role == "a.b"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://h/d", "must be postgresql://"),
        ("postgresql://h", "must be postgresql://"),
        ("postgresql://h/a/b", "must be postgresql://"),
        ("postgresql://u:se:c/ret@h/d", "percent-encoded"),
        ("postgresql://u:12#secret@h/d", "percent-encoded"),
        ("postgresql://h:x/d", "percent-encoded"),
        ("postgresql://h:70000/d", "percent-encoded"),
        ("postgresql://postgres:[YOUR-PASSWORD]@db.x.supabase.co:5432/postgres", "placeholder"),
        ("postgresql://h/d?sslmode", "NAME=VALUE"),
        ("postgresql://h/d?sslmode=on", "sslmode is one of disable, allow"),
        ("postgresql://h/d?channel_binding=yes", "channel_binding is disable, prefer or require"),
        ("postgresql://h/d?sslmode=disable&channel_binding=require", "exclude each other"),
        ("postgresql://h/d?connect_timeout=soon", "connect_timeout is whole seconds"),
        ("postgresql://h/d?target_session_attrs=primaries", "target_session_attrs is one of any, primary"),
        ("postgresql://h/d?statement_timeout=3s", "parameter statement_timeout is not known; remove it.*ALTER ROLE"),
        ("postgresql://h/d?service=mine", "parameter service names a file"),
        ("postgresql://h/d?options=-c%20geqo%3Doff", "parameter options is not passed on .this service needs none"),
        ("postgresql://h:6543/d?options=-c%20geqo%3Doff", "parameter options is not passed on .a pooler refuses it"),
        ("postgresql://h/d?default_transaction_read_only=on", "keep this service from saving"),
        ("postgresql://h/d?port=0", "a port is a number"),
    ],
)
def test_what_can_not_be_used_is_refused_with_the_fix(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        parse(url)
    assert "DATABASE_URL" in str(caught.value)
    assert "ret" not in str(caught.value)


def test_what_other_clients_need_is_left_out_and_what_deserves_a_word_gets_one() -> None:
    found = parse("postgresql://h/d?connection_limit=1&keepalives=1&search_path=app&default_transaction_read_only=off")
    assert "server_settings" not in found.connect_options
    assert [one.partition(" ")[0] for one in found.advice] == ["search_path"]
    assert "verify-full" in parse("postgresql://h/d?sslmode=require").advice[0]
    assert parse("postgresql://h/d?sslmode=verify-full").advice == ()


SECRETS = st.text(string.ascii_letters + string.digits + "/?#@:&=%[]+; \"'\\ü", min_size=6, max_size=20)
QUERIES = st.sampled_from(["", "?sslmode=on", "?x=1", "?connect_timeout=a", "?options=a", "?sslrootcert=/none", "?a"])


@given(secret=SECRETS, escaped=st.booleans(), query=QUERIES, key=st.booleans())
def test_a_password_is_in_no_message_whatever_is_wrong_with_the_rest(
    secret: str, escaped: bool, query: str, key: bool
) -> None:
    written = quote(secret, safe="") if escaped else secret
    url = f"postgresql://someone:{written}@h.example/d{query}"
    if key and escaped:
        url += f"{'&' if query else '?'}sslcert=/none.pem&sslpassword={written}"
    try:
        found = parse(url)
        if escaped:
            assert found.password == secret
        texts = [repr(found), repr(found.tls), *found.advice]
        with suppress(ValueError):
            texts.append(str(found.connect_options["timeout"]))
    except ValueError as error:
        texts = [str(error)]
    shown = " ".join(texts)
    pieces = {secret, written} | {piece for piece in (secret[:6], secret[-6:]) if len(set(piece)) > 3}
    assert not any(piece in shown for piece in pieces if not piece.isspace()), shown


def test_where_parameters_come_from_is_listed_once() -> None:
    listed = [*address.OF_TLS, *address.NEEDLESS, *address.INSTEAD_OF_HOST, *address.POOLER_PARAMETERS]
    assert len(listed) == len(set(listed))

"""Whether Redis is there, with a decision table that sidecars would take.

Counterpart: `sidecar.tables.tables` takes it in. Never: a change.
"""

import base64
from collections.abc import Mapping, Sequence

import redis

from layout_mutation.doctor.checks import Asked, Check
from rules.errors import TableError
from rules.sealing import unseal
from service import redis_address
from service.keys import Keys
from sidecar.tables.tables import verifier

ANSWER_S_MAX = 20.0


def published(asked: Asked, found: Sequence[Check]) -> list[Check]:
    """Redis, and the decision table in it."""
    environ = asked.environ
    url = environ.get("REDIS_URL")
    if not url:
        return [Check("redis", False, "REDIS_URL is not set")]
    keys = Keys(environ.get("LAYOUT_MUTATION_ENVIRONMENT", "local"))
    try:
        redis_address.check(url)
    except ValueError as error:
        return [Check("redis", False, str(error))]
    try:
        with redis.Redis.from_url(url, socket_timeout=ANSWER_S_MAX, socket_connect_timeout=ANSWER_S_MAX) as client:
            sealed = client.get(keys.table)
    except redis.RedisError as error:
        return [Check("redis", False, f"can't be reached: {type(error).__name__}")]
    answer = Check("redis", True, "answers")
    if not isinstance(sealed, bytes):
        return [answer, Check("table", False, "none is published")]
    try:
        verify = verifier(_public_keys(environ))
    except ValueError:
        unusable = "SIDECAR_TABLE_PUBLIC_KEYS must hold base64 of 32 bytes each, separated by commas"
        return [answer, Check("table", False, unusable)]
    try:
        table = unseal(sealed, verify=verify)
    except TableError as error:
        return [answer, Check("table", False, str(error))]
    return [answer, Check("table", True, f"version {table.version} with {table.size} mutations, signature fine")]


def _public_keys(environ: Mapping[str, str]) -> list[bytes]:
    return [base64.b64decode(key) for key in environ.get("SIDECAR_TABLE_PUBLIC_KEYS", "").split(",") if key.strip()]

"""`layout-mutation token`: a bearer token for the API, or a one-time sign-in link for the admin pages."""

import argparse

from control_plane.settings import JWT_SECRET_CHARACTERS_MIN
from control_plane.tokens import SIGN_IN_TTL_SECONDS, TTL_SECONDS, TTL_SECONDS_MAX, Role, issue, sign_in_link
from layout_mutation.environment import add_data_dir, read_environment, require
from layout_mutation.inputs import UnusableError

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_CLAIMS = {"issuer": "CONTROL_PLANE_JWT_ISSUER", "audience": "CONTROL_PLANE_JWT_AUDIENCE"}

EXAMPLES = """\
examples:
  layout-mutation token --role publisher
  curl -H "Authorization: Bearer $(layout-mutation token --role viewer)" \\
      http://127.0.0.1:8081/api/layout-mutation/mutations
  layout-mutation token --role admin --sign-in
      a link that signs one person in, once, within fifteen minutes
  layout-mutation token --role editor --subject anna --ttl 8h

roles: viewer reads; editor writes drafts; publisher also changes what visitors see; admin may do everything
exit codes: 0 fine, 2 wrong usage, or CONTROL_PLANE_JWT_SECRET is not set or too short
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `token`."""
    parser.add_argument("--role", required=True, choices=[role.value for role in Role], help="what the bearer may do")
    parser.add_argument("--subject", default="command-line", metavar="NAME", help="who it is, for the audit log")
    parser.add_argument(
        "--ttl", metavar="TIME", help="how long it is valid, for example 30m, 8h or 90d [1h, a sign-in link 15m]"
    )
    parser.add_argument("--sign-in", action="store_true", help="a one-time sign-in link for the admin pages instead")
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the token or the link. The exit code of the contract."""
    environ = read_environment(arguments.data_dir)
    secret = require(environ, "CONTROL_PLANE_JWT_SECRET")
    if len(secret) < JWT_SECRET_CHARACTERS_MIN:
        raise UnusableError(
            f"CONTROL_PLANE_JWT_SECRET has fewer than {JWT_SECRET_CHARACTERS_MIN} characters: no control plane takes it"
        )
    claims = {name: environ[variable] for name, variable in _CLAIMS.items() if variable in environ}
    seconds = SIGN_IN_TTL_SECONDS if arguments.sign_in else TTL_SECONDS
    if arguments.ttl is not None:
        seconds = _seconds(arguments.ttl)
    role, subject = Role(arguments.role), arguments.subject
    try:
        if arguments.sign_in:
            url = environ.get("CONTROL_PLANE_PUBLIC_URL", "http://127.0.0.1:8081")
            print(sign_in_link(secret, url, subject=subject, role=role, ttl_seconds=seconds, **claims))
        else:
            print(issue(secret, role, subject, ttl_seconds=seconds, **claims))
    except ValueError as error:
        raise UnusableError(str(error)) from None
    return 0


def _seconds(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or unit not in _SECONDS:
        raise UnusableError(f"--ttl {text}: a number with s, m, h or d is expected, for example 8h")
    # int() refuses thousands of digits; a dozen are too many as well.
    seconds = int(number[:12]) * _SECONDS[unit]
    if not 0 < seconds <= TTL_SECONDS_MAX:
        raise UnusableError(f"--ttl {text[:20]}: from 1s to {TTL_SECONDS_MAX // _SECONDS['d']}d")
    return seconds

"""Request fields and cookies whose value is certain: what is there twice could be the visitor's and the proxy's.

Pure. Counterparts: `units` and `attributes`, which read through here. Never: a guess.
"""

import re
from functools import lru_cache

from multidict import MultiMapping


def only(headers: MultiMapping[str], name: str) -> str:
    """The value of a field that is there once; empty otherwise."""
    values = headers.getall(name, [])
    return values[0].strip() if len(values) == 1 else ""


def cookie(headers: MultiMapping[str], name: str) -> str:
    """The value of a cookie that is there once; browsers send two of a name for two paths or domains."""
    values = {value.strip('"') for value in cookies(headers, name)}
    return values.pop() if len(values) == 1 else ""


def cookies(headers: MultiMapping[str], name: str) -> list[str]:
    """All values of the cookies of that name, as they stand. It is looked for by its name: what else there is costs nothing,
    however much a visitor sends."""
    found: list[str] = []
    for field in headers.getall("Cookie", ()):
        if name not in field:
            continue
        for match in _named(name).finditer(field):
            begin = field.rfind(";", 0, match.start()) + 1
            if not field[begin : match.start()].strip():
                found.append(match[1].strip())
    return found


@lru_cache(maxsize=256)  # names are those of the settings
def _named(name: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(name)}\s*=([^;]*)")

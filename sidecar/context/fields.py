"""Request fields and cookies whose value is certain: what is there twice could be the visitor's and the proxy's.

Pure. Counterparts: `units` and `attributes`, which read through here. Never: a guess.
"""

from multidict import MultiMapping


def only(headers: MultiMapping[str], name: str) -> str:
    """The value of a field that is there once; empty otherwise."""
    values = headers.getall(name, [])
    return values[0].strip() if len(values) == 1 else ""


def cookie(headers: MultiMapping[str], name: str) -> str:
    """The value of a cookie that is there once; browsers send two of a name for two paths or domains."""
    values = [
        value.strip().strip('"')
        for field in headers.getall("Cookie", [])
        for key, equals, value in (pair.partition("=") for pair in field.split(";"))
        if equals and key.strip() == name
    ]
    return values[0] if len(set(values)) == 1 else ""

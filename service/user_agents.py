"""A User-Agent -> kind of device, browser and operating system, as uap-core's patterns have them.

What a browser says in client hints goes before its User-Agent, which browsers no longer keep true.
Counterparts: `rules.inference`, which is handed this reader; ADR 0041 says why it is not a part of `rules`.
Never: an exception for any text; a text that is looked at beyond a bound.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from ua_parser import OS, Device, Parser, UserAgent, load_lazy_builtins
from ua_parser.regex import Resolver

from rules.inference import Agent

CHARACTERS_MAX = 1_024
"""What is looked at: the longest real ones, of browsers inside apps, have some 500 characters."""
REMEMBERED_MAX = 2_048
"""User-Agents that are not read again: reading one takes 0.1 to 0.7 ms."""

_SIGNS = (b"device", b"browser", b"\xa2os", b"os.name", b"os.version")
"""What MessagePack has in it that names one of the attributes; `os` alone with its length before it."""

SIGN_BYTES_MAX = max(map(len, _SIGNS))
PIECE_BYTES = 128 * 1024
"""Of a table, looked at in one go: some 0.3 ms."""

_TV = re.compile(
    r"smart-?tv|web0s|webos\.tv|hbbtv|netcast|bravia|google ?tv|android ?tv|apple ?tv|tvos|crkey|roku|vidaa"
    r"|\btizen\b[^)]{0,40}\) .{0,80}\btv\b|\bAFT[A-Z0-9]{1,8}\b",
    re.IGNORECASE,
)
_GAMES = re.compile(r"playstation|nintendo|xbox", re.IGNORECASE)
_TABLET = re.compile(r"ipad|tablet|playbook|kindle", re.IGNORECASE)
_PHONE = re.compile(r"mobi|iphone|ipod|windows phone|blackberry|opera mini", re.IGNORECASE)
_NAME = re.compile(r'"([A-Za-z0-9][A-Za-z0-9 ._-]{0,31})"')
_SAME_OS = {"Mac OS X": "macOS", "ATV OS X": "tvOS", "Chromecast Android": "Android", "Chromium OS": "Chrome OS"}
"""The parser's word, or a browser's -> the one word for it."""
_DESKTOPS = frozenset(
    {"Windows", "macOS", "Linux", "Ubuntu", "Fedora", "Debian", "Red Hat", "Mint", "Chrome OS", "FreeBSD", "OpenBSD"}
)


def agent_of(user_agent: str, mobile_hint: str = "", platform_hint: str = "") -> Agent:
    """What a visit's browser is.

    Args:
        user_agent: the field of that name, any text.
        mobile_hint: Sec-CH-UA-Mobile, `?0` or `?1`; empty without one.
        platform_hint: Sec-CH-UA-Platform, a name in quotes; empty without one.
    """
    hinted = _NAME.fullmatch(platform_hint.strip()) if len(platform_hint) <= CHARACTERS_MAX else None
    platform = "" if hinted is None or hinted[1] == "Unknown" else hinted[1]
    return _read(user_agent[:CHARACTERS_MAX], mobile_hint.strip()[:2], _SAME_OS.get(platform, platform))


def prepare(table: bytes, pause: Callable[[], None] = lambda: None) -> None:
    """Make the parser before a visit needs it, if the bytes of a decision table may ask for what it says; takes 0.1 to 0.3 s.

    `pause` is called between pieces of a large table, for whoever wants to let others have their turn.
    """
    if _parser.cache_info().currsize:
        return
    for start in range(0, len(table), PIECE_BYTES):
        piece = table[start : start + PIECE_BYTES + SIGN_BYTES_MAX]
        if any(sign in piece for sign in _SIGNS):
            _parser()
            return
        pause()


@lru_cache(maxsize=REMEMBERED_MAX)
def _read(user_agent: str, mobile_hint: str, platform: str) -> Agent:
    text = user_agent.encode("utf-8", "replace").decode()  # a byte that is no text would be refused
    found = _parser().parse(text)
    system = _os_of(found.os, platform)
    return Agent(
        device=_device_of(text, found.device, mobile_hint, system.get("name", "")),
        browser=_browser_of(found.user_agent),
        os=system,
    )


@lru_cache(maxsize=1)
def _parser() -> Parser:
    """Made when something may ask: it takes 0.1 to 0.3 s and 30 MB, and many tables never do."""
    return Parser(Resolver(load_lazy_builtins()))


def _device_of(text: str, device: Device | None, mobile_hint: str, system: str) -> str:
    """The first that fits; a hint that says mobile is of a phone, since tablets say they are not."""
    if device is not None and device.family == "Spider":
        return "bot"
    if _TV.search(text):
        return "tv"
    if mobile_hint == "?1":
        return "mobile"
    if _GAMES.search(text):
        return "other"
    mobile = not mobile_hint and _PHONE.search(text) is not None
    if _TABLET.search(text) or (system == "Android" and not mobile):
        return "tablet"
    if mobile:
        return "mobile"
    return "desktop" if system in _DESKTOPS else "other"


def _browser_of(found: UserAgent | None) -> Mapping[str, Any]:
    if found is None:
        return {}
    browser: dict[str, Any] = {"name": found.family}
    if version := _version(found.major, found.minor, found.patch, found.patch_minor):
        browser["version"] = version
    if found.major is not None and found.major.isascii() and found.major.isdigit() and len(found.major) <= 6:
        browser["major"] = int(found.major)
    return browser


def _os_of(found: OS | None, platform: str) -> dict[str, str]:
    """The system's name, from the hint where there is one; its version, where the User-Agent speaks of the same."""
    said = "" if found is None else _SAME_OS.get(found.family, found.family)
    name = platform or said
    if not name:
        return {}
    version = _version(found.major, found.minor, found.patch) if found is not None and said == name else ""
    return {"name": name, "version": version} if version else {"name": name}


def _version(*parts: str | None) -> str:
    """The parts as far as they are known."""
    known = parts[: parts.index(None)] if None in parts else parts
    return ".".join(part for part in known if part is not None)

"""User-Agents as browsers, machines and nobody at all send them."""

import subprocess
import sys
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.triggers import Device
from service.user_agents import CHARACTERS_MAX, agent_of

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"{WEBKIT} Chrome/126.0.0.0 Safari/537.36"
WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME}"
ANDROID = f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/126.0.0.0 Mobile Safari/537.36"
ANDROID_TABLET = f"Mozilla/5.0 (Linux; Android 10; K) {CHROME}"
APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
IPAD = f"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {APPLE} Version/17.5 Mobile/15E148 Safari/604.1"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0"
FIRE_TV = f"Mozilla/5.0 (Linux; Android 9; AFTKA Build/PS7233; wv) {WEBKIT} Chrome/88.0.4324.152 Mobile Safari/537.36"
SAMSUNG_TV = f"Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) {WEBKIT} 76.0.3809.146/6.0 TV Safari/537.36"
LG_TV = f"Mozilla/5.0 (Web0S; Linux/SmartTV) {WEBKIT} Chrome/79.0.3945.79 Safari/537.36 WebAppManager"
GOOGLE = f"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) {CHROME} (compatible; Googlebot/2.1)"
GPT = f"Mozilla/5.0 {WEBKIT}; compatible; GPTBot/1.2; +https://openai.com/gptbot"
CHROME_OS = f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME}"
CONSOLE = "Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.4 Safari/605.1.15"

XBOX = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) {CHROME} Edge/44.18363.8131"


@pytest.mark.parametrize(
    ("text", "device", "browser", "system"),
    [
        (WINDOWS, "desktop", "Chrome", "Windows"),
        (MAC, "desktop", "Firefox", "macOS"),
        (CHROME_OS, "desktop", "Chrome", "Chrome OS"),
        (ANDROID, "mobile", "Chrome Mobile", "Android"),
        (ANDROID_TABLET, "tablet", "Chrome", "Android"),
        (IPAD, "tablet", "Mobile Safari", "iOS"),
        (FIRE_TV, "tv", "Chrome Mobile WebView", "Android"),
        (SAMSUNG_TV, "tv", "Safari", "Tizen"),
        (LG_TV, "tv", "Chrome", "Web0S"),
        (GOOGLE, "bot", "Googlebot", "Android"),
        (GPT, "bot", "GPTBot", None),
        (CONSOLE, "other", "Safari", None),
        (XBOX, "other", "Edge", "Windows"),
        ("curl/8.5.0", "other", "curl", None),
        ("", "other", None, None),
    ],
)
def test_what_a_user_agent_says(text: str, device: str, browser: str | None, system: str | None) -> None:
    agent = agent_of(text)
    assert (agent.device, agent.browser.get("name"), agent.os.get("name")) == (device, browser, system)


def test_versions() -> None:
    assert agent_of(WINDOWS).browser == {"name": "Chrome", "version": "126.0.0.0", "major": 126}
    assert agent_of(IPAD).os == {"name": "iOS", "version": "17.5"}


@pytest.mark.parametrize(
    ("text", "mobile", "platform", "device", "system"),
    [
        (WINDOWS, "?1", "", "mobile", {"name": "Windows", "version": "10"}),
        (ANDROID, "?0", '"Android"', "tablet", {"name": "Android", "version": "10"}),
        (WINDOWS, "?0", '"Linux"', "desktop", {"name": "Linux"}),
        (CHROME_OS, "?0", '"Chromium OS"', "desktop", {"name": "Chrome OS", "version": "14541.0.0"}),
        (MAC, "", '"Unknown"', "desktop", {"name": "macOS", "version": "10.15"}),
        (MAC, "", "no name in quotes", "desktop", {"name": "macOS", "version": "10.15"}),
        (GOOGLE, "?1", '"Android"', "bot", {"name": "Android", "version": "6.0.1"}),
    ],
)
def test_hints_go_before(text: str, mobile: str, platform: str, device: str, system: dict[str, str]) -> None:
    agent = agent_of(text, mobile, platform)
    assert (agent.device, agent.os) == (device, system)


def test_what_stands_behind_the_bound_is_not_looked_at() -> None:
    assert agent_of("x" * CHARACTERS_MAX + " Googlebot/2.1").device == "other"


@given(st.text(max_size=200), st.text(max_size=20), st.text(max_size=40))
def test_no_text_is_an_exception(text: str, mobile: str, platform: str) -> None:
    odd = text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape") + "\udcff"
    assert agent_of(odd, mobile, platform).device in typing.get_args(Device)


def test_the_parser_is_made_before_the_first_visit_where_a_table_may_ask() -> None:
    script = """
from rules.model import decode_rules
from service import user_agents
for asked in ({}, {"os.name": "iOS"}):
    conditions = {"id": "a", "conditions": asked, "mutationType": "remove", "mutationPayload": {"target": {"selector": "p"}}}
    rules = decode_rules(__import__("msgspec").json.encode({"mutations": [conditions]}))
    user_agents.prepare(__import__("msgspec").msgpack.encode(rules))
    print(user_agents._parser.cache_info().currsize)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", "1"]

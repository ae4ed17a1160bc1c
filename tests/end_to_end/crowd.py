"""A shop of five modules, rules that overlap on it, and fifty people with two devices each.

What a page should be is worked out here from the rules alone: a context made by hand from what a device is known to send,
`decide`, `apply_groups`. Nothing of the sidecar takes part in that.
Counterpart: `test_fifty_visitors.py`. Never: chance; who sends what follows from a number.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt

from rules.context import Context
from rules.decision import Decision, decide
from rules.html import PassedThrough, apply_groups
from rules.table import DecisionTable
from tests.end_to_end.visitor import Answer, Line

HOST = "shop.example"
MODULES = ("hero", "cta", "offers", "reviews", "footer")
PATHS = ("/", "/offers/tea", "/offers/quince", "/about")
JWT_SECRET = "a secret of the shop that signs its customers in"
UNITS = "account=header:X-User-Id, customer=cookie:customer, member=jwt:Authorization:sub"
PEOPLE = 50
KINDS = ("stranger", "account", "customer", "member", "stranger")


def page_of(path: str) -> bytes:
    """A page whose modules stand between comments, so that they can be told apart afterwards without a parser."""
    inner = {
        "hero": f"<h1>All of {path}</h1><p class=lead>Caf\u00e9 &amp; more</p>",
        "cta": '<a href="/basket" class=buy>Buy</a>',
        "offers": "<ul><li id=one>One<li id=two>Two<li id=three>Three</ul>",
        "reviews": "<blockquote>Good</blockquote>",
        "footer": "<p>Imprint<p>Terms",
    }
    parts = "\n".join(
        f'<!--{name}--><section data-module="{name}">{inner[name]}</section><!--/{name}-->' for name in MODULES
    )
    return (
        f"<!doctype html>\n<html lang=en><head><title>{path}</title></head><body class=shop><main>\n{parts}\n</main></body></html>"
    ).encode()


def modules_of(page: bytes) -> dict[str, bytes]:
    """What stands between the comments of each module, and under `` all that stands in none."""
    found = {
        name: re.search(b"<!--%b-->(.*)<!--/%b-->" % (name.encode(), name.encode()), page, re.DOTALL)
        for name in MODULES
    }
    parts = {name: match[1] for name, match in found.items() if match is not None}
    rest = page
    for inner in parts.values():
        rest = rest.replace(inner, b"", 1)
    return {"": rest, **parts}


# ---- the rules


def operation(verb: str, selector: str, **fields: Any) -> dict[str, Any]:
    return {"verb": verb, "target": {"selector": selector}, **fields}


def text(selector: str, words: str) -> dict[str, Any]:
    return operation("setText", selector, content={"text": words})


def mutation(identifier: str, *operations: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    payload = {"operations": list(operations)}
    return {
        "id": identifier,
        "mutationType": "set",
        "mutationPayload": payload,
        "isActive": True,
        "status": "active",
        **fields,
    }


def variant(identifier: str, experiment: str, module: str, **variations: list[Mapping[str, Any]]) -> dict[str, Any]:
    named = {"control": {"operations": []}, **{key: {"operations": list(one)} for key, one in variations.items()}}
    payload = {"experimentId": experiment, "variations": named}
    return {
        "id": identifier,
        "moduleId": module,
        "mutationType": "variant",
        "mutationPayload": payload,
        "isActive": True,
        "status": "experimental",
    }


def experiment(identifier: str, unit: str, *variations: str, **fields: Any) -> dict[str, Any]:
    return {"id": identifier, "unit": unit, "variations": [{"key": key} for key in ("control", *variations)], **fields}


def rules(edition: str = "first") -> dict[str, Any]:
    """The rules file; `edition` is named by two mutations of every page, in two modules, which must change together."""
    inside = '[data-module="{}"] {}'.format
    return {
        "modules": [{"id": name, "name": name} for name in MODULES],
        "experiments": [
            experiment("by-visitor", "lm_uid", "green", "red"),
            experiment("by-account", "account", "long"),
            experiment("by-customer", "customer", "stars"),
            experiment("by-member", "member", "thanks"),
            experiment(
                "of-the-thanked",
                "member",
                "gift",
                prerequisites=[{"experimentId": "by-member", "variations": ["thanks"]}],
                namespace={"id": "gifts", "from": 0.0, "to": 0.8},
            ),
        ],
        "mutations": [
            mutation("global-headline", text("h1", "Of the whole shop"), operation("addClass", "body", names=["spring"])),
            mutation("page-headline", text("h1", "An offer"), pageSlug="/offers/*", priority=100),
            mutation("module-lead", text(inside("hero", ".lead"), "Willkommen"), moduleId="hero", conditions={"language": "de"}),
            mutation("module-headline", text(inside("hero", "h1"), "In your hand"), moduleId="hero", conditions={"mobile": True}),
            mutation("micro-headline", text("h1", "Quince, warm"), pageSlug="/offers/quince", layer="micro"),
            mutation(
                "micro-link",
                operation("setAttribute", inside("cta", "a"), name="href", value="/basket?from=news"),
                moduleId="cta",
                layer="micro",
                conditions={"query.from": "news"},
            ),
            mutation("edition-above", operation("before", inside("offers", "ul"), content={"html": f"<i>{edition}</i>"}), moduleId="offers"),
            mutation("edition-below", operation("append", inside("footer", "p"), content={"html": f"<i>{edition}</i>"}), moduleId="footer"),
            mutation("no-reviews", operation("remove", "blockquote"), pageSlug="/about", moduleId="reviews"),
            mutation("banner", operation("prepend", "main", content={"html": "<div class=banner>Spring</div>"}), conditions={"path": {"$ne": "/about"}}),
            variant(
                "v-visitor",
                "by-visitor",
                "cta",
                green=[operation("addClass", inside("cta", "a"), names=["green"])],
                red=[text(inside("cta", "a"), "Buy now")],
            ),
            variant("v-account", "by-account", "offers", long=[operation("append", inside("offers", "ul"), content={"html": "<li>Four</li>"})]),
            variant("v-customer", "by-customer", "reviews", stars=[operation("prepend", inside("reviews", "blockquote"), content={"text": "***** "})]),
            variant("v-member", "by-member", "footer", thanks=[operation("setAttribute", '[data-module="footer"]', name="title", value="Thanks")]),
            variant("v-gift", "of-the-thanked", "hero", gift=[operation("after", inside("hero", ".lead"), content={"html": "<b>A gift</b>"})]),
        ],
    }  # fmt: skip


# ---- the people


@dataclass
class Device:
    """A browser of somebody's. It keeps the unit id that it is given."""

    owner: int
    mobile: bool
    unit: str | None = None
    seen: set[tuple[str, str]] = field(default_factory=set)
    """Experiment and variation, of all that it was shown."""

    @property
    def kind(self) -> str:
        return KINDS[self.owner % len(KINDS)]

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.owner}"

    @property
    def language(self) -> str:
        return ("en", "de", "fr")[self.owner % 3]

    def fields(self) -> list[str]:
        """The header fields of its requests."""
        cookies = [f"lm_uid={self.unit}"] if self.unit else []
        sent = [f"Sec-CH-UA-Mobile: ?{int(self.mobile)}", f"Accept-Language: {self.language}"]
        if self.kind == "account":
            sent.append(f"X-User-Id: {self.name}")
        elif self.kind == "customer":
            cookies.append(f"customer={self.name}")
        elif self.kind == "member":
            token = jwt.encode({"sub": self.name, "device": self.mobile}, JWT_SECRET, algorithm="HS256")
            sent.append(f"Authorization: Bearer {token}")
        return [*sent, *([f"Cookie: {'; '.join(cookies)}"] if cookies else [])]

    def load(self, line: Line, target: str, *fields: str) -> Answer:
        """A page over a connection to one of the workers."""
        answer = line.get(target, *self.fields(), *fields)
        given = re.search(rb"lm_uid=([^;]+)", answer.get(b"Set-Cookie") or b"")
        if given is not None:
            assert self.unit is None, "a unit id is given once"
            self.unit = given[1].decode()
        return answer

    def context(self, target: str, **switched: Any) -> Context:
        """What is known of its visit."""
        path, _, query = target.partition("?")
        attributes: dict[str, Any] = {
            "host": HOST,
            "path": path,
            "url": f"http://{HOST}{target}",
            "query": dict(pair.split("=") for pair in query.split("&") if pair),
            "mobile": self.mobile,
            "language": self.language,
        }
        if self.unit is not None:
            attributes["lm_uid"] = self.unit
        if self.kind != "stranger":
            attributes[self.kind] = self.name
        return Context(site=HOST, path=path, now=datetime.now(UTC), attributes=attributes, **switched)


def devices() -> Iterator[tuple[Device, Device]]:
    """Fifty people: what stands on the desk, and what is in the hand."""
    for owner in range(PEOPLE):
        yield Device(owner, mobile=False), Device(owner, mobile=True)


# ---- what a page should be


class Expected:
    """What the rules make of the shop's pages, each combination worked out once."""

    def __init__(self, table: DecisionTable) -> None:
        self.table = table
        self._made: dict[tuple[str, str], bytes] = {}

    def decision(self, device: Device, target: str, **switched: Any) -> Decision:
        return decide(self.table, device.context(target, **switched))

    def page(self, device: Device, target: str, **switched: Any) -> bytes:
        path, decision = target.partition("?")[0], self.decision(device, target, **switched)
        if (path, decision.key) not in self._made:
            original = page_of(path)
            made = apply_groups(original, decision.groups, charset="utf-8")
            self._made[path, decision.key] = original if isinstance(made, PassedThrough) else made.page
        return self._made[path, decision.key]

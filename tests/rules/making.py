"""Short ways to write rules in tests."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from rules.compiler import compile_table
from rules.context import Context
from rules.model import RulesFile, decode_rules
from rules.rows import Row, company_of, compile_rows
from rules.table import DecisionTable

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


def rules_file(*mutations: dict[str, Any], **others: Any) -> RulesFile:
    """A rules file of these mutations, and `experiments=…`, `modules=…`, `segments=…`."""
    return decode_rules(msgspec.json.encode({"mutations": mutations, **others}))


def rows_of(file: RulesFile) -> tuple[Row, ...]:
    return compile_rows(file, company_of(file))


def table(*mutations: dict[str, Any], version: int = 1, **others: Any) -> DecisionTable:
    return compile_table(rules_file(*mutations, **others), version=version, now=NOW)


def removing(identifier: str, selector: str = "h1", **fields: Any) -> dict[str, Any]:
    """A mutation that removes an element."""
    operation = {"verb": "remove", "target": {"selector": selector}}
    return {"id": identifier, "mutationType": "set", "mutationPayload": {"operations": [operation]}, **fields}


def variant(identifier: str, experiment: str = "e", **fields: Any) -> dict[str, Any]:
    """A mutation whose second variation removes the headline."""
    removal = {"operations": [{"verb": "remove", "target": {"selector": "h1"}}]}
    payload = {"experimentId": experiment, "variations": {"control": {}, "new": removal}}
    return {"id": identifier, "mutationType": "variant", "mutationPayload": payload, **fields}


def redirecting(identifier: str, to: str = "/new", page: str = "*", **fields: Any) -> dict[str, Any]:
    """A mutation that redirects a page."""
    payload = {"to": to} | {name: fields.pop(name) for name in ("status", "keepQuery") if name in fields}
    return {"id": identifier, "pageSlug": page, "mutationType": "redirect", "mutationPayload": payload, **fields}


def experiment(identifier: str = "e", **fields: Any) -> dict[str, Any]:
    return {"id": identifier, "variations": [{"key": "control"}, {"key": "new"}], **fields}


def visit(path: str = "/", site: str = "shop.example", **fields: Any) -> Context:
    return Context(site=site, path=path, now=fields.pop("now", NOW), **fields)

"""What is wrong with a payload on any page, said at the field that an author wrote.

Most payloads stand for operations whose fields are their own, and `rules.html.checks` says it all. A theme's and a call to
action's do not: what is wrong in an operation would name a field that nobody has written.
Counterpart: `rules.rows` asks before it expands. Raises RulesError with the JSON path.
"""

from rules import addresses, css, model
from rules.errors import RulesError
from rules.html.checks import check_selector, harm_of_addresses
from rules.html.harm import harm_of_name, harm_of_value
from rules.model import LayoutMutation


def check_payload(mutation: LayoutMutation, path: str) -> None:
    """Raise RulesError for a field of a theme or a call to action that can't be written into any page."""
    match mutation.mutation_payload:
        case model.ThemePayload() as theme:
            _check_theme(theme, path)
        case model.CtaPayload() as cta:
            _check_call_to_action(cta, path)


def _check_theme(theme: model.ThemePayload, path: str) -> None:
    if theme.stylesheet is not None and isinstance(problem := addresses.read_address(theme.stylesheet), str):
        raise RulesError(problem, f"{path}.stylesheet")
    if theme.css is not None and (problem := css.problem_of_sheet(theme.css) or harm_of_addresses(theme.css)):
        raise RulesError(problem, f"{path}.css")


def _check_call_to_action(cta: model.CtaPayload, path: str) -> None:
    if cta.target.selector is not None:
        check_selector(cta.target.selector, f"{path}.target.selector")
    if cta.href is not None:
        if harm := harm_of_value("href", cta.href):
            raise RulesError(harm, f"{path}.href")
        if cta.tracking and not addresses.takes_parameters(cta.href):
            raise RulesError("this link takes no query parameters; leave `tracking` out", f"{path}.href")
        if cta.tracking and "{{" in cta.href:
            raise RulesError(
                "`tracking` goes into an address without placeholders; write it into this one", f"{path}.href"
            )
        if addresses.with_parameters(cta.href, {}) is None:
            raise RulesError("line breaks and tabs are not allowed in an address", f"{path}.href")
    for name, value in cta.attributes.items():
        if harm := harm_of_name(name) or harm_of_value(name, value):
            raise RulesError(harm, f"{path}.attributes.{name}")

"""Components: templates of modules, rendered with their props when a rule is written, so that a visit sees only HTML.

A prop is escaped for where it stands, by the same positions as a visit's values; placeholders inside a prop go on as
placeholders. Content as a prop makes a tree of components, bounded in depth and in size.
Counterpart: `rules.model.Module.template`; `rules.html.positions` proves what comes out. Never: a value of a visit.
"""

from collections.abc import Mapping

from msgspec import Struct

from rules import limits
from rules.errors import RulesError
from rules.html.positions import html_template
from rules.model import Content, Module, Prop
from rules.placeholders import PROPS, Parts, Placeholder, parts_of, visit_parts
from rules.templates import Blank, Position, cleaned, escaped, html_escaped, text_of


class Component(Struct, frozen=True):
    """A template whose placeholders have their positions."""

    parts: tuple[str | tuple[Placeholder, Position], ...]

    @property
    def props(self) -> dict[str, None]:
        """Names of its props, in the order in which the template has them."""
        return dict.fromkeys(steps[1] for steps in self._steps if steps[0] == PROPS)

    @property
    def reads(self) -> frozenset[str]:
        """Names of the attributes that it is filled from, whoever uses it."""
        return frozenset(steps[0] for steps in self._steps if steps[0] != PROPS)

    @property
    def _steps(self) -> list[tuple[str, ...]]:
        return [part[0].steps for part in self.parts if not isinstance(part, str)]


Library = Mapping[str, Component | None]
"""Module id -> its component; None for a module without a template."""


def compile_component(module: Module, path: str) -> Component | None:
    """The component of a module; None if it has no template. Raises RulesError for one that can't be used."""
    if not module.template:
        return None
    parts = parts_of(module.template, path)
    for part in parts:
        if isinstance(part, Placeholder) and part.steps[0] == PROPS and len(part.steps) != 2:
            raise RulesError(f"{{{{{part.name}}}}}: a prop has one name, for example {{{{props.title}}}}", path)
    template = html_template(parts, path)
    placeholders = (part for part in parts if isinstance(part, Placeholder))
    return Component(
        tuple((next(placeholders), part.position) if isinstance(part, Blank) else part for part in template.parts)
    )


def html_parts(content: Content, library: Library, path: str, depth: int = 0) -> Parts:
    """Content as HTML with the placeholders that a visit fills. Raises RulesError at the path of the offence."""
    if content.text is not None:
        return _as_markup(visit_parts(content.text, f"{path}.text"), Position.TEXT)
    if content.html is not None:
        parts = visit_parts(content.html, f"{path}.html")
        if depth:
            html_template(parts, f"{path}.html")
        return parts
    return _rendered(content, library, path, depth)


def _rendered(content: Content, library: Library, path: str, depth: int) -> Parts:
    component = _component(content.component or "", library, f"{path}.component")
    if depth >= limits.COMPONENT_DEPTH_MAX:
        raise RulesError(f"components are nested more than {limits.COMPONENT_DEPTH_MAX} deep", path)
    for name in content.props:
        if name not in component.props:
            known = ", ".join(component.props) or "none"
            raise RulesError(
                f"the component {content.component!r} has no prop {name!r}; it has: {known}", f"{path}.props.{name}"
            )
    rendered: list[str | Placeholder] = []
    size = 0
    for part in component.parts:
        new = (part,) if isinstance(part, str) else _blank(*part, content, library, path, depth)
        rendered += new
        size += sum(len(piece) for piece in new if isinstance(piece, str))
        if size > limits.CONTENT_CHARACTERS_MAX:
            raise RulesError(f"the component becomes longer than {limits.CONTENT_CHARACTERS_MAX:,} characters", path)
    return tuple(rendered)


def _component(name: str, library: Library, path: str) -> Component:
    component = library.get(name)
    if component is None:
        known = ", ".join(sorted(name for name, one in library.items() if one is not None)[:20]) or "none"
        problem = f"the module {name!r} has no template" if name in library else f"there is no module {name!r}"
        raise RulesError(f"{problem}; components: {known}", path)
    return component


def _blank(
    placeholder: Placeholder, position: Position, content: Content, library: Library, path: str, depth: int
) -> Parts:
    """What stands in one placeholder's place."""
    if placeholder.steps[0] != PROPS:
        return (placeholder,)
    name = placeholder.steps[1]
    if name in content.props:
        return _prop(content.props[name], position, library, f"{path}.props.{name}", depth)
    if placeholder.fallback is None:
        raise RulesError(
            f"the component {content.component!r} needs the prop {name!r}: it has no fallback", f"{path}.props"
        )
    return _as_markup((placeholder.fallback,), position)


def _prop(value: Prop, position: Position, library: Library, path: str, depth: int) -> Parts:
    if isinstance(value, str):
        return _as_markup(visit_parts(value, path), position, path)
    if not isinstance(value, Content | list):
        if not (text := text_of(value)):
            raise RulesError("this number can't be written as JavaScript would; give it as a text", path)
        return _as_markup((text,), position, path)
    if position is not Position.TEXT:
        raise RulesError("content can't stand here, in an attribute or as text; give a text", path)
    if isinstance(value, Content):
        return html_parts(value, library, path, depth + 1)
    return tuple(
        part for index, one in enumerate(value) for part in html_parts(one, library, f"{path}[{index}]", depth + 1)
    )


def _as_markup(parts: Parts, position: Position, path: str = "$") -> Parts:
    """Literal text escaped for its position; placeholders stay.

    An address that an author writes out may have any scheme that content may have, so it is left to that check.
    """
    written: list[str | Placeholder] = []
    for part in parts:
        if isinstance(part, Placeholder) or not part:
            written += [part] if part else []
            continue
        fitting = cleaned(part) if position is Position.ADDRESS else escaped(cleaned(part), position)
        if fitting is None:
            raise RulesError(f"{part[:40]!r} is no part of an address", path)
        written.append(html_escaped(fitting))
    return tuple(written)

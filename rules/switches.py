"""What is switched off: by the toggles of a table, and by the words of a request.

A toggle that says no site and no page is settled when a mutation is compiled; one that does is found by the visit's
address, among those of that address only. Both mean the same: a mutation that fits does not apply, and nobody is enrolled
in an experiment that is named alone.
Counterparts: `rules.model.Toggle` has the fields, `rules.switch_words` the words, `rules.decision` asks.
Never: an exception for any visit; a cost for a visit that nothing here concerns.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from rules.assignment import NOBODY_OFF
from rules.conflicts import layer_of
from rules.context import Context
from rules.model import InVariation, LayoutMutation, Toggle, VariantMutation
from rules.page_index import PageIndex
from rules.pages import ANYWHERE, compile_page, compile_site
from rules.switch_words import NO_WORDS, Kind, Words, words_of


def experiments_of(mutation: LayoutMutation) -> tuple[str, ...]:
    """Ids of the experiments that a mutation depends on: the one it varies by, and the one of its trigger."""
    varied = (mutation.mutation_payload.experiment_id,) if isinstance(mutation, VariantMutation) else ()
    return (*varied, mutation.trigger.experiment) if isinstance(mutation.trigger, InVariation) else varied


class Toggled:
    """Toggles by the field that the fewest mutations share, so that only those are asked that could fit."""

    def __init__(self, toggles: Iterable[Toggle]) -> None:
        self._by: dict[tuple[str, str], list[Toggle]] = {}
        self.experiments: dict[str, str] = {}
        """Experiments in which nobody is enrolled -> why."""
        for toggle in sorted(toggles, key=lambda one: one.id):
            if _is_enrolment(toggle):
                self.experiments.setdefault(toggle.experiment_id or "", why(toggle))
            else:
                self._by.setdefault(_key(toggle), []).append(toggle)
        self._fields = {field for field, _ in self._by}

    def fitting(self, mutation: LayoutMutation, modules: frozenset[str]) -> str:
        """Why the toggles switch the mutation off, by the first toggle's id; "" if none does. `modules`: those it touches."""
        if not self._by:
            return ""
        near = [toggle for key in self._keys(mutation, modules) for toggle in self._by.get(key, ())]
        found = [toggle for toggle in near if _fits(toggle, mutation, modules)]
        return why(min(found, key=lambda one: one.id)) if found else ""

    def _keys(self, mutation: LayoutMutation, modules: frozenset[str]) -> Iterator[tuple[str, str]]:
        """Under which toggles stand that could fit the mutation; none for a field that no toggle stands under."""
        yield "", ""
        if "mutation" in self._fields:
            yield "mutation", mutation.id
        if "layer" in self._fields:
            yield "layer", layer_of(mutation).value
        if "module" in self._fields:
            yield from (("module", one) for one in modules)
        if "experiment" in self._fields:
            yield from (("experiment", one) for one in experiments_of(mutation))


def why(toggle: Toggle) -> str:
    """What an outcome says of a toggle."""
    return f"toggle {toggle.id}"


def _fits(toggle: Toggle, mutation: LayoutMutation, modules: frozenset[str]) -> bool:
    """Whether each field that a toggle gives fits; those of its address are not looked at."""
    return (
        (toggle.mutation_id is None or toggle.mutation_id == mutation.id)
        and (toggle.layer is None or toggle.layer is layer_of(mutation))
        and (toggle.module_id is None or toggle.module_id in modules)
        and (toggle.experiment_id is None or toggle.experiment_id in experiments_of(mutation))
    )


def _is_enrolment(toggle: Toggle) -> bool:
    """Whether it is about an experiment as a whole, and not about some of its mutations."""
    others = (toggle.mutation_id, toggle.module_id, toggle.layer)
    return toggle.experiment_id is not None and all(one is None for one in others)


def _key(toggle: Toggle) -> tuple[str, str]:
    if toggle.mutation_id is not None:
        return "mutation", toggle.mutation_id
    if toggle.module_id is not None:
        return "module", toggle.module_id
    if toggle.experiment_id is not None:
        return "experiment", toggle.experiment_id
    return ("layer", toggle.layer.value) if toggle.layer is not None else ("", "")


class InForce(Struct, frozen=True):
    """What is off for one visit, beside what is off for all."""

    experiments: Mapping[str, str] = NOBODY_OFF
    """Experiments in which nobody is enrolled -> why; those that are off for all too."""
    toggled: Toggled | None = None
    disabled: Words = NO_WORDS
    only: Words | None = None
    path: str = ""
    asks: bool = True
    """Whether a mutation could be off."""

    def why(self, mutation: LayoutMutation, modules: frozenset[str]) -> str:
        """Why a mutation is off for this visit; "" if it is not. `modules`: those it touches."""
        if self.toggled is not None and (found := self.toggled.fitting(mutation, modules)):
            return found
        if not self.disabled.words and self.only is None:
            return ""
        about = (mutation.id, layer_of(mutation), modules, experiments_of(mutation), self.path)
        if (word := self.disabled.fitting(*about, but=Kind.EXPERIMENT)) is not None:
            return f"by request: {word.text}"
        if self.only is not None and self.only.fitting(*about) is None:
            return f"by request: only {', '.join(word.text for word in self.only.words) or 'nothing'}"
        return ""


class Switches:
    """The toggles of a table, compiled."""

    def __init__(self, toggles: Sequence[Toggle] = (), path: str = "$.toggles") -> None:
        """`path` is where they are; raises RulesError for a site or page that is none."""
        for index, toggle in enumerate(toggles):
            compile_site(toggle.site, f"{path}[{index}].site")
            compile_page(toggle.page_slug, f"{path}[{index}].pageSlug")
        active = [toggle for toggle in toggles if toggle.is_active]
        self.everywhere = Toggled(toggle for toggle in active if _is_everywhere(toggle))
        """Those without an address."""
        self._placed = [toggle for toggle in active if not _is_everywhere(toggle)]
        self._index = PageIndex((toggle.site, toggle.page_slug) for toggle in self._placed)
        self._standing = InForce(self.everywhere.experiments, asks=False)

    def of_visit(self, context: Context) -> InForce:
        """What is off for a visit: by the toggles of its address, and by its own words."""
        found = self._index.find(context.site, context.path) if self._placed else ()
        if not found and not context.disabled and context.only is None:
            return self._standing
        toggled = Toggled(self._placed[number] for number in found) if found else None
        disabled = words_of(context.disabled)
        asked = {word.name: f"by request: {word.text}" for word in disabled.words if word.kind is Kind.EXPERIMENT}
        return InForce(
            experiments=asked | (toggled.experiments if toggled else {}) | self.everywhere.experiments,
            toggled=toggled,
            disabled=disabled,
            only=None if context.only is None else words_of(context.only),
            path=context.path,
        )


def _is_everywhere(toggle: Toggle) -> bool:
    return toggle.site == ANYWHERE and toggle.page_slug == ANYWHERE


NO_SWITCHES = Switches()

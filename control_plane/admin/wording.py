"""The words of the admin: labels, hints, examples and what each reason means, by the names of the schema.

Counterpart: `form_fields` decides which fields there are; a field without an entry here is labelled by its own name.
Never: a value that a rule depends on. Tests hold every entry against the schema, so that none outlives its field, and
every example against the rules.
"""

# ruff: noqa: RUF001 - sentences for people have real apostrophes

import re
from collections.abc import Iterable

from msgspec import Struct

from control_plane.admin.form_fields import FormField, mutation_types
from rules.reasons import Reason
from service.opinions import Opinion, Verdict

LABELS: dict[str, tuple[str, str]] = {
    "name": ("Name", "What it is for, in your team’s words. Visitors never see it."),
    "note": ("Note", "Anything the next person should know: the ticket, the brief, what to watch."),
    "site": ("Site", "shop.example, *.example for all hosts below it, or * for any."),
    "pageSlug": ("Page", "/ is the front page, /offers/* one level, /blog/** everything below, * any page."),
    "layoutId": ("Layout", "The page template, if the origin names it in X-Layout-Id; * for any."),
    "moduleId": ("Module", "The registered module it belongs to; empty for a change to the page as a whole."),
    "trigger.on": ("Considered", ""),
    "trigger.segment": ("Segment", "A registered segment."),
    "trigger.journey": ("Journey", "A declared attribute of the kind journey."),
    "trigger.step": ("Step", "One of the journey’s."),
    "trigger.progress": ("Where the visit stands", ""),
    "trigger.quiz": ("Quiz", "A declared attribute of the kind quiz."),
    "trigger.question": ("Question", "One of the quiz’s."),
    "trigger.answers": ("Answers", "One on each line, any of which will do. Empty: any answer at all."),
    "trigger.emotions": ("Emotions", "One on each line: what the attribute emotion says, for example joy."),
    "trigger.schedule.startsAt": ("Begins", "In the time zone below. Empty: at once."),
    "trigger.schedule.endsAt": ("Ends", "Empty: never."),
    "trigger.schedule.timezone": ("Zone of these times", "For example Europe/Berlin; summer time is taken care of."),
    "trigger.schedule.daysOfWeek": ("On which days", "None ticked is every day."),
    "trigger.schedule.hours.from": ("From what hour", ""),
    "trigger.schedule.hours.to": ("To what hour", "Not included. Earlier than the first: over midnight."),
    "trigger.experiment": ("Which experiment", "A registered experiment; whoever it enrols."),
    "trigger.variations": (
        "Which of its arms",
        "Keys of variations, one on each line, any of which will do. Empty: all of them.",
    ),
    "trigger.devices": ("Devices", "As the User-Agent says."),
    "trigger.regions": ("Regions", "Codes, one on each line: DE for a country, DE-BY for a part of it."),
    "trigger.locales": ("Languages", "One on each line: de takes de-AT in, de-AT is just that."),
    "trigger.referrers": ("Coming from", "Hosts, one on each line: news.example, or *.news.example below it."),
    "trigger.sources": ("Campaign sources", "utm_source, one on each line."),
    "trigger.mediums": ("Campaign mediums", "utm_medium, one on each line."),
    "trigger.campaigns": (
        "Campaigns",
        "utm_campaign, one on each line. Of these fields, each that is filled in must fit.",
    ),
    "trigger.first": (
        "The visitor’s first visit is meant",
        "What is remembered of it, instead of this page’s referral.",
    ),
    "trigger.when.event": ("What happens", "In the browser, where such a mutation is carried out."),
    "trigger.when.percent": ("Scrolled down, per cent", "For a scroll depth: how much of the page was seen."),
    "trigger.when.seconds": ("Idle for, seconds", "For an idle visitor."),
    "trigger.when.name": ("Name of the event", "For an event of the site’s own scripts: basket:opened."),
    "trigger.when.target.selector": ("Comes into view", "For an element: its CSS selector."),
    "trigger.when.target.moduleId": ("… or registered module", "Instead of a selector, not beside it."),
    "trigger.when.target.maxMatches": ("Matches at most", "If more elements match, none is watched."),
    "delivery": (
        "Delivery",
        "By itself, it is the edge; the browser for what happens there. For React, Vue and their like: docs/hydration.md.",
    ),
    "conditions": ("Conditions", "A JSON object; {} is everybody. What rows say above is written here."),
    "priority": ("Priority", "Where two mutations want the same thing, the higher number wins."),
    "layer": ("Layer", "On the same target the more specific layer wins. By itself, it follows from module and page."),
    "schedule.startsAt": ("From", "In the time zone below. Empty: at once."),
    "schedule.endsAt": ("Until", "Empty: until it is switched off."),
    "schedule.timezone": ("Time zone", "For example Europe/Berlin; summer time is taken care of."),
    "schedule.daysOfWeek": ("Days", "None ticked is every day."),
    "schedule.hours.from": ("From hour", ""),
    "schedule.hours.to": ("To hour", "Not included. Earlier than the first: over midnight."),
    "mutationPayload.target.selector": ("CSS selector", 'Which elements: h1, .hero p, [data-module="offers"] a.'),
    "mutationPayload.target.moduleId": ("… or registered module", "Instead of a selector, not beside it."),
    "mutationPayload.target.required": (
        "The page must have it",
        "If nothing matches, the whole mutation does not apply.",
    ),
    "mutationPayload.target.maxMatches": ("Matches at most", "If more elements match, nothing happens."),
    "mutationPayload.position": ("Where it goes", ""),
    "mutationPayload.anchor.selector": ("Beside or inside which element", "The first match on the page: main > h1."),
    "mutationPayload.anchor.moduleId": ("… or which module", "Instead of a selector, not beside it."),
    "mutationPayload.anchor.required": ("The page must have that one", "If nothing matches, nothing happens at all."),
    "mutationPayload.anchor.maxMatches": ("Such elements at most", "If more elements match, nothing happens."),
    "mutationPayload.container.selector": ("Children of which element", "main, .teasers, ul.menu."),
    "mutationPayload.container.moduleId": ("… or of which module", "Instead of a selector, not beside it."),
    "mutationPayload.container.required": ("The page must have it", "If nothing matches, nothing happens at all."),
    "mutationPayload.container.maxMatches": ("Matches at most", "If more elements match, nothing happens."),
    "mutationPayload.order": ("Order", "A JSON list of targets. What is not listed follows, in its present order."),
    "mutationPayload.regions": ("Regions", "A JSON object: a name of your choice for each part of the page."),
    "mutationPayload.scope": ("What is replaced", ""),
    "mutationPayload.mode": ("How it is hidden", ""),
    "mutationPayload.keepContent": ("Keep what is inside", "Only the element’s own tags go."),
    "mutationPayload.content": (
        "New content",
        "HTML must be a whole piece. A component is JSON, with its props. {{locale|en}} is filled from the visit.",
    ),
    "mutationPayload.operations": ("Operations", "A JSON list, carried out in order."),
    "mutationPayload.tokens": ("Tokens", "A JSON object of custom properties, for the whole page."),
    "mutationPayload.classes": ("Classes", "Class names, one on each line, added to <html>."),
    "mutationPayload.stylesheet": ("Style sheet", "A path or an http(s) address; the site’s policy must allow it."),
    "mutationPayload.css": ("CSS", "Written into the page as it is; the site’s policy must allow inline styles."),
    "mutationPayload.label": ("Label", "Text in place of what is inside the element."),
    "mutationPayload.href": ("Link", "Where it leads: a path or an http(s) address."),
    "mutationPayload.attributes": ("Attributes", "A JSON object of further attributes."),
    "mutationPayload.tracking": ("Tracking", "A JSON object of query parameters; the link’s others stay."),
    "mutationPayload.to": ("Leads to", "A path of the same site, or an http(s) address."),
    "mutationPayload.status": ("Status", "Browsers remember 301 and 308; the others are asked for again each time."),
    "mutationPayload.keepQuery": ("Keep the query", "The visit’s query parameters go along."),
    "mutationPayload.experimentId": ("Experiment", "Who sees which variation is decided there."),
    "mutationPayload.attribute": ("Attribute", "Whose value names the case, for example emotion or query.mood."),
    "mutationPayload.cases": ("Cases", "A JSON object: a value of the attribute, and the operations for it."),
    "mutationPayload.otherwise.operations": (
        "Otherwise",
        "A JSON list of operations for every other visit. Empty: those visits get the page as it is.",
    ),
    "mutationPayload.variations": ("Variations", "A JSON object: a key for each variation. The first is the control."),
}

TOGGLE_LABELS: dict[str, tuple[str, str]] = {
    "toggle.name": ("Name", "So that others know it: Shop sale, all off."),
    "toggle.site": ("Site", "shop.example, *.example for all hosts below it, or * for any."),
    "toggle.pageSlug": ("Page", "/checkout/** for everything below, /** for every page; * says nothing of pages."),
    "toggle.layer": ("Layer", ""),
    "toggle.moduleId": ("Module", "Whatever touches it."),
    "toggle.mutationId": ("Mutation", "Its id."),
    "toggle.experimentId": ("Experiment", "What depends on it. Nobody is enrolled, and nobody forgets a variation."),
    "toggle.isActive": ("In force at once", "Otherwise it waits in the list until it is needed."),
    "toggle.note": ("Note", "Why, and when it may be lifted."),
}

SERVICE_LABELS = {
    "isActive": "Switched on",
    "status": "State",
    "mutationType": "Type",
    "trigger.when.target.required": "The page must have it",
}
"""Fields that no form has, and histories do."""

CHOICES: dict[str, dict[str, str]] = {
    "trigger.on": {
        "pageLoad": "On every page load",
        "segment": "For visits of a segment",
        "journey": "At a point of a journey",
        "quiz": "After an answer to a quiz",
        "emotion": "For an emotion",
        "schedule": "At certain times",
        "experiment": "For visits in an experiment",
        "device": "For a kind of device",
        "region": "For a country or region",
        "locale": "For a language",
        "referral": "For visits that come from somewhere",
        "client": "When something happens in the browser",
    },
    "trigger.progress": {
        "at": "The step was reached last",
        "reached": "The step was reached",
        "notReached": "The step was not reached yet",
    },
    "trigger.schedule.daysOfWeek": {
        "mon": "Mon", "tue": "Tue", "wed": "Wed", "thu": "Thu", "fri": "Fri", "sat": "Sat", "sun": "Sun",
    },
    "trigger.devices": {
        "desktop": "Desktop", "mobile": "Mobile", "tablet": "Tablet", "tv": "TV", "bot": "Robot", "other": "Other",
    },
    "trigger.when.event": {
        "scrollDepth": "The page was scrolled down",
        "exitIntent": "The pointer leaves the window",
        "idle": "Nothing was done for a while",
        "visible": "An element comes into view",
        "customEvent": "A script of the site says so",
    },
    "delivery": {
        "edge": "Edge: the page is changed on its way",
        "guarded": "Guarded: and put back if a framework undoes it",
        "client": "Client: changed in the browser",
    },
    "layer": {"global": "Global", "page": "Page", "module": "Module", "micro": "Micro"},
    "toggle.layer": {"global": "Global", "page": "Page", "module": "Module", "micro": "Micro"},
    "schedule.daysOfWeek": {
        "mon": "Mon", "tue": "Tue", "wed": "Wed", "thu": "Thu", "fri": "Fri", "sat": "Sat", "sun": "Sun",
    },
    "mutationPayload.position": {
        "before": "Before the element",
        "after": "After the element",
        "prepend": "Inside it, at the beginning",
        "append": "Inside it, at the end",
    },
    "mutationPayload.scope": {"element": "The element with its tags", "inner": "Only what is inside it"},
    "mutationPayload.mode": {
        "style": "By a style rule: the element stays in the page",
        "attribute": "By the attribute hidden",
        "remove": "By leaving it out of the page",
    },
    "mutationPayload.content": {"text": "Text", "html": "HTML", "component": "Component"},
}  # fmt: skip

PLACEHOLDERS: dict[str, str] = {
    "name": "Summer headline on the front page",
    "mutationPayload.target.selector": "h1",
    "mutationPayload.experimentId": "front-page-headline",
    "mutationPayload.stylesheet": "/themes/autumn.css",
    "mutationPayload.href": "/offers/quince",
    "mutationPayload.to": "/offers",
}

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "mutationPayload.operations": (
        (
            "A new headline, a class on the button, and a notice under it:",
            """[
  {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "Summer is here"}},
  {"verb": "addClass", "target": {"selector": ".hero .button"}, "names": ["is-large"]},
  {"verb": "after", "target": {"selector": ".hero .button"}, "content": {"html": "<p>Free returns</p>"}}
]""",
        ),
    ),
    "mutationPayload.tokens": (("A warmer page:", '{"--brand-colour": "#b5541c", "--radius": "0.75rem"}'),),
    "mutationPayload.tracking": (("A campaign:", '{"utm_source": "site", "utm_campaign": "autumn"}'),),
    "mutationPayload.variations": (
        (
            "The control stays as it is; the other half of the visits sees another headline:",
            """{
  "control": {"operations": []},
  "warm": {"operations": [
    {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "Good to see you"}}
  ]}
}""",
        ),
    ),
    "mutationPayload.cases": (
        (
            "Another headline for visits that bring the attribute emotion, and a class for one of them:",
            """{
  "joy": {"operations": [
    {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "What a day, {{name|friend}}"}}
  ]},
  "calm": {"operations": [{"verb": "addClass", "target": {"selector": "body"}, "names": ["is-calm"]}]}
}""",
        ),
    ),
    "mutationPayload.order": (
        ("The offer first, then the reviews, then everything else:",
         '[{"selector": ".offer"}, {"moduleId": "reviews"}]'),
    ),
    "mutationPayload.regions": (
        ("Two modules at the top of the page, wherever they stand now, and one that is not shown:",
         """{
  "main": {
    "container": {"selector": "main"},
    "modules": ["offer", "reviews"],
    "hidden": ["newsletter"]
  }
}"""),
    ),
    "conditions": (
        ("Visits in German that come back:", '{"language": "de", "returning": true}'),
        ("From a campaign, on a phone or in one of two languages:",
         '{"query.utm_source": "summer", "$or": [{"mobile": true}, {"language": {"$in": ["de", "fr"]}}]}'),
        ("Everybody but those who come from the partner:", '{"$not": {"referrer": {"$regex": "(^|\\\\.)partner\\\\.example$"}}}'),
    ),
}  # fmt: skip

REASONS: dict[Reason, str] = {
    Reason.APPLIED: "Applied",
    Reason.INACTIVE: "Switched off, or not yet active",
    Reason.OTHER_SITE: "Belongs to another site",
    Reason.OTHER_PAGE: "Belongs to another page",
    Reason.OTHER_LAYOUT: "Belongs to another layout",
    Reason.SCHEDULE: "Outside its schedule",
    Reason.TRIGGER: "Its trigger doesn’t fit this visit",
    Reason.CONDITIONS: "Its conditions don’t fit this visit",
    Reason.NOT_IN_EXPERIMENT: "This visit isn’t in the experiment",
    Reason.CONTROL: "This visit is in the control variation",
    Reason.SWITCHED_OFF: "It is switched off: by its module, a toggle, or the request",
    Reason.TARGET_NOT_FOUND: "Nothing on the page matches its target",
    Reason.TOO_MANY_MATCHES: "More elements match than it allows",
    Reason.SHADOWED: "A mutation that goes first changes the same place",
    Reason.AMBIGUOUS_SPAN: "Where its target begins or ends in the source can’t be told for certain",
    Reason.UNSAFE_TARGET: "It can’t be put safely at that place",
    Reason.LOOP: "It leads to the address that is being visited",
    Reason.NO_CHANGE: "The page is already like that",
    Reason.DELIVERED: "Handed to the browser, which does it at its time",
    Reason.NOT_DELIVERED: "The page’s policy, or its form, keeps the browser script out",
    Reason.UNUSABLE: "It can’t be used after all: please report this",
}
"""What became of one mutation. A reason that concerns the page as a whole is shown as its own word."""

TYPE_TITLES = {"cta": "Call to action"}
"""Types whose own name is no word."""

TYPES: dict[str, str] = {
    "set": "Several operations, one after the other, written as JSON.",
    "insert": "New content beside an element or inside it.",
    "replace": "Other content in place of an element.",
    "hide": "An element that visitors don’t see.",
    "remove": "An element that is left out of the page.",
    "emotionMap": "Other operations for each emotion, or whatever else an attribute of the visit says.",
    "move": "An element that stands elsewhere on the page.",
    "reorder": "The children of an element in another order.",
    "layout": "Modules in their places: which region, in which order, and which are hidden.",
    "theme": "Other tokens, classes or styles for a whole page.",
    "cta": "Another label, link or tracking for a button.",
    "redirect": "Another address instead of the page.",
    "variant": "Other operations for each variation of an experiment.",
}

TONES = {
    "active": "good", "experimental": "test", "paused": "warn", "draft": "", "archived": "",
    "applied": "good", "delivered": "good", "not_delivered": "warn", "shadowed": "warn",
    "target_not_found": "warn", "too_many_matches": "warn",
    "ambiguous_span": "warn", "loop": "warn", "unsafe_target": "bad",
}  # fmt: skip
"""Colour of a state or outcome; the word always stands beside it."""

DONE = {
    "created": "Saved as a draft. Nothing is shown to visitors until you switch it on.",
    "existing": "This one was there already: it does the same on the same pages, so nothing was saved.",
    "saved": "Saved.",
    "activated": "Switched on.",
    "deactivated": "Switched off. Visitors get the page as the origin sends it.",
    "archived": "Archived. Its history stays.",
    "restored": "Restored, and switched off: it is as it was before it was archived.",
    "rolled_back": "Rolled back: the older content is the newest version now.",
    "toggle_created": "The toggle is saved.",
    "toggle_on": "Switched off for everybody.",
    "toggle_off": "Lifted. What it switched off applies again.",
    "toggle_deleted": "Deleted. Its history stays.",
    "healed": "Looked at, and repaired what nothing can be lost by.",
    "settings": "Saved. Every instance goes by it within seconds.",
    "acknowledged": "Acknowledged. A notice is over with that; anything else stays until it is no longer so.",
    "mended": "What was certain is saved.",
    "undone": "Taken back, as a change of its own: it is the newest entry, and can be undone like any other.",
    "brought_back": "It is there again, as it was before it was deleted.",
    "settled_ours": "Settled: the change that waited is in force, as a new version.",
    "settled_theirs": "Settled: what stands stays in force. The audit keeps that there was another side.",
}
"""What a button did, by the word in the address of the page that follows."""


class Section(Struct, frozen=True):
    """A part of the form. `beginnings` are the first steps of its fields' names."""

    key: str
    title: str
    text: str
    beginnings: tuple[str, ...]


SECTIONS = (
    Section("about", "About", "So that others find it and know what it is for.", ("name", "note")),
    Section("change", "The change", "What happens to the page, and to which part of it.", ("mutationPayload",)),
    Section("where", "Where", "On which site and pages it is considered at all.", ("site", "pageSlug", "moduleId", "layoutId")),
    Section("whom", "For whom", "Which visits see it. A rule that reads something about the visitor keeps the page "
            "out of shared caches.", ("trigger", "conditions")),
    Section("when", "When", "Outside these times the page stays as it is.", ("schedule",)),
    Section("how", "How", "Who changes the page.", ("delivery",)),
    Section("rank", "Precedence", "Who wins where mutations meet.", ("priority", "layer")),
)  # fmt: skip
LATE = frozenset(
    f"mutationPayload.{name}.{catch}"
    for name in ("target", "anchor", "container")
    for catch in ("required", "maxMatches")
)
"""Safety catches: the last of their section."""
REST = Section("more", "More", "", ())


_LABELS = LABELS | TOGGLE_LABELS


def sections(fields: Iterable[FormField]) -> list[tuple[Section, list[FormField]]]:
    """The fields in the order of the form; whatever has no section of its own comes last."""
    filed: dict[str, list[FormField]] = {section.key: [] for section in (*SECTIONS, REST)}
    for field in fields:
        first = field.name.partition(".")[0]
        home = next((section for section in SECTIONS if first in section.beginnings), REST)
        filed[home.key].append(field)
    found = [(section, filed[section.key]) for section in (*SECTIONS, REST) if filed[section.key]]
    return [(section, sorted(inside, key=lambda field: _rank(section, field))) for section, inside in found]


def _rank(section: Section, field: FormField) -> int:
    """The order of `beginnings`; sorting is stable, so that fields below one beginning keep the schema's order."""
    first = field.name.partition(".")[0]
    if field.name in LATE:
        return len(section.beginnings)
    return section.beginnings.index(first) if first in section.beginnings else 0


def label(field: FormField) -> str:
    """What stands above a field."""
    return _LABELS[field.name][0] if field.name in _LABELS else _spaced(field.key)


def hint(field: FormField) -> str:
    """What stands below a field: ours, else the schema's."""
    return _LABELS[field.name][1] if field.name in _LABELS else field.hint


def unchosen(field: FormField) -> str:
    """What a choice that stays open means."""
    return "Any" if field.name in TOGGLE_LABELS else "By itself"


def choice(name: str, value: str) -> str:
    """One value of a choice, in words."""
    return CHOICES.get(name, {}).get(value) or _spaced(value)


def reason(value: str) -> str:
    """What became of a mutation, in words."""
    return REASONS.get(Reason(value), _spaced(value.replace("_", " "))) if value in set(Reason) else _spaced(value)


def opinion(given: Opinion) -> str:
    """What the second opinion is, in words; one that differs is told elsewhere, and louder."""
    if given.verdict is Verdict.AGREES:
        return "A second parser agrees: the page after is the page before with just these changes."
    if given.verdict is Verdict.NO_OPINION and given.doubt is not None:
        return f"A second parser has no opinion on this page ({_spaced(given.doubt.replace('_', ' ')).lower()})."
    return ""


def type_title(mutation_type: str) -> str:
    """What a mutation type is called."""
    return TYPE_TITLES.get(mutation_type) or _spaced(mutation_type)


def type_text(mutation_type: str) -> str:
    """What a mutation type does: in our words, else in the schema's."""
    return TYPES.get(mutation_type) or (mutation_types()[mutation_type].__doc__ or "").strip().splitlines()[0]


def path_label(path: str) -> str:
    """A JSON path as the form names it: the label of the field that it is in, and which entry of a list."""
    if path in SERVICE_LABELS:
        return SERVICE_LABELS[path]
    field, bracket, place = path.partition("[")
    while field not in LABELS and "." in field:
        field = field.rpartition(".")[0]
    if field not in LABELS:
        return path
    number = place.partition("]")[0]
    return f"{LABELS[field][0]}, entry {int(number) + 1}" if bracket and number.isdecimal() else LABELS[field][0]


def field_label(kind: str, path: str) -> str:
    """The same for a document of any kind: mutations and toggles have forms, the others are labelled by their own names."""
    if kind == "toggle":
        return _LABELS.get(f"toggle.{path}", (SERVICE_LABELS.get(path) or _spaced(path), ""))[0]
    found = path_label(path)
    return _spaced(path) if found == path and path.isalnum() else found


def _spaced(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
    return words[:1].upper() + words[1:]

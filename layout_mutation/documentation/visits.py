"""The chapter about the attributes of a visit, from the registry, and for origin developers how to hand over some of a page.

Counterpart: `rules.context` has the registry. Never: a name, a type or a bound that is written here by hand.
"""

from rules import context, limits
from rules.context import Attribute, Member, Privacy

_CACHES = {
    Privacy.PAGE: "may keep the response",
    Privacy.VISITOR: "may not",
    Privacy.KEPT: "may not; absent without consent",
}

_INTRODUCTION = """\
## Attributes of a visit

What conditions, triggers and placeholders can read; `campaign.source` is the member `source` of `campaign`. An attribute that a
visit does not have is absent, and so is text above {characters} characters out of a cookie, a header or a campaign. Each is made
only where rules of the page read it. Where a rule reads something about the visitor, matched or not, the response is marked
private to shared caches; what is *kept* lives in the visitor's browser, and is not there before consent.

| attribute | type | from | shared caches |
| --- | --- | --- | --- |"""

_MEMBERS = """
Members:

| path | type | from |
| --- | --- | --- |"""

_AFTERWARDS = """
`query`, `page`, `cookies` and `headers` hold whatever there is. Further attributes come from `SIDECAR_UNITS` and from what a
rules file declares.

The User-Agent is read with uap-core's patterns: what it calls a spider is a `bot`. Browsers say less and less there, so client
hints go before it, and some things it can't tell: an iPad that asks for desktop pages is a `desktop`. Countries, regions, cities
and time zones come from headers that a CDN or proxy in front writes and overwrites; nothing is looked up here, and
without a setting these attributes are absent. A test against `hour`, `dayOfWeek` or `date` makes a page private; a `schedule`
does not.

### What the origin says of its page

An origin hands over attributes of a page as members of `page`, in any of three ways. Of the same name, the header goes before the
script, and the script before the metas.

```
X-Layout-Attributes: {{"emotion": "calm", "stock": 3}}
```
```html
<script type="application/json" data-layout-attributes>{{"emotion": "calm", "stock": 3}}</script>
<meta name="layout-mutation:emotion" content="calm">
```

Header and script hold one JSON object of at most {kilobytes} KB and {names} names; a meta is text of at most {characters}
characters, its name one of letters, digits, `_` and `-`. Of several scripts or metas of a name the first counts, a header that is
there twice is none. Comments, templates and text are not looked at. What is no JSON object counts as absent, and is counted
(`layout_mutation_handed_over_refused`) and logged; it costs no page. Best write it in the head: a page is looked through up to
the last place that mentions any of it.

`page` is taken to be the same for everybody who asks for an address: a page that rules change by it stays in shared caches, if
the origin allows that. An origin that writes something about the visitor there has to send the page `Cache-Control: private`, as
it must anyway. Visitors can read all of it.

Where rules of an address read `page`, its pages are gathered before anything is decided, within the bounds of a page that is
rewritten (`SIDECAR_PAGE_BYTES_MAX`, `SIDECAR_BUFFER_MS_MAX`), and the origin is asked without conditions, since its 304 would have
no body to read. The browser's own copy is still confirmed where the page came out the same. An origin that only sends the header
saves nothing of that, since a page might say more. The answer to HEAD and a page above the bounds are decided by the header alone.
"""


def chapter() -> str:
    """The chapter."""
    rows = [_row(attribute) for attribute in context.ATTRIBUTES]
    members = [_member(attribute, member) for attribute in context.ATTRIBUTES for member in attribute.members]
    bounds = {
        "characters": limits.ATTRIBUTE_CHARACTERS_MAX,
        "kilobytes": limits.HANDED_OVER_BYTES_MAX // 1024,
        "names": limits.HANDED_OVER_NAMES_MAX,
    }
    texts = [_INTRODUCTION.format(**bounds), *rows, _MEMBERS, *members, _AFTERWARDS.format(**bounds)]
    return "\n".join(texts)


def _row(attribute: Attribute) -> str:
    words = [f"`{value}`" for value in attribute.values if isinstance(value, str)]
    source = f"{attribute.source}: {', '.join(words)}" if words else attribute.source
    return f"| `{attribute.name}` | {attribute.type} | {source} | {_CACHES[attribute.privacy]} |"


def _member(attribute: Attribute, member: Member) -> str:
    return f"| `{attribute.name}.{member.name}` | {member.type} | {member.source} |"

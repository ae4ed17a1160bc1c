"""The chapter about what is remembered of visitors: attributes of earlier pages, and the cookie that holds them.

Counterpart: `reference` has the fields of what is declared. Never: a rule of its own; it tells what `rules.remembering`,
`rules.state` and `sidecar.remembering` do.
"""

import msgspec

from layout_mutation.documentation.source import notes
from rules import limits
from sidecar.context import state_cookie

_EXAMPLE = {
    "attributes": {
        "buying": {"step": "basket", "furthest": "basket", "reached": ["offer", "basket"], "completed": False},
        "taste": {"palate": "sweet"},
        "offersSeen": 3,
        "firstReferral": {"referrer": "market.example", "source": "market", "landing": "/"},
        "visits": 2,
    },
    "assigned": {"button-wording__0": "new"},
}

_ATTRIBUTES = """\
## What is remembered

Journeys, quizzes and counters that a rules file declares, `firstReferral`, `visits` and `pagesSeen` where rules read them, and
the assignments of experiments live in one cookie, `lm_state`, in the visitor's own browser. The origin is not asked and no
server stores anything. A site without any of these in its rules has no such cookie.

| declared | value of the attribute | grows with |
| --- | --- | --- |
| journey | `{step, furthest, reached, completed}`; no `step` and `furthest` before the first step | the first page that matches a step's `site`, `pageSlug` and `conditions` |
| quiz | `{question: answer}` | pages that match and whose query has an allowed answer; the last one stands |
| counter | a number, 0 before the first | pages that match, up to `max` |

A page is remembered first and decided then: the page with the answer already knows it. Conditions of steps and counters see
the visit with what was remembered *before* this page, whatever order they stand in. What is declared no longer is dropped;
`within: session` is dropped with the session, which ends after {session} minutes without a page.

A page counts where the visitor sees one: a GET whose answer is 2xx HTML. Partials, assets, APIs, errors, downloads and answers to
POST don't; they are decided with what is known.

Preview, `/apply`, `/explain` and `layout-mutation rewrite --context` keep nothing. They take all this as plain JSON, and decide the
same:

```json
"""

_COOKIE = """\
```

### The cookie `lm_state`

HttpOnly, SameSite=Lax, Path=/, Secure on https, for `SIDECAR_STATE_DAYS` after the last page and {days} days after the first.
It is signed (HMAC-SHA-256 with `SIDECAR_STATE_KEYS`), not encrypted: visitors can read what is remembered of them, and can't
change it. Without keys nothing is remembered, and these attributes are not there. With `SIDECAR_CONSENT=required` and without the
consent cookie it is neither read nor written, and removed where it is found. All sidecars of a site have the same keys. To
change them, put the new one first, and take the old one away after `SIDECAR_STATE_DAYS`.

It is written when something changed. Where sessions matter it is also written when the last page in it is {stale} minutes old,
so a session may end up to {stale} minutes early; else once a day. Two pages that load at once may lose what one of them adds.

**Consent and age.** What is kept in a browser is `lm_state` and the unit id `lm_uid`. With `SIDECAR_PRIVACY_SIGNALS` a visit with
`Sec-GPC: 1` (`gpc`), `DNT: 1` (`dnt`) or either (`both`) counts as one without consent, whatever the consent cookie says: neither is
read or set, it is in no experiment by `lm_uid`, and nothing is counted for it. What a browser still has of either, as after a consent that
was withdrawn, it is told to forget, with the next whole page of HTML that rules are asked about; that response is private. Pages whose rules read either are private to shared
caches for everybody, so no cache needs to know the signal. Units of `SIDECAR_UNITS` and cookies of `SIDECAR_COOKIES` are the site's own and
not touched by it. A browser keeps its `lm_uid` for `SIDECAR_UNIT_DAYS`, and gets a new one when the day that the id names is longer ago;
an id without a day lasts as long as the browser keeps it.

**Caching.** A page that could add something is private to shared caches, whoever visits it: out of a cache it would add nothing.
That is: pages of steps and counters, addresses with an allowed answer, and *every page of the site* where any rule of the table
reads `firstReferral`, `visits` or `pagesSeen`. Pages whose rules read what is remembered are private like all that look at the
visitor. Where the browser has to be told something, a conditional request gets the whole page; a 304 never sets the cookie.

**Bounds.** The value has at most {characters:,} characters. Where it is full, these go first: assignments of experiments that the
table does not have, the oldest first; the landing page; the rest of the first referral; the other assignments; declared attributes,
the last one first. Texts of a referral are cut at {referral} characters.

A cookie that does not count is no state; `layout_mutation_states_refused_total` says how often and why:

| reason | meaning |
| --- | --- |
"""


def chapter() -> str:
    """The chapter."""
    example = msgspec.json.format(msgspec.json.encode(_EXAMPLE), indent=2).decode()
    said = notes(state_cookie)["Refusal"]
    rows = "\n".join(f"| `{one.value}` | {said.get(one.name, '')} |" for one in state_cookie.Refusal)
    cookie = _COOKIE.format(
        days=limits.STATE_DAYS_MAX,
        stale=limits.STATE_MINUTES_STALE,
        characters=state_cookie.CHARACTERS_MAX,
        referral=limits.REFERRAL_CHARACTERS_MAX,
    )
    return _ATTRIBUTES.replace("{session}", str(limits.SESSION_MINUTES)) + example + "\n" + cookie + rows + "\n"

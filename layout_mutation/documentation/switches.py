"""The chapter on switches: toggles in the rules, words by request, preview links, everything off, rules tried out.

Counterpart: `rules.switches` and `rules.switch_words`; the kinds of words are read off them.
"""

from rules import limits
from rules.model import Layer
from rules.previews import PARAMETER, PREFIX, Refusal
from rules.switch_words import Kind
from sidecar.context import toggles

_NAMES = {
    Kind.EVERYTHING: ("`*`", "everything"),
    Kind.MODULE: (
        "`hero` or `module:hero`",
        "mutations that touch the module; `module:` is needed where its id has a colon",
    ),
    Kind.MUTATION: ("`mutation:ID`", "the mutation"),
    Kind.EXPERIMENT: (
        "`experiment:ID`",
        "to disable: nobody is enrolled; as the only thing: mutations of type `variant` of it, or with its trigger",
    ),
    Kind.LAYER: ("`layer:micro`", f"mutations of the layer: {', '.join(f'`{layer}`' for layer in Layer)}"),
    Kind.PAGE: ("`page:/offers/**`", "everything on these pages, a pattern as in `pageSlug`"),
}

_WORDS = f"""
**By request.** With `{toggles.TOKEN}` (`SIDECAR_OPS_TOKEN`), one request can be served otherwise; the response is
`no-store`, and the origin sees none of these fields.

| field | it does |
| --- | --- |
| `{toggles.OFF}: off` | the origin's page |
| `{toggles.DISABLE}: hero, layer:micro` | what these words name is off |
| `{toggles.ONLY}: mutation:ID` | what none of these words name is off |
| `{toggles.FORCE}: experiment=variation` | this variation, whatever the bucket; before every toggle of an experiment |
| `{toggles.EXPLAIN}: 1` | the response says in the same field what became of each mutation |
"""

_LINES = f"""
A word that is none of these names nothing, and the explanation says `WORD=not_understood`. The context file of
`layout-mutation rewrite`, the preview and `POST /apply` take the same words in `disabled` and `only`.

    curl -H "{toggles.TOKEN}: $SIDECAR_OPS_TOKEN" -H "{toggles.DISABLE}: layer:micro, page:/offers/**" https://shop.example/offers/tea
    curl -H "{toggles.TOKEN}: $SIDECAR_OPS_TOKEN" -H "{toggles.ONLY}: experiment:price" https://shop.example/offers/tea

A proxy in front can switch for everybody, with no table published and no sidecar restarted. It must take what visitors
send in these fields away. In nginx, beside `proxy_pass`:

    proxy_set_header {toggles.TOKEN} $ops_token;   # a variable with the token, or "" for no field at all
    proxy_set_header {toggles.DISABLE} "experiment:price";
    proxy_set_header {toggles.ONLY} "";
    proxy_set_header {toggles.FORCE} "";
    proxy_set_header {toggles.EXPLAIN} "";
    proxy_set_header {toggles.OFF} "";

In HAProxy, in the frontend or the backend of the sidecars:

    http-request del-header X-Layout-Mutation -m beg
    http-request set-header {toggles.TOKEN} "$OPS_TOKEN"
    http-request set-header {toggles.DISABLE} "experiment:price"

While a proxy does so every HTML response is `no-store`: a toggle of the rules is better for more than minutes.
"""


_EVERYTHING = """
**Everything at once, on one machine.** It works with Redis and the control plane away, and asks nothing of the rules: within
a second every page of the sidecar passes as `switched_off`, header for header the origin's. Nothing is restarted.

| what somebody on call types | it does |
| --- | --- |
| `touch "$SIDECAR_KILL_SWITCH_FILE"` | off while the file exists, also across restarts of the sidecar |
| `rm "$SIDECAR_KILL_SWITCH_FILE"` | on again |
| `kill -USR1 PID` | off, for as long as the sidecar runs; workers that are replaced start so |
| `kill -USR2 PID` | on again |
| `docker kill --signal USR1 NAME`, `docker compose kill -s USR1 sidecar` | the same in a container |
| `systemctl kill --kill-whom=main -s USR1 UNIT` | the same under systemd |
| `kubectl exec POD -- kill -USR1 1` | the same in a pod, if the sidecar is its process 1 |
| `curl -s http://127.0.0.1:8090/readyz` | says `switchedOff` and by what: `file`, `signal` or both |

`PID` is the door's: the first process of the sidecar, `pid` in the log's line `ready`. While either of the two says off,
it is off. The sidecar stays ready and keeps following tables; the log has a line for each change, `/table` the state of each
worker, and `layout_mutation_switched_off{by="file"}` and `{by="signal"}` are 1. A file whose folder can't be read changes nothing and is
an error in the log. Pages that browsers keep are asked for again when they are next revalidated.
"""


_PREVIEWS = f"""
**For one person.** `?{PARAMETER}=TOKEN` behind an address shows a draft there, or forces variations, to whoever has it. The
admin's preview makes such links ("Open on the site") for those who may write; each holds for an hour. The token has all of it
and is signed with the key of tables, so a sidecar needs nothing but `SIDECAR_TABLE_PUBLIC_KEYS`; a draft may take
{limits.PREVIEW_TOKEN_CHARACTERS_MAX:,} characters of the address. It is checked like a table, takes the place of the published mutation with its id, and is
called `{PREFIX}ID` where outcomes are named. Its conditions, its schedule and toggles count as always.

The parameter never reaches the origin, nor in a Referer. The response is `no-store`, sets no cookie and remembers nothing;
`SIDECAR_ROLLOUT` and shadow mode do not keep it away, but what switches everything off does. A link shows one page: links in it lead
to what everybody sees. It shows no redirect. A token that is wrong or expired is the page that everybody sees, counted in
`layout_mutation_previews_total{{outcome}}`: `shown`, {", ".join(f"`{refusal}`" for refusal in Refusal)}.
"""

_SHADOW = """
**Rules tried out.** With `SIDECAR_SHADOW=1` every visitor gets the origin's page, byte for byte and field for field, with
`X-Layout-Mutation: passed; reason=shadow` on pages that rules were asked for, whatever they said. No cookie is set, nothing is
remembered, and the origin is asked as it would be without rules. A copy of each page is decided and rewritten after the page has
left. These count:

| metric | it counts |
| --- | --- |
| `layout_mutation_shadow_responses_total{reason}` | pages by what would have become of them: `applied`, or why not |
| `layout_mutation_shadow_bytes_total{page}` | bytes of the `original` and of the `changed` page, where it would have changed |
| `layout_mutation_shadow_skipped_total` | pages that were not tried, since 16 others were just being |
| `layout_mutation_decide_seconds`, `layout_mutation_rewrite_seconds` | what it took |

Answers of an origin to a validator (304), and HEAD, are not tried. Who visits without `lm_uid` counts with a new one each time. With the
token, the page is tried first: the response is still the origin's page, and `X-Layout-Mutation-Explain` and `Server-Timing` say what
would have become of it.

**What it took.** With the token, a response whose page was decided has `Server-Timing`, which browsers show in their developer
tools: `lm;desc="applied";dur=4.1, lm-decide;dur=0.2, lm-rewrite;dur=3.9`, in milliseconds. `SIDECAR_SERVER_TIMING` gives it to everybody,
or to nobody. The origin's own stays.
"""


def chapter() -> str:
    """The chapter, with its heading."""
    rows = [f"| {word} | {meaning} |" for word, meaning in (_NAMES[kind] for kind in Kind)]
    return "\n".join(
        (
            "\n## Switches\n",
            "**In the rules.** A `toggle` switches off what fits every field that it gives; without `site` and `pageSlug`",
            "everywhere, with them at those addresses. One that names an experiment alone (and perhaps an address) keeps",
            "everybody out of it: the exclusion is `inactive`, what visits remember is kept, and experiments that require it",
            "enrol nobody. With a layer, a module or a mutation beside it, those mutations of the experiment are off. A name",
            "that leads nowhere is no error; `lint` points it out.",
            _WORDS,
            "| word | it names |\n| --- | --- |",
            *rows,
            _LINES,
            _PREVIEWS,
            _EVERYTHING,
            _SHADOW,
        )
    )

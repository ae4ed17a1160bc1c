"""The chapter about events: what sidecars tell, what pages may say, and how to read a stream.

Counterparts: `service.events` has the structs, `sidecar.events.beacons` the body of a beacon, `sidecar.events.outbox` the reasons. Never: a
field that they do not have.
"""

from types import ModuleType

import msgspec

from layout_mutation.documentation.source import notes, summary
from service import events
from service.keys import EVENT_SHARDS
from sidecar.events import beacons, outbox

_STREAMS = """\
## Events

Sidecars tell what happened, through Redis: *executions* (what was done to a page), *exposures* (who was in which variation of an
experiment) and *conversions* (what the site's pages say happened). `SIDECAR_EVENTS=false` switches all of it off;
`SIDECAR_EVENTS_SHARE` thins out executions. No event has an address, a user agent, a referrer, a query or a cookie. Units come as
pseudonyms: HMAC-SHA-256 with `SIDECAR_EVENTS_KEY` over attribute and unit, of which only equality can be asked. Without that key,
and of visitors who have not given the consent that `SIDECAR_CONSENT=required` waits for, neither exposures nor conversions are
told. Paths are told as they come: what is personal in a path stays so, as in any log of the site.

The streams are `{{lm:<environment>}}:events:0` to `{last}`. An entry is a batch:

| field | holds |
| --- | --- |
| `format` | `{format}` |
| `events` | lines of JSON, one event each, compressed by Zstandard (RFC 8878): at most {events} lines and {kilobytes} KB |

Entries and events may come more than once; equal `id`s are one event. Readers skip events and fields that they do not know.
`service.events.read` reads an entry; by hand it is

```python
for name, fields in redis.xrange("{{lm:local}}:events:0"):
    for line in zstandard.decompress(fields[b"events"], max_output_size=65536).splitlines():
        print(line.decode())
```

Every event has `event` (`execution`, `exposure` or `conversion`) and

"""

_BEACONS = """\

### Beacons

A page says what happened by a `POST` to `{path}`, from its own origin:

```js
navigator.sendBeacon('{path}', JSON.stringify({{events: [{{name: 'sold', value: 19.9, path: location.pathname}}]}}));
```

At most {events} events and {kilobytes} KB, as `text/plain` or `application/json`. The visitor is who brings the cookie `lm_uid`, and the
site's own units (`SIDECAR_UNITS`). The origin never sees it.

| answer | where |
| --- | --- |
| 204 | it was taken; also where nothing may be kept: no consent, no unit, no key |
| 400 | the body is no beacon, and one line says why |
| 403 | `Sec-Fetch-Site`, or where a browser sends none `Origin`, does not say that a page of this origin sent it |
| 405, 408 | it was not posted, or did not come in time |
| 413 | it is too large |
| 429 | a worker takes no more than `SIDECAR_BEACONS_PER_S`, and twice as many at once |

Fields of an event in a beacon:

"""

_WAY = """\

### What becomes of them

A worker keeps events in memory for a second, at most {memory:,} of them, and sends them in batches. While Redis is away they go to
files in a folder `events` of `SIDECAR_SNAPSHOT_DIR`, at most `SIDECAR_EVENTS_SPOOL_BYTES_MAX` for each worker, and are sent when it
is back, also by another worker after a crash. Streams are cut at `SIDECAR_EVENTS_STREAM_ENTRIES_MAX` entries, read or not. A crash
loses the last second of a worker. What is not told is counted by reason in `layout_mutation_events_dropped_total`:

| reason | meaning |
| --- | --- |
"""


def chapter() -> str:
    """The chapter."""
    streams = _STREAMS.format(
        last=EVENT_SHARDS - 1,
        format=events.FORMAT.decode(),
        events=events.BATCH_EVENTS_MAX,
        kilobytes=events.BATCH_BYTES_MAX // 1024,
    )
    kinds = (events.Execution, events.Exposure, events.Conversion)
    said = notes(outbox)["Drop"]
    return "".join(
        (
            streams,
            _table(events, events.Event),
            *(f"\n### {kind.__name__}\n\n{summary(kind)}\n\n{_table(events, kind)}" for kind in kinds),
            _BEACONS.format(path=beacons.PATH, events=beacons.EVENTS_MAX, kilobytes=beacons.BYTES_MAX // 1024),
            _table(beacons, beacons.Said),
            _WAY.format(memory=outbox.EVENTS_MAX),
            *(f"| `{reason.value}` | {said[reason.name]} |\n" for reason in outbox.Drop),
        )
    )


def _table(module: ModuleType, kind: type[msgspec.Struct]) -> str:
    """The fields that a struct adds, and what they mean."""
    said = notes(module)[kind.__name__]
    rows = [
        f"| `{field.encode_name}` | {_default(field)} | {said[field.name]} |\n"
        for field in msgspec.structs.fields(kind)
        if field.name in said
    ]
    return "| field | left out where it is | meaning |\n| --- | --- | --- |\n" + "".join(rows)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "always there"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return f"`{msgspec.json.encode(value).decode()}`"

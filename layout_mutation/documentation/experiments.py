"""The chapter about experiments: who is enrolled, and what an edit may do to them.

Counterpart: `reference` has the fields. Never: a rule of its own; it tells what `rules.assignment` and
`control_plane.experiments` do.
"""

from layout_mutation.documentation.source import notes
from rules import model, reasons

EXPERIMENT_STRUCTS = (
    model.Experiment,
    model.Variation,
    model.NamespaceRange,
    model.Holdout,
    model.RampStep,
    model.Prerequisite,
    model.Bandit,
)

_QUESTIONS = """\
## Experiments

A unit (the value of the attribute that `unit` names) has a position from 0 to 1, hashed from seed and unit. Each variation
holds a part of the positions. The questions are asked in this order, and the first no is the beginning of the detail
beside `not_in_experiment`:

| exclusion | meaning |
| --- | --- |
"""

_PROMISES = """\

A forced variation (`X-Layout-Mutation-Force`, a preview) goes before all of them. What the visit remembers goes before
namespace, conditions, prerequisites, ramp and coverage. A visit remembers what it brings as `assigned`:
`<experiment>__<bucketVersion>` -> variation key, as GrowthBook's sticky assignments have it; a decision says in `remember`
what to add. The sidecar keeps them in the cookie `lm_state`, where it has keys for one (see "What is remembered"). Without it
positions decide alone, which is the same for everybody whose position no edit moved.

**What stays, whatever is edited**, once an experiment has been live:

| edit | who is enrolled |
| --- | --- |
| name, conditions, schedule of a mutation, a restart, a republished table | stays where it is; conditions may leave some out |
| `coverage` or `ramp` upwards, a namespace that grows, a holdout that ends | stays where it is; others come in |
| `coverage` or `ramp` downwards | the last ones leave, nobody changes sides |
| weights, a bandit's weights, a variation more or less, their order | moves only who must: a variation that shrinks gives up its end to one that grows |
| `seed`, `hashVersion`, `unit`, `fallbackUnit`, `namespace.id`, a new `holdout` | refused by the control plane; make a new experiment |

Moving only who must needs to know where everybody was: the control plane writes it into `ranges` of the variations, and
files that it exports have them. A rules file without them is laid out by its weights alone, exactly as GrowthBook's SDKs do
it; there, edited weights move more.

**Units.** `lm_uid` is a browser. To have one user see one variation on all devices, name an attribute that the site knows,
declare in `SIDECAR_UNITS` where it comes from, and let `fallbackUnit` be `lm_uid` for those who are not signed in. Somebody
who signs in is then another unit. A header or cookie is believed as it comes: let only a proxy of yours set it, or take a
token.
"""


def chapter() -> str:
    """The chapter."""
    said = notes(reasons)["Exclusion"]
    rows = "\n".join(f"| `{one.value}` | {said[one.name]} |" for one in reasons.Exclusion)
    return _QUESTIONS + rows + "\n" + _PROMISES

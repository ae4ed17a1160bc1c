"""What is generated says everything there is, once, and nothing that is secret."""

import asyncio
import json
import re
import typing
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from control_plane.api.routes import ROUTES
from control_plane.settings import ControlPlaneSettings
from layout_mutation.documentation import dotenv, metrics, reference
from layout_mutation.documentation.source import notes, summary
from rules import context, model, mutations, reasons, targeting
from rules.operations import SetText
from service.settings import load, read_dotenv, variables
from sidecar import fail_open
from sidecar.settings import SidecarSettings
from tests.layout_mutation.running_up import ROOT
from tests.sidecar.wire import answering, client, headline, html, origin, response, serving, table

TEXT = reference.render()
SETTINGS = (SidecarSettings, ControlPlaneSettings)


def structs(module: ModuleType) -> list[type]:
    """The structs that a module declares."""
    own = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__]
    return [kind for kind in own if issubclass(kind, msgspec.Struct)]


# -- source


def test_notes_are_the_strings_below_fields(tmp_path: Path) -> None:
    (tmp_path / "noted.py").write_text(
        'class A:\n    """A doc."""\n    a: int = 1\n    """About\n    a."""\n    b: int\n    C = 3\n    """About C."""\n'
        '    def f(self) -> None: ...\n    """Stray."""\n    d: int\n    f"not {1}"\n\nclass B:\n    pass\n'
    )
    module = ModuleType("noted")
    module.__file__ = str(tmp_path / "noted.py")
    exec(compile((tmp_path / "noted.py").read_text(), module.__file__, "exec"), vars(module))
    assert notes(module) == {"A": {"a": "About a.", "C": "About C."}, "B": {}}


def test_notes_of_the_model_and_of_the_reasons_are_found() -> None:
    assert notes(mutations)["Mutation"]["site"].startswith("Host the rule belongs to")
    assert notes(reasons)["Reason"]["SHADOWED"].startswith("A mutation of higher precedence")


def test_a_summary_is_the_first_paragraph_on_one_line() -> None:
    class Told:
        """One
        two.

        Three.
        """

    assert summary(Told) == "One two."
    assert summary(type("Silent", (), {"__doc__": None})) == ""


# -- reference


def test_every_field_of_the_model_is_in_the_reference() -> None:
    for kind in (*structs(model), *typing.get_args(model.Operation)):
        for field in msgspec.structs.fields(kind):
            assert f"`{field.encode_name}`" in TEXT or f'"{field.encode_name}"' in TEXT, f"{kind.__name__}.{field.name}"


def test_every_kind_of_mutation_operation_and_trigger_has_a_row() -> None:
    for union in (model.LayoutMutation, model.Operation, model.Trigger):
        for kind in typing.get_args(union):
            row = re.search(rf"(?m)^\| `{kind.__struct_config__.tag}` \| (.+?) \|", TEXT)
            assert row, kind
            assert row[1].strip()


def test_every_reason_attribute_operator_route_and_setting_is_in_the_reference() -> None:
    rows = set(re.findall(r"(?m)^\| `([^`]+)` \|", TEXT))
    assert {reason.value for reason in reasons.Reason} <= rows
    assert {attribute.name for attribute in context.ATTRIBUTES} <= rows
    assert {variable.name for kind in SETTINGS for variable in variables(kind)} <= rows
    assert [name for name in targeting.OPERATORS if f"`{name}`" not in TEXT] == []
    assert [route for route in ROUTES if f"| `{route.method}` | `{route.path}` |" not in TEXT] == []


def test_every_reason_of_a_drawing_or_a_sentence_exists() -> None:
    leaves = [leaf for label in re.findall(r"\w\d?\[([a-z_, .]+)\]\n", TEXT) for leaf in label.split(", ")]
    known = {reason.value for reason in reasons.Reason} | {"..."}
    assert len(leaves) > 10
    assert [leaf for leaf in leaves if "_" in leaf and leaf not in known] == []


def test_tables_have_as_many_cells_in_every_row() -> None:
    for lines in re.findall(r"(?m)(?:^\|.*\n)+", TEXT):
        rows = lines.splitlines()
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {len(re.findall(r"\|", rows[0]))}, rows[0]
        assert set(rows[1]) == set("| -"), rows[:2]


def test_links_of_the_reference_lead_to_its_headings() -> None:
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"(?m)^#+ (.+)$", TEXT)}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings


def test_nothing_is_left_unsaid_about_a_type() -> None:
    assert "| any |" not in TEXT
    assert [line for line in TEXT.splitlines() if line.startswith("| `") and line.rstrip().endswith("|  |  |")] == []


def test_the_schema_of_a_rules_file_knows_every_operation_and_forbids_the_rest() -> None:
    schema = json.loads(reference.schema())
    names = set(schema["$defs"])
    assert {kind.__name__ for kind in (SetText, model.RulesFile, model.Experiment)} <= names
    assert schema["$defs"]["RulesFile"]["additionalProperties"] is False
    assert reference.schema().endswith("}\n")


def test_the_names_of_the_document_are_files_of_the_clone() -> None:
    named = set(re.findall(r"`((?:docs|examples)/[^`]*)`", TEXT))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


# -- .env.example


def test_every_variable_stands_there_once() -> None:
    names = re.findall(r"(?m)^#?([A-Z][A-Z_0-9]*)=", dotenv.render())
    assert len(names) == len(set(names))
    assert set(names) == {variable.name for kind in SETTINGS for variable in variables(kind)}


def test_what_is_required_is_empty_and_what_is_secret_is_named_so_and_has_no_value() -> None:
    blocks = [block for block in dotenv.render().split("\n\n") if re.search(r"(?m)^#?[A-Z_0-9]+=", block)]
    written = {re.findall(r"(?m)^#?([A-Z_0-9]+)=", block)[0]: block for block in blocks}
    for kind in SETTINGS:
        for variable in variables(kind):
            value = re.findall(rf"(?m)^(#?){variable.name}=(.*)$", written[variable.name])
            if variable.default is None:
                assert value == [("", "")]
            if variable.secret:
                assert " Secret." in written[variable.name].replace("\n# ", " ")
                assert value[0][1] in ("", "{}", "redis://127.0.0.1:6379/0"), "a key everybody knows"


@pytest.mark.parametrize(
    ("kind", "required"),
    [
        (SidecarSettings, {"SIDECAR_UPSTREAM": "http://a.example"}),
        (
            ControlPlaneSettings,
            {
                "DATABASE_URL": "postgresql://a/b",
                "CONTROL_PLANE_SIGNING_KEY": "A" * 43 + "=",
                "CONTROL_PLANE_JWT_SECRET": "s" * 40,
            },
        ),
    ],
)
def test_what_is_commented_out_is_the_default(
    kind: type[msgspec.Struct], required: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(re.sub(r"(?m)^#([A-Z])", r"\1", dotenv.render()))
    assert load(kind, read_dotenv(tmp_path / ".env") | required) == load(kind, required)


def test_lines_fit_a_terminal() -> None:
    assert [line for line in dotenv.render().splitlines() if line.startswith("# ") and len(line) > 120] == []


# -- metrics


def test_every_metric_has_one_row_with_words_of_its_own() -> None:
    rows = re.findall(
        r"(?m)^\| `(layout_mutation_\w+)` \| (counter|gauge|histogram) \| ((?:`\w+`(?:, )?)+) \| (.+) \|$", TEXT
    )
    assert len({name for name, *_ in rows}) == len(rows)
    documented = {one.name: one for one in metrics.documented()}
    assert {name for name, *_ in rows} == set(documented)
    for name, kind, _, words in rows:
        assert (name.endswith("_total"), len(words) > 10) == (kind == "counter", True), name


async def test_what_a_worker_that_has_served_shows_is_documented_label_by_label() -> None:
    """A page changed, one that passed, and a preview link that is none."""
    documented = {one.name: one for one in await asyncio.to_thread(metrics.documented)}
    async with (
        origin(answering(html(b"<h1>Old</h1>"), response(b"x", status="500 Oh"))) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for target in ("/", "/", "/?layout-mutation-preview=nonsense"):
            await visitor.get(target)
        families = sidecar.application.telemetry.families()
    assert len(families) > 30
    for family in families:
        if family.name.startswith("process_"):
            continue
        one = documented[f"{family.name}_total" if family.kind == "counter" else family.name]
        for sample in family.samples:
            assert set(sample.labels) - {"le"} <= set(one.labels), sample


def test_every_attribute_of_a_span_is_documented() -> None:
    source = (ROOT / "sidecar" / "tracing" / "spans.py").read_text("utf-8")
    used = set(re.findall(r'"((?:http|url|server|error|layout_mutation)\.[a-z_.]+)"', source))
    assert used == {name for name, *_ in metrics.ATTRIBUTES}


@pytest.mark.parametrize("row", fail_open.TABLE, ids=lambda row: str(row.key))
def test_every_failure_is_told(row: fail_open.Row) -> None:
    [line] = [line for line in TEXT.splitlines() if line.startswith(f"| {row.failure} |")]
    assert all(f"`{name}`" in line for name in (*row.logs, *row.metrics))
    assert row.visitor in line

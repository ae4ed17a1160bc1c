"""Import and export over HTTP."""

from typing import Any

from tests.control_plane.plane import Plane, headline
from tests.rules import malformed


def rules() -> dict[str, Any]:
    operations = headline("B")["mutationPayload"]["operations"]
    payload = {"experimentId": "ab", "variations": {"control": {}, "b": {"operations": operations}}}
    return {
        "mutations": [
            headline(id="one", trigger={"on": "segment", "segment": "germans"}, moduleId="hero"),
            {"id": "two", "mutationType": "variant", "mutationPayload": payload},
        ],
        "experiments": [{"id": "ab", "variations": [{"key": "control"}, {"key": "b"}]}],
        "modules": [{"id": "hero", "selector": "h1"}],
        "segments": [{"id": "germans", "conditions": {"language": "de", "account": {"$notInGroup": "staff"}}}],
        "attributes": [{"kind": "derived", "id": "mood", "cases": [{"value": "calm", "conditions": {}}]}],
        "savedGroups": [{"id": "staff", "members": ["ada"]}],
        "toggles": [{"id": "off", "mutationId": "one", "isActive": False}],
    }


async def test_a_file_is_loaded_whole_and_a_second_time_nothing_changes(plane: Plane) -> None:
    first = (await plane.ask("POST", "import", rules())).json()
    assert first["mutations"] == {"changed": 2, "unchanged": 0}
    assert first["publication"] == {"published": True, "tableVersion": 2, "reason": ""}
    second = (await plane.ask("POST", "import", rules())).json()
    assert [second[kind] for kind in rules()] == [{"changed": 0, "unchanged": len(rules()[kind])} for kind in rules()]
    assert second["publication"]["reason"] == "unchanged"
    assert (await plane.ask("GET", "mutations/one")).json()["version"] == 1


async def test_what_is_exported_can_be_imported_elsewhere_and_here(plane: Plane) -> None:
    await plane.ask("POST", "import", rules())
    exported = await plane.ask("GET", "export", role="peer")
    assert "attachment" in exported.headers["content-disposition"]
    again = (await plane.ask("POST", "import", exported.json())).json()
    assert again["mutations"] == {"changed": 0, "unchanged": 2}
    assert again["experiments"] == {"changed": 0, "unchanged": 1}
    assert exported.json()["savedGroups"] == [{**rules()["savedGroups"][0], "name": ""}]


async def test_a_file_with_one_error_changes_nothing_and_the_path_is_of_the_file(plane: Plane) -> None:
    file = rules()
    file["mutations"][1]["mutationPayload"]["experimentId"] = "missing"
    answer = await plane.ask("POST", "import", file)
    assert (answer.status, answer.json()["errors"][0]["path"]) == (422, "$.mutations[1].mutationPayload.experimentId")
    file = rules()
    file["modules"][0]["name"] = "a\x00"
    answer = await plane.ask("POST", "import", file)
    assert answer.json()["errors"][0]["path"] == "$.modules[0].name"
    file = rules()
    file["attributes"][0]["cases"][0]["conditions"] = {"account": {"$inGroup": "nobody"}}
    answer = await plane.ask("POST", "import", file)
    assert answer.json()["errors"][0]["path"].startswith("$.attributes[0].cases[0].conditions")
    file = rules()
    file["savedGroups"][0]["name"] = "a\x00"
    answer = await plane.ask("POST", "import", file)
    assert answer.json()["errors"][0]["path"] == "$.savedGroups[0].name"
    exported = (await plane.ask("GET", "export")).json()
    assert {kind: exported[kind] for kind in rules()} == {kind: [] for kind in rules()}


async def test_a_file_without_a_version_is_brought_forward_and_keeps_every_seed(plane: Plane) -> None:
    answer = (await plane.ask("POST", "import", rules())).json()
    assert [one["path"] for one in answer["broughtForward"]] == ["$.schemaVersion", "$.experiments[0].seed"]
    assert (await plane.ask("POST", "import", {**rules(), "schemaVersion": 2})).json()["broughtForward"] == []
    own = {"id": "own", "seed": "mine", "variations": [{"key": "a"}, {"key": "b"}]}
    assert (await plane.ask("POST", "experiments", own)).status == 201
    unsaid = {"experiments": [rules()["experiments"][0], {**own, "seed": "", "name": "Own"}]}
    told = (await plane.ask("POST", "import", unsaid)).json()
    assert [one["path"] for one in told["broughtForward"]] == ["$.schemaVersion", "$.experiments[0].seed"]
    assert (await plane.ask("GET", "experiments/own")).json()["seed"] == "mine"
    assert (await plane.ask("GET", "experiments/ab")).json()["seed"] == "ab"


async def test_a_file_of_a_newer_version_is_refused(plane: Plane) -> None:
    answer = await plane.ask("POST", "import", {**rules(), "schemaVersion": 3})
    (error,) = answer.json()["errors"]
    assert (answer.status, error["path"]) == (422, "$.schemaVersion")
    assert "the file says version 3; this program reads 1 to 2" in str(error)


SAMPLE = [
    *malformed.DOCUMENTS[:20:3],
    *(one for one in malformed.TRIGGERS if "quiz" not in one[0] and "journey" not in one[0]),
    *malformed.KEYS_TWICE,
    malformed.LONG_LISTS[1],
]
SAMPLE += [one for one in malformed.LONG_TEXTS if one[0] in ("10 MB of type", "10 MB of field", "10 MB of member")]


async def test_a_malformed_file_is_a_problem_document_with_its_path(plane: Plane) -> None:
    for name, content, path, part in SAMPLE:
        answer = await plane.ask("POST", "import", data=content())
        assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json"), name
        (error,) = answer.json()["errors"]
        assert error["path"] == path, name
        assert part in str(error), name
        assert len(answer.body) < 10_000, name


async def test_a_file_that_is_no_json_is_a_problem_document(plane: Plane) -> None:
    for name, content, _, _ in [*malformed.TEXTS[:-3], *malformed.DEEP[:4], *malformed.NUMBERS[:5]]:
        answer = await plane.ask("POST", "import", data=content())
        assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json"), name
        assert len(answer.body) < 10_000, name


async def test_an_import_with_a_key_is_done_once(plane: Plane) -> None:
    answers = [await plane.ask("POST", "import", rules(), headers={"Idempotency-Key": "seed"}) for _ in range(2)]
    assert [answer.json()["mutations"] for answer in answers] == [{"changed": 2, "unchanged": 0}] * 2


async def test_a_file_may_refer_to_what_is_stored(plane: Plane) -> None:
    await plane.ask("POST", "saved-groups", rules()["savedGroups"][0])
    await plane.ask("POST", "segments", rules()["segments"][0])
    answer = await plane.ask("POST", "import", {"mutations": [rules()["mutations"][0]]})
    assert answer.status == 200
    assert (await plane.ask("GET", "segments/germans")).headers["etag"] == '"1"'

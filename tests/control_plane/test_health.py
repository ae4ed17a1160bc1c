"""What is up and what is not."""

from tests.control_plane.plane import Plane


async def test_when_all_is_well_it_says_so(plane: Plane) -> None:
    report = (await plane.ask("GET", "health")).json()
    schema = report.pop("databaseSchema")
    assert (schema["fine"], schema["items"]) == (True, [])
    assert schema["lookedAt"], "the start has looked"
    assert report == {
        "ready": True,
        "database": {"up": True, "detail": ""},
        "redis": {"up": True, "detail": ""},
        "publication": {"published": True, "tableVersion": 1, "reason": ""},
        "mirror": {"state": "primary", "outbox": 0, "catchingUp": False, "mirrorAgeS": 0.0, "problem": ""},
    }
    ready = await plane.ask("GET", "/readyz", role=None)
    parts = {"database": True, "redis": True, "published": True}
    assert ready.json() == {"ready": True, "degraded": False, "parts": parts}


async def test_before_the_schema_is_there_it_is_not_ready(plane: Plane) -> None:
    plane.services.health.starting = "waiting for a reason"
    answer = await plane.ask("GET", "/readyz", role=None)
    assert answer.status == 503
    assert b"reason" not in answer.body, "details are for those with a token"
    assert (await plane.ask("GET", "health", role="sidecar")).json()["database"]["detail"] == "waiting for a reason"


async def test_findings_are_for_people_and_repairs_for_admins(plane: Plane) -> None:
    assert "items" not in (await plane.ask("GET", "health", role="sidecar")).json()["databaseSchema"]
    assert (await plane.ask("POST", "health/heal", role="publisher")).status == 403
    answer = await plane.ask("POST", "health/heal", role="admin")
    assert (answer.status, answer.json()) == (200, {"repaired": [], "left": [], "busy": False, "emptied": []})

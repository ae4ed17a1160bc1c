"""The example for Kubernetes, checked without a cluster.

What is checked: the documents are YAML of the kinds that they say, with fields that exist (a list of those used, by kind, from the
API's reference), names refer to what is there (selectors, ports, volumes, secrets), the restricted Pod Security Standard
holds for the sidecar, times of stopping fit into each other, and the environment is settings that the sidecar takes.
What is not: the API server's own validation, and whether a cluster admits it.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from service.settings import load, variables
from sidecar.settings import SidecarSettings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS: dict[str, dict[str, Any]] = {
    document["kind"]: document
    for document in YAML(typ="safe").load_all(ROOT / "deploy" / "kubernetes" / "sidecar.yaml")
}
DEPLOYMENT = DOCUMENTS["Deployment"]
POD: dict[str, Any] = DEPLOYMENT["spec"]["template"]["spec"]
SIDECAR, SITE = POD["containers"]
GIVEN_BY_THE_SECRET = {"REDIS_URL", "SIDECAR_OPS_TOKEN", "SIDECAR_STATE_KEYS", "SIDECAR_EVENTS_KEY"}

VERSIONS = {
    "Service": "v1",
    "Deployment": "apps/v1",
    "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}
FIELDS: dict[str, set[str]] = {
    "Service.spec": {"selector", "ports", "type"},
    "Deployment.spec": {"replicas", "revisionHistoryLimit", "selector", "strategy", "template"},
    "PodDisruptionBudget.spec": {"maxUnavailable", "minAvailable", "selector"},
    "NetworkPolicy.spec": {"podSelector", "policyTypes", "ingress", "egress"},
    "pod": {
        "automountServiceAccountToken",
        "containers",
        "securityContext",
        "terminationGracePeriodSeconds",
        "topologySpreadConstraints",
        "volumes",
    },
    "container": {
        "name",
        "image",
        "args",
        "command",
        "ports",
        "env",
        "envFrom",
        "resources",
        "securityContext",
        "startupProbe",
        "readinessProbe",
        "livenessProbe",
        "lifecycle",
        "volumeMounts",
    },
    "probe": {"httpGet", "periodSeconds", "timeoutSeconds", "failureThreshold", "initialDelaySeconds"},
    "container.securityContext": {"allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities", "runAsNonRoot"},
    "pod.securityContext": {"runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "seccompProfile"},
}


def environment() -> dict[str, str]:
    return {one["name"]: one["value"] for one in SIDECAR["env"]}


def test_each_document_is_of_a_kind_and_version_that_exists() -> None:
    assert {kind: document["apiVersion"] for kind, document in DOCUMENTS.items()} == VERSIONS
    for kind, document in DOCUMENTS.items():
        assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", document["metadata"]["name"])
        assert set(document["spec"]) <= FIELDS[f"{kind}.spec"]


def test_fields_are_those_of_the_api() -> None:
    assert set(POD) <= FIELDS["pod"]
    assert set(POD["securityContext"]) <= FIELDS["pod.securityContext"]
    for container in (SIDECAR, SITE):
        assert set(container) <= FIELDS["container"]
        assert set(container["securityContext"]) <= FIELDS["container.securityContext"]
        for probe in (name for name in container if name.endswith("Probe")):
            assert set(container[probe]) <= FIELDS["probe"]


def test_names_lead_to_what_is_there() -> None:
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"] == labels
    assert DOCUMENTS["Service"]["spec"]["selector"] == labels
    assert DOCUMENTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert DOCUMENTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    ports = {port["name"]: port["containerPort"] for container in (SIDECAR, SITE) for port in container["ports"]}
    assert DOCUMENTS["Service"]["spec"]["ports"][0]["targetPort"] == "visitors"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert SIDECAR[probe]["httpGet"]["port"] == "operators"
    for rule in DOCUMENTS["NetworkPolicy"]["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= set(ports)
    assert DEPLOYMENT["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(ports["operators"])
    assert {mount["name"] for mount in SIDECAR["volumeMounts"]} <= {volume["name"] for volume in POD["volumes"]}
    settings = environment()
    assert settings["SIDECAR_LISTEN"].endswith(f":{ports['visitors']}")
    assert settings["SIDECAR_ADMIN_LISTEN"].endswith(f":{ports['operators']}")
    assert settings["SIDECAR_UPSTREAM"].endswith(f":{ports['site']}")


def test_the_internal_listener_is_for_monitoring_alone() -> None:
    """It listens on all addresses of the pod, so a policy says who may connect."""
    for rule in DOCUMENTS["NetworkPolicy"]["spec"]["ingress"]:
        if {"port": "operators"} in rule["ports"]:
            assert rule["from"]
            assert len(rule["ports"]) == 1


def test_it_runs_as_nobody_with_nothing_to_write_but_its_volumes() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False
    assert SIDECAR["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    user = re.search(r"(?m)^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text("utf-8"))
    assert user
    assert (POD["securityContext"]["runAsUser"], POD["securityContext"]["runAsGroup"]) == tuple(map(int, user.groups()))
    mounted = [mount["mountPath"] for mount in SIDECAR["volumeMounts"]]
    for name in ("SIDECAR_SNAPSHOT_DIR", "SIDECAR_KILL_SWITCH_FILE"):
        assert any(environment()[name].startswith(f"{path}/") for path in mounted), name


def test_it_has_memory_for_what_its_settings_allow_and_no_limit_of_processor_time() -> None:
    settings = load(SidecarSettings, environment())
    kept = settings.worker_count * (settings.memo_bytes_max + settings.skeleton_bytes_max)
    limits = SIDECAR["resources"]["limits"]
    assert limits == {"memory": "1Gi"}
    assert kept < 1024**3 // 2


def test_a_pod_that_stops_serves_until_nobody_comes_and_is_given_the_time() -> None:
    pause = int(re.findall(r"sleep\((\d+)\)", SIDECAR["lifecycle"]["preStop"]["exec"]["command"][-1])[0])
    drain = int(environment()["SIDECAR_DRAIN_S"])
    grace = POD["terminationGracePeriodSeconds"]
    assert pause + drain + 3 < grace
    assert pause + drain < int(SITE["lifecycle"]["preStop"]["exec"]["command"][-1]) < grace


def test_the_environment_is_settings_that_the_sidecar_takes() -> None:
    names = {variable.name for variable in variables(SidecarSettings)}
    assert set(environment()) | GIVEN_BY_THE_SECRET <= names
    secret = {variable.name for variable in variables(SidecarSettings) if variable.secret}
    assert not set(environment()) & secret, "secrets come from the Secret"
    load(SidecarSettings, environment())
    text = (ROOT / "deploy" / "kubernetes" / "sidecar.yaml").read_text("utf-8")
    assert {name for name in GIVEN_BY_THE_SECRET if f"--from-literal={name}" not in text} == set()
    assert SIDECAR["args"] == ["sidecar"]


@pytest.mark.parametrize(("probe", "path"), [("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")])
def test_probes_ask_what_the_internal_listener_answers(probe: str, path: str) -> None:
    assert SIDECAR[probe]["httpGet"]["path"] == path
    assert f'"{path}"' in (ROOT / "sidecar" / "processes" / "admin.py").read_text("utf-8")

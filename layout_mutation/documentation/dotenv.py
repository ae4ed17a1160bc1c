"""`.env.example`: every variable of both planes, with what it means and its default.

Counterpart: the Settings structs. Variables that both planes read stand once, at the top.
"""

import textwrap

from control_plane.settings import ControlPlaneSettings
from service.settings import Variable, variables
from sidecar.settings import SidecarSettings

_HEAD = """\
# Every setting there is; nothing is configured in any other way.
# Made by `layout-mutation docs`; change the descriptions in sidecar/settings.py and control_plane/settings.py.
# Copy to .env and set what you need: a value that is commented out is the default.
# `layout-mutation up` makes its own .env with fresh keys in its data folder.
"""


def render() -> str:
    """The whole file."""
    sidecar, control_plane = list(variables(SidecarSettings)), list(variables(ControlPlaneSettings))
    shared_names = {one.name for one in sidecar} & {one.name for one in control_plane}
    shared = [one for one in control_plane if one.name in shared_names]
    groups = (
        ("both planes", shared),
        ("sidecar", [one for one in sidecar if one.name not in shared_names]),
        ("control plane", [one for one in control_plane if one not in shared]),
    )
    return "\n".join([_HEAD, *(_group(title, group) for title, group in groups)])


def _group(title: str, group: list[Variable]) -> str:
    rule = f"# --- {title} ".ljust(100, "-")
    return "\n".join([rule, "", *map(_variable, group)])


def _variable(variable: Variable) -> str:
    secret = " Secret." if variable.secret else ""
    lines = textwrap.wrap(f"{variable.description.rstrip('.')}.{secret}", 97)
    assignment = f"{variable.name}=" if variable.default is None else f"#{variable.name}={variable.default}"
    return "\n".join([*(f"# {line}" for line in lines), assignment, ""])

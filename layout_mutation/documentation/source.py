"""What the code says about itself: docstrings of classes, and the strings that stand below fields.

Python keeps the first and drops the second; both are read from the source.
"""

import ast
import inspect
from types import ModuleType


def notes(module: ModuleType) -> dict[str, dict[str, str]]:
    """Class name -> field name -> the sentence below the field, for every class of a module."""
    tree = ast.parse(inspect.getsource(module))
    return {node.name: dict(_fields(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def summary(kind: type) -> str:
    """The first paragraph of a class's docstring, on one line."""
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def _fields(node: ast.ClassDef) -> list[tuple[str, str]]:
    found = []
    for field, below in zip(node.body, node.body[1:], strict=False):
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            text = " ".join(below.value.value.split())
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                found.append((field.target.id, text))
            elif isinstance(field, ast.Assign) and isinstance(field.targets[0], ast.Name):
                found.append((field.targets[0].id, text))
    return found

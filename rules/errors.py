"""Whose fault it is, in this room: the author's.

Expected refusals at run time are values (`rules.reasons`); only what an author must mend is raised.
"""

from rules import limits


class RulesError(ValueError):
    """A rule is unusable. `path` is where (a JSON path such as `$.mutations[2].conditions`), `problem` what and the fix.

    Both are one line of bounded length, whatever an author wrote, or an attacker, that is quoted in them.
    """

    def __init__(self, problem: str, path: str = "$") -> None:
        problem, path = _in_one_line(problem), _in_one_line(path)
        super().__init__(f"{path}: {problem}")
        self.problem = problem
        self.path = path


def _in_one_line(text: str) -> str:
    """With what would break the line as JSON has it, and the middle left out where it is long."""
    if len(text) > limits.PROBLEM_CHARACTERS_MAX:
        text = f"{text[: limits.PROBLEM_CHARACTERS_MAX // 2]} … {text[-limits.PROBLEM_CHARACTERS_MAX // 3 :]}"
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


class TableError(ValueError):
    """A sealed decision table is refused whole. `reason` is one of a closed list, and what a sidecar reports as NACK.

    `detail` is one line of bounded length, as in `RulesError`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        detail = _in_one_line(detail)
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

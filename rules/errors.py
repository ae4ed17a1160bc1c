"""Whose fault it is, in this room: the author's.

Expected refusals at run time are values (`rules.reasons`); only what an author must mend is raised.
"""


class RulesError(ValueError):
    """A rule is unusable. `path` is where (a JSON path such as `$.mutations[2].conditions`), `problem` what and the fix."""

    def __init__(self, problem: str, path: str = "$") -> None:
        super().__init__(f"{path}: {problem}")
        self.problem = problem
        self.path = path


class TableError(ValueError):
    """A sealed decision table is refused whole. `reason` is one of a closed list, and what a sidecar reports as NACK."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

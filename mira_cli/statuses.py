"""Statuses of a structure's answer, as they stand in records and tables; `docs/results.md` describes them."""

from __future__ import annotations

OK = "ok"
INVALID = "invalid_input"
INVALID_RESULT = "invalid_result"  # does not pass the task's own checks; alone, it may lack values and arrays
# a record has the task's values and arrays; those of `ok` are compared
ANSWERED = (OK, "not_converged", "blown_up", INVALID_RESULT)
STATUSES = (
    *ANSWERED, "failed", "oom", "unsupported_element", "unsupported_property", "nonfinite", INVALID, "not_computed",
)  # fmt: skip
LASTING = {*ANSWERED, "unsupported_element", "unsupported_property", INVALID}  # another try would end the same way

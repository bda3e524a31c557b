"""Statuses of a structure's answer, as they stand in records and tables; `docs/results.md` describes them."""

from __future__ import annotations

OK = "ok"
INVALID = "invalid_input"
STATUSES = (
    OK, "failed", "oom", "unsupported_element", "unsupported_property", "nonfinite", INVALID, "not_computed",
)  # fmt: skip
LASTING = {OK, "unsupported_element", "unsupported_property", INVALID}  # another try would end the same way

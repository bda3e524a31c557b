"""Statuses of a structure's answer, as they stand in records and tables; `docs/reference/statuses.md` has them."""

from __future__ import annotations

OK = "ok"
INVALID = "invalid_input"
INVALID_RESULT = "invalid_result"  # does not pass the task's own checks; alone, it may lack values and arrays
MEANINGS = {
    OK: "the answer is complete and passed all checks",
    "not_converged": "of tasks that move atoms: the steps ran out, or none led down; numbers are of the last geometry",
    "blown_up": "of tasks that move atoms: they fused, the cell burst or fell apart, or it became too hot; numbers are "
    "of the last geometry",
    INVALID_RESULT: "what was computed does not pass the task's own checks, which `error` names",
    "failed": "the model's code, or the process, failed on this structure; `error` says how",
    "oom": "the structure does not fit into memory, even alone",
    "unsupported_element": "the model was not made for an element of the structure",
    "unsupported_property": "the model has not what the structure asks for: a charge, a periodicity, a stress",
    "nonfinite": "the model returned a number that is not finite",
    INVALID: "the structure cannot be read, or has no meaning: it was given to no model",
    "not_computed": "the run ended before, or its job left nothing behind",
}
STATUSES = (*MEANINGS,)
ENDED_EARLY = {"not_converged": "did not converge", "blown_up": "blew up"}  # what structures that move did instead
# a record has the task's values and arrays; those of `ok` are compared
ANSWERED = (OK, *ENDED_EARLY, INVALID_RESULT)
LASTING = {*ANSWERED, "unsupported_element", "unsupported_property", INVALID}  # another try would end the same way

"""`docs/reference/statuses.md` and `exit-codes.md`, from where both are declared."""

from __future__ import annotations

from docs.generate.tables import code, page, table
from mira_cli import errors, statuses

OF_STATUSES = (
    "The column `status` of `comparison.csv` says what became of a structure with a model, and `error` why, in one "
    "sentence. Only rows that are `ok` are compared; if one is not, the exit code of a run is 1. `mira retry` computes "
    "again what may end otherwise; what would end the same way stays."
)
OF_CODES = "Of every command; scripts can rely on them. An error is one sentence, a hint, and where there is one a log."


def statuses_page() -> str:
    """The page of statuses."""
    rows = [
        (
            code(name),
            meaning,
            "yes" if name in statuses.ANSWERED and name != statuses.INVALID_RESULT else
            "some" if name == statuses.INVALID_RESULT else "no",
            "" if name == statuses.OK else "no" if name in statuses.LASTING else "yes",
        )
        for name, meaning in statuses.MEANINGS.items()
    ]  # fmt: skip
    return page("Statuses", OF_STATUSES, table(["status", "meaning", "has numbers", "tried again"], rows))


def exit_codes_page() -> str:
    """The page of exit codes."""
    rows = [(str(int(one)), one.name, errors.MEANINGS[one]) for one in errors.ExitCode]
    return page("Exit codes", OF_CODES, table(["code", "name", "meaning"], rows))

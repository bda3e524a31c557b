"""All that is summed over the forces of a run, in one pass over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli.compare.force_errors import ForceErrors
from mira_cli.compare.force_pairs import SMALL_FORCE, ForcePairs
from mira_cli.compare.spread import DDOF, ForceSpread
from mira_cli.compare.theory import committees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.compare.answers import ModelFacts
    from mira_cli.compare.forces import ForceBlock


class ForceSums:
    """Filled while forces stream by; memory grows with models² + structures × models, and not with atoms.

    Parameters
    ----------
    models, structures
        Those of the `Answers` that the sums are concluded with.
    small_force
        eV/Å below which the directions of two forces are not compared.
    ddof
        0 or 1: what is subtracted from the number of members in spreads.
    """

    def __init__(
        self, models: Sequence[ModelFacts], structures: int, *, small_force: float = SMALL_FORCE, ddof: int = DDOF
    ) -> None:
        self.ddof = ddof
        self.pairs = ForcePairs(len(models) + 1, small=small_force)
        self.errors = ForceErrors(len(models), structures)
        self.spreads = [ForceSpread(committee, structures, ddof=ddof) for committee in committees(models)]

    def add(self, block: ForceBlock) -> None:
        """Count some structures."""
        if not len(block.sizes):
            return
        self.pairs.add(block)
        self.errors.add(block)
        for spread in self.spreads:
            spread.add(block)

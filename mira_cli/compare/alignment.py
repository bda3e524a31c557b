"""Energies with different zeros made comparable, by named schemes, and how much of the data each scheme used up.

Models are trained on energies with different zeros, so differences of total energies mean nothing. Every scheme takes
from the energies per atom a shift that is linear in them; what is left can be compared. A scheme with as many shifts as
structures leaves nothing: it is refused with a sentence, which is a value and not an exception.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from mira_cli.compare.compositions import Compositions
    from mira_cli.compare.forces import Array
    from mira_cli.compare.schemes import Scheme

EXACT = 1 - 1e-8  # leverage from which a structure's own energy sets its shift


@dataclass(frozen=True)
class Refusal:
    """Why a scheme says nothing about these structures."""

    scheme: Scheme
    reason: str
    rows: int
    rank: int

    @property
    def dof(self) -> int:
        """Rows that the shifts leave, at least 0."""
        return max(0, self.rows - self.rank)


@dataclass(frozen=True, eq=False)
class Aligned:
    """Energies or differences of energies from which a scheme's shift was taken.

    `rows` different structures took part, `rank` shifts were determined from them, `dof` = `rows` - `rank` is left.
    """

    scheme: Scheme
    rows: int
    rank: int
    values: Array  # (s,) eV/atom; NaN where the scheme has no shift for a structure
    leverage: Array  # (s,) share of a structure's own energy in its shift; 1: its value is what it is by construction
    apart: Array | float = 0.0  # (s,) eV/atom: value less the mean of its structure's, where references contradict

    @property
    def dof(self) -> int:
        """Rows that the shifts leave."""
        return self.rows - self.rank

    @property
    def determined(self) -> Array:
        """(s,) whether a value says anything."""
        return np.isfinite(self.values) & (self.leverage < EXACT)

    @property
    def left_out(self) -> Array:
        """(s,) eV/atom: what a difference would be if its structure had not set the shift; NaN if undetermined."""
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = (self.values - self.apart) / (1 - self.leverage)
            return np.where(self.determined, mean + self.apart, np.nan)


@dataclass(frozen=True, eq=False)
class Shifts:
    """A scheme made ready for some structures; for every pair of models that share these, it is the same."""

    scheme: Scheme
    rows: int
    rank: int
    of: Callable[[Array], Array]  # (s,) differences, eV/atom -> the (s,) part of them that the scheme takes away
    leverage: Array  # (s,)

    @property
    def dof(self) -> int:
        """Rows that the shifts leave."""
        return self.rows - self.rank

    def align(self, values: Array, *, target: Array | None = None) -> Aligned:
        """Take the shift of `values` (or of `values - target`) from (s,) `values`, eV/atom."""
        shift = self.of(values if target is None else values - target)
        return Aligned(self.scheme, self.rows, self.rank, values - shift, self.leverage)


MOST_REMEMBERED = 8  # sets of structures whose shifts are kept for each run: most pairs and targets share one
_REMEMBERED: WeakKeyDictionary[Compositions, OrderedDict[tuple[str, bytes], Shifts | Refusal]] = WeakKeyDictionary()


def align(
    values: Array, made_of: Compositions, scheme: Scheme, *, target: Array | None = None, zero_by: Array | None = None
) -> Aligned | Refusal:
    """Align (s,) energies per atom, NaN where there are none.

    Parameters
    ----------
    values
        (s,) eV/atom, of a model, or differences between two models.
    made_of
        Composition of the structures.
    scheme
        `none`; `composition`: relative to the lowest of the same composition; `per-element`: least squares for a shift
        of each element; `elemental`: relative to the lowest structure of each pure element; `mean-shift`: the mean
        of each composition.
    target
        (s,) eV/atom that the values shall meet: a reference, another model, or the committee's mean.
    zero_by
        (s,) energies that say which structure is lowest; default: the target, or else the values.

    Returns
    -------
    Aligned or Refusal
    """
    have = np.isfinite(values) if target is None else np.isfinite(values) & np.isfinite(target)
    order = zero_by if zero_by is not None else target if target is not None else values
    made = shifts(made_of, scheme, have, order)
    if isinstance(made, Refusal):
        return made
    return made.align(np.where(have, values, np.nan), target=target)


def shifts(made_of: Compositions, scheme: Scheme, have: Array, order: Array) -> Shifts | Refusal:
    """Make a scheme ready for the structures in (s,) `have`; `order` says which are lowest, where that matters."""
    if scheme in {"composition", "elemental"}:
        return _made_ready(made_of, scheme, have, order)
    kept, key = _REMEMBERED.setdefault(made_of, OrderedDict()), (scheme, have.tobytes())
    if key not in kept:
        kept[key] = _made_ready(made_of, scheme, have, order)
        if len(kept) > MOST_REMEMBERED:
            kept.popitem(last=False)
    return kept[key]


def _made_ready(made_of: Compositions, scheme: Scheme, have: Array, order: Array) -> Shifts | Refusal:
    have = have & made_of.known
    places = np.flatnonzero(have)
    first = places[np.unique(made_of.identity[places], return_index=True)[1]]  # equal structures count once
    if not len(first):
        return Refusal(scheme, "no structure has both energies", 0, 0)
    if scheme == "per-element":
        return _per_element(made_of, have, first)
    if scheme == "mean-shift":
        return _mean_shift(made_of, have, first)
    if scheme == "composition":
        return _composition(made_of, first, order)
    if scheme == "elemental":
        return _elemental(made_of, have, first, order)
    return Shifts("none", len(first), 0, np.zeros_like, np.zeros(len(have)))


def committee_mean(energies: Array) -> Array:
    """(s,) mean over the models of (s, m) energies, only where all answered: else its zero would jump.

    Models that answered nothing at all do not count.
    """
    members = energies[:, np.isfinite(energies).any(axis=0)]
    return np.asarray(members.mean(axis=1)) if members.shape[1] else np.full(len(energies), np.nan)


def element_shifts(difference: Array, made_of: Compositions) -> tuple[dict[str, float], Shifts | Refusal]:
    """The shift of each element in a `per-element` fit of (s,) differences, eV an atom of that element; and the fit.

    Only elements whose shift these compositions determine; none where the fit is refused.
    """
    have = np.isfinite(difference)
    made = shifts(made_of, "per-element", have, difference)
    if isinstance(made, Refusal):
        return {}, made
    rows = np.flatnonzero(have & made_of.known)
    present, one = np.unique(made_of.groups[rows], return_index=True)
    fractions = made_of.fractions[present]
    inverse = np.linalg.pinv(fractions)
    known = np.abs(np.diag(inverse @ fractions) - 1) < 1 - EXACT
    fitted = made.of(difference)[rows[one]]  # solved exactly by the shifts of smallest norm
    named = zip(made_of.elements, inverse @ fitted, known, strict=True)
    return {name: float(x) for name, x, is_known in named if is_known}, made


def _per_element(made_of: Compositions, have: Array, first: Array) -> Shifts | Refusal:
    """Minimum-norm least squares on rows per atom, d = Σ fₑ xₑ, by singular values.

    Rows of one composition are one row with the root of their number as its weight: which is the same fit, and small.
    """
    groups, fractions = made_of.groups, made_of.fractions
    sizes = np.bincount(groups[first], minlength=len(fractions))
    present = np.flatnonzero(sizes)
    weights = np.sqrt(sizes[present])
    left, singular, right = np.linalg.svd(fractions[present] * weights[:, None], full_matrices=False)
    floor = max(len(first), fractions.shape[1]) * np.finfo(float).eps
    rank = int((singular > singular[0] * floor).sum())
    if len(first) <= rank:
        structures, unknowns = _count(len(first), "structure"), _count(rank, "element shift")
        why = f"{structures} cannot set {unknowns} and leave something to compare"
        return Refusal("per-element", why, len(first), rank)
    into, out = left[:, :rank].T / weights, fractions @ (right[:rank].T / singular[:rank])
    leverage = np.where(have, (out**2).sum(axis=1)[groups], np.nan)

    def fitted(difference: Array) -> Array:
        """(s,) Σₑ fₛₑ xₑ, with x the least-squares fit, of smallest norm, of the (s,) differences, eV/atom."""
        sums = np.bincount(groups[first], difference[first], minlength=len(sizes))[present]
        return np.asarray((out @ (into @ sums))[groups])

    return Shifts("per-element", len(first), rank, fitted, leverage)


def _mean_shift(made_of: Compositions, have: Array, first: Array) -> Shifts | Refusal:
    groups = made_of.groups
    sizes = np.bincount(groups[first], minlength=len(made_of.fractions))
    rank = int((sizes > 0).sum())
    if len(first) <= rank:
        return Refusal("mean-shift", NO_TWO, len(first), rank)
    share = 1 / np.maximum(sizes, 1)

    def means(difference: Array) -> Array:
        """(s,) mean of the (s,) differences over the structures of one composition, eV/atom."""
        return np.asarray((np.bincount(groups[first], difference[first], minlength=len(sizes)) * share)[groups])

    return Shifts("mean-shift", len(first), rank, means, np.where(have, share[groups], np.nan))


def _composition(made_of: Compositions, first: Array, order: Array) -> Shifts | Refusal:
    groups = made_of.groups
    present, lowest = _lowest(groups, first, order)
    if len(first) <= len(present):
        return Refusal("composition", NO_TWO, len(first), len(present))
    zero = np.zeros(len(made_of.fractions), dtype=int)
    zero[present] = lowest
    leverage = np.isin(made_of.identity, made_of.identity[lowest]).astype(float)
    return Shifts("composition", len(first), len(present), lambda d: np.asarray(d[zero[groups]]), leverage)


def _elemental(made_of: Compositions, have: Array, first: Array, order: Array) -> Shifts | Refusal:
    present, lowest = _lowest(made_of.pure, first[made_of.pure[first] >= 0], order)
    lacking = np.ones(len(made_of.elements), dtype=bool)
    lacking[present] = False
    groups, fractions = made_of.groups, made_of.fractions
    covered = have & ~np.any(fractions[:, lacking] > 0, axis=1)[groups]
    rows = int(covered[first].sum())
    if rows <= len(present):
        occurring = fractions[np.unique(groups[have])].any(axis=0)
        names = [name for name, lacks in zip(made_of.elements, lacking & occurring, strict=True) if lacks]
        why = (
            f"no structure of pure {', '.join(names)}" if names else "every structure sets the zero of its own element"
        )
        return Refusal("elemental", why, rows, len(present))
    shares = fractions[:, present]
    leverage = np.isin(made_of.identity, made_of.identity[lowest]).astype(float)

    def zeros(difference: Array) -> Array:
        """(s,) Σₑ fₛₑ dₑ, with dₑ the difference of the lowest structure of element e, eV/atom; NaN if one lacks."""
        return np.where(covered, (shares @ difference[lowest])[groups], np.nan)

    return Shifts("elemental", rows, len(present), zeros, leverage)


NO_TWO = "no two structures have the same composition"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _lowest(groups: Array, rows: Array, order: Array) -> tuple[Array, Array]:
    """The groups among some rows, and the row of each that is lowest (of equals, the first)."""
    ranked = rows[np.lexsort((rows, order[rows], groups[rows]))]
    present, start = np.unique(groups[ranked], return_index=True)
    return present, ranked[start]

"""Element lists as people write them: `H-Bi Ac-Pu`."""

from __future__ import annotations

from typing import Any

SYMBOLS = (  # noqa: SIM905  (a table is easier to check as text)
    "X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y "
    "Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os "
    "Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh "
    "Fl Mc Lv Ts Og"
).split()
NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS)}


def parse_elements(text: Any) -> Any:
    """Atomic numbers of symbols and ranges such as `"H-Bi Ac-Pu"`; anything but a string is left as it is."""
    if not isinstance(text, str):
        return text
    numbers: set[int] = set()
    for part in text.split():
        first, _, last = part.partition("-")
        unknown = {first, last or first} - NUMBERS.keys()
        if unknown:
            raise ValueError(f"unknown element {min(unknown)!r} in {text!r}")
        if NUMBERS[first] > NUMBERS[last or first]:
            raise ValueError(f"{part!r} in {text!r} goes backwards, and would be {last + '-' + first!r}")
        numbers.update(range(NUMBERS[first], NUMBERS[last or first] + 1))
    return frozenset(numbers)


def format_elements(numbers: frozenset[int]) -> str:
    """Inverse of `parse_elements`, with ranges of three or more."""
    parts: list[str] = []
    ordered = sorted(numbers)
    start = 0
    for i, number in enumerate(ordered):
        if i + 1 < len(ordered) and ordered[i + 1] == number + 1:
            continue
        run = ordered[start : i + 1]
        parts += [f"{SYMBOLS[run[0]]}-{SYMBOLS[run[-1]]}"] if len(run) > 2 else [SYMBOLS[z] for z in run]
        start = i + 1
    return " ".join(parts)

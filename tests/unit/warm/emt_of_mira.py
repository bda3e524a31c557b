"""A plugin of pytest for ASE's own tests: there, EMT is MIRA's calculator of it, and all of them share one worker.

With the variable `EMT_ADDRESS`, a server of that address answers.
"""

import os
from functools import cache

import ase.calculators.emt

from mira_cli import calculator
from mira_cli.warm.calculator import WarmCalculator

EMT = ase.calculators.emt.EMT


@cache
def shared() -> WarmCalculator:
    address = os.environ.get("EMT_ADDRESS")
    return calculator("emt", address=address) if address else calculator("emt", threads=1)


class SharedEMT(WarmCalculator):
    """What `EMT()` makes; with options, it is ASE's own."""

    def __new__(cls, *args: object, **options: object):
        return EMT(*args, **options) if args or options else super().__new__(cls)

    def __init__(self) -> None:
        super().__init__(shared().worker)


ase.calculators.emt.EMT = SharedEMT

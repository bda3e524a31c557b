"""The server that a user writes: the library's calculator in FastAPI. `plain_server.py FAMILY NAME PACKAGES`.

PACKAGES is a folder with FastAPI and uvicorn, which images do not hold. It prints its port.
"""

from __future__ import annotations

import socket
import sys
from threading import Lock

sys.path.append(sys.argv[3])

import uvicorn
from ase import Atoms
from fastapi import FastAPI
from pydantic import BaseModel


class Body(BaseModel):
    symbols: list[str]
    positions: list[list[float]]
    cell: list[list[float]]
    pbc: list[bool]


class Question(BaseModel):
    model_name: str
    atoms: Body


def main() -> None:
    family, name = sys.argv[1:3]
    if family == "sevennet":
        from sevenn.calculator import SevenNetCalculator

        calculator = SevenNetCalculator(name, device="cpu")
    else:
        from chgnet.model.dynamics import CHGNetCalculator
        from chgnet.model.model import CHGNet

        calculator = CHGNetCalculator(CHGNet.load(model_name=name, use_device="cpu", verbose=False), use_device="cpu")
    app, one_at_a_time = FastAPI(), Lock()

    @app.post("/api/v1/single_point")
    def single_point(question: Question) -> dict:
        given = question.atoms
        atoms = Atoms(given.symbols, given.positions, cell=given.cell, pbc=given.pbc)
        with one_at_a_time:
            atoms.calc = calculator
            return {
                "energy_ev": float(atoms.get_potential_energy()),
                "forces_ev_per_ang": atoms.get_forces().tolist(),
                "stress_ev_per_ang3": atoms.get_stress().tolist(),
            }

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(100)
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


if __name__ == "__main__":
    main()

# /// script
# requires-python = "==3.13.*"
# dependencies = ["sevenn==0.13.0", "torch==2.13.0"]
# ///
"""A checkpoint of one's own by a library's own calculator: here SevenNet's, and `mine.pth` beside this file."""

from pathlib import Path

MIRA = {
    "title": "My SevenNet",
    "level": "PBE",
    "elements": "H-Pu",
    "pbc": "full",
    "cutoff_ang": 5.0,
    "stress": True,
    "dtypes": ["float32"],
    "framework": "torch",
    "files": ["mine.pth"],
    "licence": "GPL-3.0-only",
}


def calculator(device, dtype):
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(Path(__file__).parent / "mine.pth", device=device)

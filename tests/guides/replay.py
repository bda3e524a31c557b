"""The commands of `docs/guides/*.md`, run in a shell, and what they print beside what the pages show.

A page has blocks that are fenced as `console`: lines that begin with `$ ` are commands (`> ` goes on with one), what
follows is their output. A line `...` stands for any lines. `varying.yaml` says what may differ from machine to machine.
Numbers with decimals may differ by two in the last place that is shown, or by 0.5 %: single precision and the order of
sums leave as much of a third derivative on other processors. Whole numbers may not.

`python -m tests.guides.replay PAGE...` writes the outputs that have changed into the pages.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from difflib import unified_diff
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import yaml

from mira_cli.paths import cache_dir
from tests.families.conftest import python_of
from tests.runs import REPOSITORY

GUIDES = REPOSITORY / "docs" / "guides"
PAGES = sorted(GUIDES.glob("*.md"))
VARYING = yaml.safe_load(Path(__file__).with_name("varying.yaml").read_text(encoding="utf-8"))
BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.(\d+))?(?:e[-+]?\d+)?(?![\w.]*\d)")
CHECKPOINT = "sevenn/pretrained_potentials/SevenNet_0__22May2024/checkpoint_sevennet_0.pth"
MARK = "end-of-command"
LAST_PLACE, RELATIVE = 2, 5e-3


class Step(NamedTuple):
    """A command as the page has it, without `$ ` and `> `, and the lines that are shown below it."""

    command: str
    shown: list[str]


def steps(block: str) -> list[Step]:
    """The commands of a block; raises ValueError where it does not begin with one."""
    found: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:], []))
        elif not found:
            raise ValueError(f"a block begins with output: {line}")
        elif (line == ">" or line.startswith("> ")) and not found[-1].shown:
            found[-1] = Step(f"{found[-1].command}\n{line[2:]}", [])
        else:
            found[-1].shown.append(line)
    return found


def commands(page: Path) -> list[Step]:
    """All commands of a page."""
    return [step for block in BLOCK.findall(page.read_text(encoding="utf-8")) for step in steps(block)]


def printed(lines: Sequence[str], folder: Path, **environment: str) -> list[list[str]]:
    """The lines that each command prints (both streams), in one shell that begins in a folder.

    A command may fail only where `echo $?` follows, so that no page shows a failure unnoticed; raises AssertionError
    where another one does, with what it printed.
    """
    script = ""
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        unless = "" if after == "echo $?" else "[ $_code = 0 ] || exit;"
        script += f"{line}\n_code=$?; echo {MARK}; {unless} (exit $_code)\n"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    everywhere = {"PATH": path, "COLUMNS": "100", "LC_ALL": "C.UTF-8", "MIRA_WARM": "0"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, **everywhere, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=800,
    )
    *texts, rest = done.stdout.split(f"{MARK}\n")
    assert done.returncode == 0, f"`{lines[len(texts) - 1]}` failed\n{texts[-1]}{rest}"
    assert len(texts) == len(lines), f"the shell ended after `{lines[len(texts)]}`"
    return [tidy(text).splitlines() for text in texts]


def tidy(text: str) -> str:
    """A text without blanks at the ends of its lines, empty lines around it, and two of these in a row."""
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


def normal(lines: Sequence[str]) -> list[str]:
    """The lines without what may vary, without empty ones, with single blanks."""
    text = "\n".join(line for line in lines if not any(re.search(drop, line) for drop in VARYING["lines"]))
    for pattern, instead in VARYING["words"].items():
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip(" ─")]


def same_line(shown: str, got: str) -> bool:
    """Whether two lines have the same words and whole numbers, and nearly the same other ones."""
    if NUMBER.sub("0", shown) != NUMBER.sub("0", got):
        return False
    for one, other in zip(NUMBER.finditer(shown), NUMBER.finditer(got), strict=True):
        a, b, places = float(one[0]), float(other[0]), len(one[1] or "")
        if abs(a - b) > (max(LAST_PLACE * 10.0**-places, RELATIVE * abs(a)) * 1.001 if places else 0):
            return False
    return True


def same(shown: Sequence[str], got: Sequence[str]) -> bool:
    """Whether an output is what the page shows; both may vary as `varying.yaml` says, and `...` is any lines."""
    return _matches(normal(shown), normal(got))


def _matches(shown: Sequence[str], got: Sequence[str]) -> bool:
    if not shown:
        return not got
    if shown[0] == "...":
        return any(_matches(shown[1:], got[start:]) for start in range(len(got) + 1))
    return bool(got) and same_line(shown[0], got[0]) and _matches(shown[1:], got[1:])


def renewed(shown: Sequence[str], got: Sequence[str]) -> list[str]:
    """What the page shows from now on: as before where that still holds, else what was printed.

    One `...` keeps its place: as many lines before and after it as there were.
    """
    if same(shown, got):
        return list(shown)
    if list(shown).count("...") != 1:
        return list(got)
    before = list(shown).index("...")
    after = len(shown) - before - 1
    return [*got[:before], "...", *got[len(got) - after :]]


def begin(folder: Path) -> Path:
    """A folder as a reader has it: the images built, the examples of a clone, and a checkpoint of their own."""
    environment = Path(python_of("fairchem-sevennet")).parents[1]
    mira = Path(sys.executable).with_name("mira")
    subprocess.run([mira, "images", "build", "fairchem-sevennet", "matgl"], check=True, capture_output=True)
    shutil.copytree(REPOSITORY / "examples", folder / "examples")
    shutil.copyfile(next(environment.glob(f"lib/python3*/site-packages/{CHECKPOINT}")), folder / "mine.pth")
    return folder


def outputs(page: Path, folder: Path) -> list[tuple[Step, list[str]]]:
    """The commands of a page, and what they print in a folder, which is the reader's home and is called so."""
    found = commands(page)
    place = {"HOME": str(folder), "XDG_STATE_HOME": f"{folder}/.state", "XDG_CONFIG_HOME": f"{folder}/.config"}
    got = printed([step.command for step in found], begin(folder), MIRA_CACHE=(cache := str(cache_dir())), **place)
    return [
        (step, [line.replace(str(folder), "/home/me").replace(cache, "/home/me/.cache/mira") for line in lines])
        for step, lines in zip(found, got, strict=True)
    ]


def differences(page: Path, folder: Path) -> str:
    """What the commands of a page print otherwise than it shows; nothing if they do not."""
    return "\n".join(
        f"$ {step.command}\n"
        + "\n".join(unified_diff(normal(step.shown), normal(got), "shown", "printed", lineterm=""))
        for step, got in outputs(page, folder)
        if not same(step.shown, got)
    )


def renew(page: Path) -> None:
    """Write the outputs of a page that have changed into it."""
    with tempfile.TemporaryDirectory(prefix="mira-guide-") as folder:
        got = iter(outputs(page, Path(folder)))
    text = page.read_text(encoding="utf-8")
    new = iter(
        "".join(as_shown(step.command, renewed(step.shown, lines)) for step, lines in islice(got, len(steps(block))))
        for block in BLOCK.findall(text)
    )
    page.write_text(BLOCK.sub(lambda _: next(new), text), encoding="utf-8")


def as_shown(command: str, lines: Sequence[str]) -> str:
    """A command and its output as a page has them."""
    return "".join(f"{line}\n" for line in ["$ " + command.replace("\n", "\n> ").replace("> \n", ">\n"), *lines])


if __name__ == "__main__":
    for name in sys.argv[1:] or PAGES:
        print(name)
        renew(Path(name))

"""The numbers of a family in a file are checked before its first job; what does not hold is refused by its measure."""

import json
import time
from pathlib import Path

import pytest

from mira_cli.config import build_config
from mira_cli.errors import UsageError
from mira_cli.planning import first_use
from mira_cli.planning.models import named_models, ready_models
from tests.own_files import LJ, MIRA, source, stand_in, write

WRAPPED = """
    import numpy as np
    from ase.calculators.lj import LennardJones

    class Mine(LennardJones):
        last = 0

        def calculate(self, atoms=None, properties=(), system_changes=()):
            {before}
            LennardJones.calculate(self, atoms, ["energy", "forces", "stress"], system_changes)
            {after}

    return Mine(sigma=2.2, epsilon=0.1, rc=6.0, smooth=True)
"""


FLIPPED = "self.results.update(stress=-self.results.get('stress', np.zeros(6)))"
STICKS = "self.results['energy'] += self.last; self.last = len(atoms)"
SHORT = MIRA.replace("6.0", "3.0")
ASKS = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9', timeout=5)"


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def wrapped(before: str = "pass", after: str = "pass") -> str:
    return WRAPPED.format(before=before, after=after)


def use(folder: Path, text: str):
    """Everything up to the first job."""
    path = write(folder, text)
    stand_in(path)
    settings = {"structures": ["-"], "models": [f"file:{path}"], "trust_files": True}
    return ready_models(named_models(build_config(settings, [])), "venv", images="require")


def verdicts(folder: Path) -> list[Path]:
    return sorted((folder / "cache" / "checked-files").glob("*.json"))


def test_a_right_potential_passes_once(tmp_path, capsys) -> None:
    assert use(tmp_path, source()).models[0].row.stress
    assert "file:mine.py has passed the check" in capsys.readouterr().err
    assert len(verdicts(tmp_path)) == 1
    use(tmp_path, source())
    assert "check" not in capsys.readouterr().err
    use(tmp_path, source() + "# other content\n")
    assert "has passed the check" in capsys.readouterr().err
    assert len(verdicts(tmp_path)) == 2


def test_what_prints_and_changes_its_input_is_no_worse_for_it(tmp_path) -> None:
    assert use(tmp_path, source(body=wrapped('print("{not json")', "atoms.positions += 1; atoms.info['a'] = 1")))


@pytest.mark.parametrize(
    ("body", "mira", "message", "hint"),
    [
        (wrapped(after="self.results.pop('stress')"), MIRA, "answers without stress", '"stress": False'),
        (wrapped(after=FLIPPED), MIRA, "stress: triclinic", '"stress": False'),
        (wrapped(after="self.results['forces'] *= 1.01"), MIRA, "forces: ", '"conservative": False'),
        (wrapped(after="self.results['energy'] += 0.1 * atoms.positions[0, 0]"), MIRA, "rotation: ", '["rotation"]'),
        (wrapped(after=STICKS), MIRA, "batch: ", '"fresh": True'),
        (wrapped(after="self.results['energy'] += len(atoms) ** 2"), MIRA, "supercell: ", '"approximate": ["super'),
        (LJ, SHORT, "box: slab, 10 Å more vacuum: off by", 'a longer `"cutoff_ang"`'),
        (LJ, SHORT.replace("none|full", "full"), "box: ", 'a longer `"cutoff_ang"`'),
        (LJ, f'{MIRA}, "reads": ["charge"]', "contract: the model is said to read a charge", "models check"),
        (wrapped(after="self.results['energy'] = float('nan')"), MIRA, "not finite numbers", "models check"),
        ("\n    import os\n    os._exit(3)\n", MIRA, "cannot be used: its process died", "correct"),
        (wrapped(ASKS), MIRA, "URLError", "models check"),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_refused_by_its_measure(tmp_path, body, mira, message, hint) -> None:
    with pytest.raises(UsageError) as caught:
        use(tmp_path, source(mira, body))
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    with pytest.raises(UsageError) as again:
        use(tmp_path, source(mira, body))
    assert again.value.message == caught.value.message


def test_what_a_file_says_of_its_model_is_taken_for_it(tmp_path) -> None:
    body = wrapped(after="self.results['energy'] += len(atoms) ** 2; self.results['forces'] *= 1.01")
    mira = f'{MIRA}, "approximate": ["supercell"], "conservative": False'
    assert use(tmp_path, source(mira, body)).models[0].row.forces == "direct"


def test_a_file_may_see_farther_than_its_boxes_and_say_so(tmp_path) -> None:
    assert use(tmp_path, source(f'{SHORT}, "approximate": ["box"]'))


def test_without_a_cutoff_there_is_no_box_to_be_too_small(tmp_path) -> None:
    assert use(tmp_path, source('"elements": "H-Rn", "pbc": "none|full", "stress": True'))


def test_stale_forces_are_found(tmp_path) -> None:
    """Energy first, then forces: what users do, and what one library answers from the last structure."""
    stale = """
    from ase.calculators.lj import LennardJones

    class Mine(LennardJones):
        old = None

        def calculate(self, atoms=None, properties=(), system_changes=()):
            LennardJones.calculate(self, atoms, ["energy", "forces", "stress"], system_changes)
            if list(properties) == ["energy"]:
                if self.old is not None and len(self.old) == len(atoms):
                    self.results["forces"] = self.old
                self.old = self.results["forces"].copy() + 1.0

    return Mine(sigma=2.2, epsilon=0.1, rc=6.0, smooth=True)
"""
    with pytest.raises(UsageError, match=r"stale: .*by the package's calculator") as caught:
        use(tmp_path, source(body=stale))
    assert '"fresh": True' in (caught.value.hint or "")
    assert use(tmp_path, source(f'{MIRA}, "fresh": True', stale))


def test_a_calculator_that_hangs_is_given_up(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(first_use, "ANSWER_S", 4.0)
    hung = r"has not answered in 4 s about triclinic, \d atoms: it is at line 16 of `mine\.py`"
    with pytest.raises(UsageError, match=hung) as caught:
        use(tmp_path, source(body=wrapped("import time; time.sleep(600)")))
    assert "try it by hand" in (caught.value.hint or "")
    assert verdicts(tmp_path) == []


def test_a_calculator_that_never_gets_ready_is_given_up_and_told_of(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(first_use, "TIMEOUT_S", 4.0)
    monkeypatch.setattr(first_use, "REMINDER_S", 1.0)
    with pytest.raises(UsageError, match="has not answered some hundred questions about a few atoms in 4 s"):
        use(tmp_path, source(top="import time\n\ntime.sleep(600)"))
    assert "still checking file:mine.py" in (said := capsys.readouterr().err)
    assert "given up after 4 s, Ctrl-C ends it now" in said


def test_an_import_that_fails_is_told_before_any_job(tmp_path) -> None:
    with pytest.raises(
        UsageError, match=r"cannot be imported in its environment \(ModuleNotFoundError: .*notthere"
    ) as caught:
        use(tmp_path, source(top="import notthere"))
    assert "mine.py" in (caught.value.hint or "")


def test_an_import_that_ends_its_process_is_told_as_that(tmp_path) -> None:
    with pytest.raises(UsageError, match="wants to end the process: no licence here") as caught:
        use(tmp_path, source(top="import sys\n\nsys.exit('no licence here')"))
    assert "dependencies" not in caught.value.message


def test_a_check_is_of_the_model_with_its_options(tmp_path) -> None:
    mira = f'{MIRA}, "options": {{"scale": 1.0}}'
    body = wrapped(after="self.results['forces'] *= options['scale']")
    use(tmp_path, source(mira, body))
    path = tmp_path / "mine.py"
    settings = {"structures": ["-"], "models": [f"file:{path}?scale=2"]}
    with pytest.raises(UsageError, match=r"`file:mine\.py\?scale=2` fails the check of its numbers, forces") as caught:
        ready_models(named_models(build_config(settings, [])), "venv", images="require")
    assert f"'file:{path}?scale=2'" in (caught.value.hint or "")
    assert [bool(json.loads(file.read_text())["failed"]) for file in verdicts(tmp_path)].count(True) == 1


BEATS = """import os, time

if os.fork() == 0:
    os.setsid()
    for beat in range(6000):
        open({mark!r}, "w").write(str(beat))
        time.sleep(0.1)
    os._exit(0)
"""


def test_what_it_forks_keeps_nobody_waiting_and_ends_with_the_check(tmp_path) -> None:
    mark = tmp_path / "beats"
    use(tmp_path, source(top=BEATS.format(mark=str(mark))))
    last = mark.read_text()
    time.sleep(0.5)
    assert mark.read_text() == last


def test_what_raises_may_not_the_next_time_and_is_checked_again(tmp_path) -> None:
    for _ in range(2):
        with pytest.raises(UsageError, match="full") as caught:
            use(tmp_path, source(body=wrapped(before="raise OSError('the disk is full')")))
        assert "correct `" in caught.value.hint
    assert not verdicts(tmp_path)

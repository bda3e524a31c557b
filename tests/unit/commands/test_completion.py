"""Shells complete names: as `mira --install-completion` sets them up, in those shells that are here."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mira_cli.catalogue.lookup import built_in
from mira_cli.commands import complete

WITH_CHGNET = sorted(f"sevennet-0,{name}" for name in built_in().models if name.startswith("chg"))
MIRA = Path(sys.executable).with_name("mira")  # by another name, completion would ask another variable
CALL = {
    "bash": "source ~/.bash_completions/mira.sh; COMP_WORDS=({words}); COMP_CWORD={last}; _mira_completion mira; "
    'printf "%s\\n" "${{COMPREPLY[@]}}"',
    "fish": "complete -C '{line}'",
    "zsh": '_TYPER_COMPLETE_ARGS="{line}" _MIRA_COMPLETE=complete_zsh mira',
}


@pytest.fixture(scope="module", params=CALL)
def shell(request, tmp_path_factory):
    """Call a shell in which completion was installed: `shell(line)` returns what it offers for the last word."""
    name = request.param
    if not shutil.which(name):
        pytest.skip(f"no {name} here")
    home = tmp_path_factory.mktemp(name)
    environment = {**os.environ, "HOME": str(home), "PATH": f"{MIRA.parent}:{os.environ['PATH']}"}
    environment |= {"XDG_CONFIG_HOME": str(home / ".config")}  # where typer writes whatever the variable says

    def run(script: str) -> str:
        done = subprocess.run([name, "-c", script], capture_output=True, text=True, cwd=home, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "completion installed" in run("mira --install-completion; true")  # the shell stays its parent

    def offered(line: str) -> list[str]:
        words = line.split(" ")
        out = run(CALL[name].format(words=" ".join(words), last=len(words) - 1, line=line))
        if name == "zsh":  # _arguments '*: :(("name":"what it is" …))'
            return sorted(re.findall(r'(?<!:)"([^"]+)"', out))
        return sorted(row.split("\t")[0] for row in out.splitlines())

    return offered


def test_models_complete_after_a_comma(shell) -> None:
    assert shell("mira run -m sevennet-0,chg") == WITH_CHGNET
    assert shell("mira run x --models so3l") == ["so3lr"]
    assert shell("mira models show hien") == ["hienet-v3"]


def test_commands_and_tasks_complete(shell) -> None:
    assert shell("mira runs") == ["runs"]
    assert shell("mira run --task eos,el") == ["eos,elastic"]


def test_a_name_is_offered_once() -> None:
    assert "chgnet-0.3.0" not in [name.split(",")[-1] for name in complete.complete_models("chgnet-0.3.0,chg")]
    assert complete.complete_models("nothing-like-it") == []


def test_profiles_and_images_complete() -> None:
    assert {"local", "slurm"} <= set(complete.complete_profile(""))
    assert complete.complete_image("mat") == ["matgl", "mattersim"]
    assert complete.complete_image("a") == ["all"]


def test_no_shell_settings_of_the_user_are_touched(tmp_path) -> None:
    """What a completion writes while it looks for names would be read as names."""
    environment = {**os.environ, "HOME": str(tmp_path), "_MIRA_COMPLETE": "complete_bash"}
    environment |= {"COMP_WORDS": "mira run -m so3lr", "COMP_CWORD": "3"}
    done = subprocess.run([MIRA], capture_output=True, text=True, env=environment)
    assert (done.stdout.split(), done.stderr) == (["so3lr"], "")
    assert not [*Path(tmp_path).iterdir()]

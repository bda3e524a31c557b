"""The invariants of ARCHITECTURE.md that a machine can check."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL_PACKAGES = {
    "torch",
    "tensorflow",
    "mace",
    "orb_models",
    "fairchem",
    "sevenn",
    "matgl",
    "chgnet",
    "tensorpotential",
    "mattersim",
    "torch_sim",
}


def imported(file: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def files(folder: str) -> list[Path]:
    found = sorted((REPOSITORY / folder).rglob("*.py"))
    assert found
    return found


def test_host_imports_no_model_package_and_no_snakemake() -> None:
    for file in files("mira_cli"):
        forbidden = (
            MODEL_PACKAGES if "snakemake_logger_plugin" in str(file) else MODEL_PACKAGES | {"snakemake", "worker"}
        )
        assert not imported(file) & forbidden, file


def test_worker_imports_one_family_and_nothing_of_the_host() -> None:
    third_party = {"numpy", "ase"}
    for file in files("workflow/worker"):
        others = {name for name in imported(file) if name not in sys.stdlib_module_names} - third_party - {"worker"}
        assert "mira_cli" not in others, file
        if file.parent.name != "families":
            assert others <= {"torch", "tensorflow"}, file


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['mira', '--version']\nfrom mira_cli import app\n"
    code += "print([m for m in ('ase', 'numpy', 'pyarrow', 'snakemake', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("pattern", ["*.py", "*.smk", "Snakefile"])
def test_files_have_one_purpose(pattern) -> None:
    limit = 400 if pattern == "*.py" else 120
    long = [
        str(f)
        for f in REPOSITORY.rglob(pattern)
        if not {".venv", ".tools"} & set(f.parts) and len(f.read_text().splitlines()) > limit
    ]
    assert long == []


def modules_run_by(file: Path) -> list[list[str]]:
    """The words of each argument list in a file that runs a module, as far as they are constants."""
    displays = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.List | ast.Tuple)]
    lists = [[getattr(word, "value", None) for word in display.elts] for display in displays]
    return [words for words in lists if "-m" in words]


def test_no_module_is_looked_for_in_the_current_folder() -> None:
    """Commands run in the run directory, which holds what users put there, or what came with it from somebody else."""
    lists = [words for folder in ("mira_cli", "workflow") for file in files(folder) for words in modules_run_by(file)]
    assert len(lists) >= 5
    assert not [words for words in lists if words[words.index("-m") - 1] != "-P"]
    rules = "".join(file.read_text() for file in (REPOSITORY / "workflow" / "rules").glob("*.smk"))
    assert re.findall(r"(\S+ \S+) -m (?:mira_cli|worker)", rules) == re.findall(r"(\S+:q} -P) -m", rules)
    assert rules.count(" -m ") == 4

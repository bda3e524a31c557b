"""The invariants of ARCHITECTURE.md that a machine can check."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import SLOW

REPOSITORY = Path(__file__).resolve().parents[2]
PROTOCOLS = {  # what families, tasks, formats and programs are called by: each module of a kind has them
    *("load", "fetch", "names", "bundled", "accelerators", "check", "steps", "refusal", "read", "main", "is_ours"),
    *("importing", "framework", "dtypes"),
    "Executor",  # Snakemake's name for what submits jobs
}
TWINS = {  # host and worker cannot import one another: each has its own side of one thing
    "Checkpoint": "where weights are; and which file to load",
    "FrameError": "both ends of a warm worker's socket",
    "Family": "a row of families.yaml; and the module that computes it",
    "Job": "one model on one chunk, as planned; and as read from its file",
    "Layout": "how an array lies in its file",
    "Model": "a row of the catalogue; and what a worker needs of it",
    "Outcome": "what became of a structure: as it is recorded; and as a warm worker has sent it",
    "Task": "a task as data; and the module that computes it",
    "calculator": "what scripts import; and the check against ASE's calculator of a package",
    "find_task": "the one or the other by its name",
    "files_below": "files that are hashed as weights",
    "packed_frame": "both ends of a warm worker's socket",
    "read_frame": "both ends of a warm worker's socket",
    "receive_exactly": "both ends of a warm worker's socket",
    "write_json": "a file appears whole",
}
NAMED_BY_OTHERS = {
    "WarmCalculator": "a calculator as ASE means it",
    "containers": "the folder `containers/`",
    "registry_answers": "a container registry",
    "remember_backend": "uv's `--torch-backend`",
    "molecules": "what an SDF file holds",
    "is_archive": "a zip or tar archive",
    "calculator": "ASE's calculator of a family's package",
}
MODEL_PACKAGES_TOO = {"metatomic", "metatrain", "tensorflow", "torch_sim"}  # beside what families name in `IMPORTS`


def imported(file: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def model_packages() -> set[str]:
    """Top-level packages that families import: what they name in `IMPORTS`, which is a literal."""
    found = set(MODEL_PACKAGES_TOO)
    for file in files("workflow/worker/families"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and [ast.unparse(name) for name in node.targets] == ["IMPORTS"]:
                found |= {module.partition(".")[0] for module in ast.literal_eval(node.value)}
    return found - {"ase"}


def files(folder: str) -> list[Path]:
    found = sorted((REPOSITORY / folder).rglob("*.py"))
    assert found
    return found


def test_host_imports_no_model_package_and_no_snakemake() -> None:
    of_models = model_packages()
    assert {"torch", "mace", "chgnet", "orb_models", "deepmd"} <= of_models
    for file in files("mira_cli"):
        forbidden = of_models if "snakemake_logger_plugin" in str(file) else of_models | {"snakemake", "worker"}
        assert not imported(file) & forbidden, file


def test_worker_imports_one_family_and_nothing_of_the_host() -> None:
    third_party = {"numpy", "scipy", "ase", "spglib", "phonopy", "seekpath", "dftd3"}  # every image has them
    for file in files("workflow/worker"):
        others = {name for name in imported(file) if name not in sys.stdlib_module_names} - third_party - {"worker"}
        assert "mira_cli" not in others, file
        if file.parent.name != "families":
            assert others <= {"torch", "tensorflow"}, file


def modules_imported(file: Path, known: set[str]) -> set[str]:
    """Modules of `known` that a file imports, anywhere in it, `TYPE_CHECKING` included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file} imports relatively"
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (below & known) or {node.module}
    return found & known


def import_graph(folder: str, *, top: str) -> dict[str, set[str]]:
    """Imports among the modules below a folder, by their dotted names."""
    root = (REPOSITORY / folder).parent
    by_name = {
        ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file for file in files(folder)
    }
    assert top in by_name
    return {name: modules_imported(file, set(by_name)) - {name} for name, file in by_name.items()}


@pytest.mark.parametrize(("folder", "top"), [("mira_cli", "mira_cli"), ("workflow/worker", "worker")])
def test_no_circle_of_imports(folder, top) -> None:
    assert list(TopologicalSorter(import_graph(folder, top=top)).static_order())


def code_map() -> dict[str, set[str]]:
    """The table of packages in ARCHITECTURE.md, from the top: what each imports, ground left out."""
    page = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = page.partition("| package | purpose | imports |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\|([^|]*)\|$", table, flags=re.MULTILINE)
    return {name: {word.strip() for word in imports.split(",") if word.strip()} for name, imports in rows}


def test_packages_import_what_the_code_map_says_and_nothing_above_them() -> None:
    page = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    ground = set(re.findall(r"`(\w+)`", page.partition("may import the ground:")[2].partition("\n\n")[0]))
    real: dict[str, set[str]] = {}
    for module, imports in import_graph("mira_cli", top="mira_cli").items():
        package = module.split(".")[1] if "." in module else ""
        real.setdefault(package, set()).update(name.split(".")[1] for name in imports if "." in name)
    told, order = code_map(), [*code_map()]
    assert set(told) | ground | {"", "__main__"} == set(real)
    for package, imports in real.items():
        if package in ground:
            assert imports - {package} <= ground, package
        elif package in told:
            assert imports - ground - {package} == told[package], package
            assert all(order.index(name) > order.index(package) for name in told[package]), package


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


def test_unit_tests_lie_in_the_folders_of_what_they_test() -> None:
    unit = REPOSITORY / "tests" / "unit"
    folders = {file.parent.relative_to(unit) for file in unit.rglob("test_*.py")} - {Path()}
    lost = [
        f for f in folders if not (REPOSITORY / "mira_cli" / f).is_dir() and not (REPOSITORY / "workflow" / f).is_dir()
    ]
    assert not lost


def test_the_fast_tests_are_of_every_package() -> None:
    unit = REPOSITORY / "tests" / "unit"
    named = {f"unit/{file.relative_to(unit)}" for file in unit.rglob("test_*.py")}
    assert {*SLOW} <= named
    packages = [{Path(file).parts[1] for file in some} for some in (named, named - {*SLOW})]
    assert packages[0] == packages[1]


def test_no_module_is_looked_for_in_the_current_folder() -> None:
    """Commands run in the run directory, which holds what users put there, or what came with it from somebody else."""
    lists = [words for folder in ("mira_cli", "workflow") for file in files(folder) for words in modules_run_by(file)]
    assert len(lists) >= 5
    assert not [words for words in lists if words[words.index("-m") - 1] != "-P"]
    rules = "".join(file.read_text() for file in (REPOSITORY / "workflow" / "rules").glob("*.smk"))
    assert re.findall(r"(\S+ \S+) -m (?:mira_cli|worker)", rules) == re.findall(r"(\S+:q} -P) -m", rules)
    assert rules.count(" -m ") == 4


def public_names() -> list[tuple[str, str]]:
    """Names of public top-level functions and classes, each with its module; commands are verbs of the user's."""
    found = []
    for file in (*files("mira_cli"), *files("workflow/worker")):
        if file.parent.name == "commands":
            continue
        nodes = ast.parse(file.read_text(encoding="utf-8")).body
        named = [node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        found += [(name, str(file.relative_to(REPOSITORY))) for name in named if not name.startswith("_")]
    return found


def test_a_public_name_has_one_home() -> None:
    homes: dict[str, list[str]] = {}
    for name, module in public_names():
        homes.setdefault(name, []).append(module)
    several = {name: modules for name, modules in homes.items() if len(modules) > 1 and name not in PROTOCOLS}
    twins = {name: modules for name, modules in several.items() if name in TWINS}
    assert several == twins
    assert twins.keys() == TWINS.keys()
    for modules in twins.values():
        assert [module.startswith("mira_cli/") for module in modules] == [True, False]


def glossary() -> dict[str, set[str]]:
    """The words of ARCHITECTURE.md, each with the synonyms that it forbids."""
    page = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = page.partition("| word | meaning | not |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([a-z, ]+) \|.*\|([^|]*)\|$", table, flags=re.MULTILINE)
    return {word: set(re.findall(r"`(\w+)`", synonyms)) for word, synonyms in rows}


def test_public_names_keep_to_the_glossary() -> None:
    words = glossary()
    assert len(words) > 20
    forbidden = set().union(*words.values())
    assert len(forbidden) == sum(map(len, words.values()))
    assert not forbidden & words.keys()
    met = set()
    for name, _ in public_names():
        parts = {part.lower() for part in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}
        parts |= {part.removesuffix("s") for part in parts} | {part.replace("ies", "y") for part in parts}
        if parts & forbidden:
            met.add(name)
    assert met == NAMED_BY_OTHERS.keys()

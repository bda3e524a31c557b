"""A family in a file: read without running it, refused in one sentence, kept and keyed by its content."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from mira_cli import paths
from mira_cli.catalogue.lookup import built_in, find_models, load_catalogue
from mira_cli.commands.images import build
from mira_cli.config import RunConfig, absolute_paths, build_config
from mira_cli.engine.profile import find_profile
from mira_cli.errors import EnvironmentNotReadyError, InputError, UsageError
from mira_cli.images import recipe, venv, verification
from mira_cli.images.lock_file import lock_file_of
from mira_cli.images.prepare import build_image
from mira_cli.own_files.locked import lock_path
from mira_cli.own_files.read import read_own_file
from mira_cli.planning.machine import Machine
from mira_cli.planning.models import named_models, resources_of
from tests import own_files, tiny_image
from tests.own_files import MIRA, source, write


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def refused(path: Path, text: str) -> UsageError:
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_own_file(path)
    assert path.name in caught.value.message
    assert caught.value.hint
    return caught.value


def config(*models: str, **more) -> RunConfig:
    return build_config({"structures": ["-"], "models": list(models), **more}, [])


def resolved(*models: str):
    return named_models(config(*models, trust_files=True)).models


def test_reading_runs_nothing(tmp_path) -> None:
    mark = tmp_path / "mark"
    path = write(tmp_path, source(top=f"open({str(mark)!r}, 'w')"))
    ((name, row),) = find_models([f"file:{path}"], built_in()).items()
    assert name == "file:mine.py"
    assert (row.family, row.stress, row.forces, len(row.elements or ())) == ("file", True, "conservative", 86)
    assert row.of_file is not None
    assert row.of_file.package == "ase==1.0"
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("MIRA = {", "line 1 is no Python", "own-model.md"),
        ("MIRA = {}", "has no block of dependencies", "# /// script"),
        (source() + "\n" + source(), "has 2 blocks of dependencies", "# /// script"),
        (source(dependencies=""), "is not a list of packages", "ase"),
        (source(dependencies='"x @ https://a.b/c.whl"'), "no package of an index", "UV_FIND_LINKS"),
        (source().replace("# ///\n", "# [tool.uv]\n# ///\n", 1), "`tool`, which MIRA does not read", "dependencies"),
        (source().replace("# dep", '# requires-python = ">=3.99"\n# dep', 1), "wants Python >=3.99", "requires-python"),
        (source().replace("MIRA =", "MINE ="), "says nothing of itself", "own-model.md"),
        (source(mira=f"{MIRA}, **other"), "is no literal: it is read", "without names or calls"),
        (source(mira=f'{MIRA}, "title": name()'), "is no literal: it is read", "without names or calls"),
        (source(mira=f'{MIRA}, "strss": True'), "unknown key `strss`", "did you mean `stress`?"),
        (source(mira='"pbc": "none", "stress": True'), "lacks the key `elements`", "own-model.md"),
        (source(mira=MIRA.replace("none|full", "some")), "bad `pbc`: 'some' is not one of", "own-model.md"),
        (source(mira=MIRA.replace("True", '"yes"')), "bad `stress`: 'yes' is not a boolean", "own-model.md"),
        (source(mira=MIRA.replace("6.0", "-1.0")), "bad `cutoff_ang`: -1.0 is not greater than 0", "own-model.md"),
        (source(mira=f'{MIRA}, "level": "{{method}}"'), "the option `method`, which is not", "own-model.md"),
        (source(mira=f'{MIRA}, "reads": ["spin"]'), "reads `charge` too", "own-model.md"),
        (source(mira=f'{MIRA}, "options": {{"dtype": 1}}'), "`dtype` cannot be an option", "own-model.md"),
        (source(mira=f'{MIRA}, "files": ["../w.pt"]'), "names `../w.pt`, which is not below", "Path(__file__)"),
        (source().replace("def calculator", "def potential"), "has no function `calculator`", "device, dtype"),
        (source().replace("**options", "head"), "cannot be called with device, dtype", "calculator(device, dtype)`"),
        (source().replace("device, dtype, **", "**"), "cannot be called with device, dtype", "write `def calculator"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_family_is_refused_in_one_sentence(tmp_path, text, message, hint) -> None:
    error = refused(tmp_path / "mine.py", text)
    assert message in error.message
    assert hint in (error.hint or "")


def test_what_is_not_there_is_said(tmp_path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        find_models(["file:nowhere.py"], built_in())
    (tmp_path / "mine.txt").write_text(source())
    with pytest.raises(UsageError, match="not named as a Python file"):
        find_models(["file:mine.txt"], built_in())
    with pytest.raises(InputError, match="is a folder"):
        find_models([f"file:{tmp_path}"], built_in())
    path = write(tmp_path)
    with pytest.raises(UsageError, match=r"no dispersion is added to `mine\.py`"):
        find_models([f"file:{path}+d3"], built_in())
    for name in ("mine.py", "./mine.py", str(path)):
        with pytest.raises(UsageError) as caught:
            find_models([name], built_in())
        assert f"`file:{name}`" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="no option `n`") as caught:
        named_models(config(f"file:{write(tmp_path)}", options={"file:mine.py": {"n": 1}}))
    assert "`file:PATH?n=…`" in (caught.value.hint or "")
    path = write(tmp_path, source(mira=f'{MIRA}, "files": ["w.pt"]'))
    with pytest.raises(InputError, match=r"opens `w\.pt`, which is not there"):
        find_models([f"file:{path}"], built_in())
    with pytest.raises(UsageError, match="unknown element"):
        find_models([f"file:{write(tmp_path, source(mira=MIRA.replace('H-Rn', 'Xx')))}"], built_in())


def test_what_is_no_regular_file_is_never_read(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    with pytest.raises(InputError, match=r"pipe.py` is no regular file"):
        read_own_file(tmp_path / "pipe.py")
    (tmp_path / "noise").symlink_to("/dev/zero")
    path = write(tmp_path, source(MIRA + ', "files": ["noise"]'))
    with pytest.raises(InputError, match="opens `noise`, which is no regular file"):
        read_own_file(path).weights()


def test_what_is_said_twice_or_is_no_number_is_refused(tmp_path) -> None:
    for said, message in (('"stress": True', "`stress` more than once"), ('"cutoff_ang": 1e999', "more than once")):
        (tmp_path / "twice.py").write_text(source(f"{MIRA}, {said}"))
        with pytest.raises(UsageError, match=message):
            read_own_file(tmp_path / "twice.py")
    (tmp_path / "far.py").write_text(source(MIRA.replace("6.0", "1e999")))
    with pytest.raises(UsageError, match="bad `cutoff_ang`"):
        read_own_file(tmp_path / "far.py")


def test_a_lock_that_does_not_fit_is_refused(tmp_path) -> None:
    path = write(tmp_path)
    lock = lock_path(read_own_file(path))
    right = lock.read_text()
    cases = {
        right.replace("--hash=sha256:", "--hosh=", 1): "has no hash for ase",
        right.replace("--only-binary :all:\n", ""): "is not as it was made",
        right.replace("scipy==1.0", "scupy==1.0"): "holds no scipy",
    }
    for text, message in cases.items():
        lock.write_text(text)
        with pytest.raises(UsageError, match=message) as caught:
            find_models([f"file:{path}"], built_in())
        assert f"`mira models lock {path}`" in (caught.value.hint or "")
    lock.write_text(right)
    path.write_text(source(dependencies='"ase>=3.27"'))
    with pytest.raises(UsageError, match=r"not the lock of what `mine\.py` depends on now"):
        find_models([f"file:{path}"], built_in())
    lock.unlink()
    with pytest.raises(InputError, match="has no lock"):
        find_models([f"file:{path}"], built_in())


def test_options_have_types_values_and_levels(tmp_path) -> None:
    options = '"options": {"method": ["HF", "MP2"], "basis": "SVP", "n": 3, "d": False}'
    mira = f'{MIRA}, "level": "{{method}}/{{basis}}", {options}'
    path = write(tmp_path, source(mira=mira))
    ((name, row),) = find_models([f"file:{path}?method=MP2&n=4&d=true"], built_in()).items()
    assert name == "file:mine.py?d=True&method=MP2&n=4"
    assert [*find_models([f"file:{path}?n=3&method=HF"], built_in())] == ["file:mine.py"]
    assert row.options == {"method": "MP2", "basis": "SVP", "n": 4, "d": True}
    assert row.level_of_theory == "MP2/SVP"
    for query, message in {
        "method=CC": "`method` cannot be `CC`",
        "n=x": "`n` cannot be `x`",
        "methods=HF": "no option `methods`",
        "n=1&n=2": "option `n` twice",
        "n": "not of the form",
    }.items():
        with pytest.raises(UsageError, match=message):
            find_models([f"file:{path}?{query}"], built_in())


def test_elements_that_go_backwards_are_none(tmp_path) -> None:
    path = write(tmp_path, source(MIRA.replace("H-Rn", "H Rn-He")))
    with pytest.raises(UsageError, match=r"'Rn-He' in 'H Rn-He' goes backwards, and would be 'He-Rn'"):
        find_models([f"file:{path}"], built_in())


def test_a_path_that_a_comma_tears_and_a_family_without_a_path_are_told_what_works(tmp_path) -> None:
    path = write(tmp_path, name="a,b.py")
    with pytest.raises(UsageError, match=r"`file:.*a,b\.py` was taken apart at its comma") as torn:
        find_models(build_config({"structures": ["-"], "models": f"emt,file:{path},lj"}, []).models, built_in())
    assert f"models: ['file:{path}']" in (torn.value.hint or "")
    assert "file:a,b.py" in find_models(config(f"file:{path}").models, built_in())
    for name in ("file", "file:", "HIENet:"):
        with pytest.raises(UsageError) as bare:
            find_models([name], built_in())
        assert f"`{name.lower().rstrip(':')}:PATH` names" in (bare.value.hint or "")


@pytest.mark.parametrize(("framework", "wanted"), [("", False), (', "framework": "torch"', True)])
def test_only_what_knows_gpus_asks_for_one(tmp_path, framework, wanted) -> None:
    path = write(tmp_path, source(f"{MIRA}{framework}"))
    found = resolved(f"file:{path}", "emt")
    asked, _ = resources_of(found, config("emt"), find_profile("slurm"), Machine(8, cluster=True), [])
    assert [asked[model.name].gpu for model in found] == [int(wanted), 0]


def test_two_files_of_one_name_are_refused_and_one_twice_is_one(tmp_path) -> None:
    (tmp_path / "other").mkdir()
    one, other = write(tmp_path), write(tmp_path / "other", source(mira=f'{MIRA}, "title": "other"'))
    assert len(find_models([f"file:{one}", "file:mine.py"], built_in())) == 1
    with pytest.raises(UsageError, match=r"two files are called `file:mine\.py`") as caught:
        find_models([f"file:{one}", f"file:{other}"], built_in())
    assert "rename one" in (caught.value.hint or "")


def test_a_models_file_has_no_families_in_files(tmp_path) -> None:
    (tmp_path / "m.yaml").write_text("models: {x: {title: t, family: file, checkpoint: {path: a}}}")
    with pytest.raises(InputError, match="named by its file alone"):
        load_catalogue([tmp_path / "m.yaml"])


def test_the_key_is_of_content_and_not_of_places(tmp_path) -> None:
    mira = f'{MIRA}, "files": ["w.pt", "more"], "options": {{"n": 3}}'
    path = write(tmp_path, source(mira=mira))
    (tmp_path / "w.pt").write_bytes(b"1")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a").write_bytes(b"2")

    def key(spec: str) -> str:
        named = named_models(config(spec, trust_files=True))
        (model,) = named.models
        return f"{model.key} {named.weights[model.name].sha256}"

    first = key(f"file:{path}")
    shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns("cache", "state"))
    assert key(f"file:{tmp_path / 'copy' / 'mine.py'}") == first
    seen = {first, key(f"file:{path}?n=4")}
    for change in ("w.pt", "more/a", "mine.py", "mine.py.lock"):
        with (tmp_path / change).open("a") as stream:
            stream.write("# more\n")
        seen.add(key(f"file:{path}"))
    assert len(seen) == 6


def test_files_of_one_lock_share_an_image(tmp_path) -> None:
    one, other = write(tmp_path, name="a.py"), write(tmp_path, source(mira=f'{MIRA}, "title": "b"'), name="b.py")
    third = write(
        tmp_path, source(dependencies='"ase>=3.27", "pyyaml"', mira=f'{MIRA}, "package": "pyyaml"'), name="c.py"
    )
    images = [model.image for model in resolved(f"file:{one}", f"file:{other}", f"file:{third}")]
    assert images[0] == images[1] != images[2]
    (image,) = recipe.find_images([images[0]])
    assert recipe.pinned_versions(image)["ase"] == "1.0"
    assert image.name not in {known.name for known in recipe.find_images(["all"])}


def test_trust_is_asked_once_for_a_content(tmp_path, capsys) -> None:
    path = write(tmp_path)
    with pytest.raises(UsageError, match="is a program") as caught:
        named_models(config(f"file:{path}"))
    assert "`--trust-file`" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="is a program"):  # a word for weights is none for programs
        named_models(config(f"file:{path}", trust_checkpoints=True))
    assert len(named_models(config(f"file:{path}"), only_look=True).models) == 1  # what only looks runs nothing of it
    assert "`--trust-file`" in capsys.readouterr().err
    with pytest.raises(UsageError, match="is a program"):  # nor is that a word for it
        named_models(config(f"file:{path}"))
    trusted = named_models(config(f"file:{path}", trust_files=True)).config.trust_files
    assert isinstance(trusted, list)
    assert len(trusted) == 1
    assert named_models(config(f"file:{path}")).config.trust_files == trusted
    path.write_text(path.read_text() + "# another\n")
    with pytest.raises(UsageError, match="has changed since it was trusted"):
        named_models(config(f"file:{path}", trust_files=trusted))


def test_a_copy_in_the_cache_that_somebody_has_changed_is_made_again(tmp_path) -> None:
    path = write(tmp_path)
    (row,) = find_models([f"file:{path}"], built_in()).values()
    kept = Path(str(row.checkpoint.path))
    (kept / "model" / "mine.py").write_text("raise SystemExit")
    (again,) = find_models([f"file:{path}"], built_in()).values()
    assert again == row
    assert (kept / "model" / "mine.py").read_text() == path.read_text()


def test_a_recipe_in_the_cache_that_somebody_has_changed_is_made_again(tmp_path) -> None:
    path = write(tmp_path)
    (model,) = resolved(f"file:{path}")
    (image,) = recipe.find_images([model.image])
    before = recipe.recipe_hash(image)
    (image.folder / "requirements.lock").write_text("evil==1.0\n")
    assert recipe.recipe_hash(image) != before
    resolved(f"file:{path}")
    assert recipe.recipe_hash(image) == before


def test_paths_in_a_run_yaml_start_at_its_folder(tmp_path) -> None:
    settings = absolute_paths({"models": ["file:m/mine.py?n=1", "emt"]}, tmp_path)
    assert settings["models"] == [f"file:{tmp_path}/m/mine.py?n=1", "emt"]


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Path:
    """A project in which the worker needs one tiny package, and uv has no index."""
    assets = tiny_image.make(tmp_path)
    own = assets / "containers" / "file"
    own.mkdir()
    (own / "requirements.in").write_text("tiny==1.0\n")
    (own / "smoke.py").write_text(tiny_image.SMOKE)
    monkeypatch.setattr(paths, "assets", lambda: assets)
    for name, value in tiny_image.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.mark.slow
def test_a_lock_is_made_by_uv_and_its_environment_from_it_alone(tiny) -> None:
    path = tiny / "mine.py"
    path.write_text(source(dependencies='"tiny"'))
    own = read_own_file(path)
    lock = lock_file_of(own, upgrade=False)
    assert lock == tiny / "mine.py.lock"
    assert "--hash=sha256:" in lock.read_text()
    assert str(tiny) not in lock.read_text()
    (model,) = resolved(f"file:{path}")
    (image,) = recipe.find_images([model.image])
    done = build_image(image, "venv")
    assert done.versions["tiny"] == "1.0"
    assert verification.verify_image(image, "venv")["problems"] == []
    assert venv.venv_folder(image).name == f"{model.image}-{recipe.recipe_hash(image)}"
    path.write_text(source(dependencies='"tiny==2.0"'))
    with pytest.raises(EnvironmentNotReadyError, match=r"`mine\.py` cannot be locked") as caught:
        lock_file_of(read_own_file(path), upgrade=False)
    assert caught.value.log is not None
    assert lock.read_text().count("tiny==1.0") == 1  # as it was


@pytest.mark.slow
def test_what_has_no_wheel_is_named_and_a_wheel_of_the_users_own_is_taken(tiny) -> None:
    info = b"Metadata-Version: 2.1\nName: sourceonly\nVersion: 1.0\n"
    with tarfile.open(tiny_image.wheels(tiny) / "sourceonly-1.0.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("sourceonly-1.0/PKG-INFO")
        member.size = len(info)
        archive.addfile(member, io.BytesIO(info))
    path = tiny / "mine.py"
    path.write_text(source(dependencies='"tiny", "sourceonly"'))
    with pytest.raises(EnvironmentNotReadyError, match=r"`sourceonly` has no wheel for Python 3\.") as caught:
        lock_file_of(read_own_file(path), upgrade=False)
    assert "UV_FIND_LINKS" in (caught.value.hint or "")
    tiny_image.wheel(tiny_image.wheels(tiny), "sourceonly", "1.0", {"sourceonly.py": ""})
    assert "sourceonly==1.0" in lock_file_of(read_own_file(path), upgrade=False).read_text()


@pytest.mark.slow
def test_its_environment_may_have_another_torch(tiny, monkeypatch) -> None:
    tiny_image.add(tiny, "net", package="torch")
    path = tiny / "mine.py"
    path.write_text(source(dependencies='"torch", "tiny"'))
    lock_file_of(read_own_file(path), upgrade=False)
    (model,) = resolved(f"file:{path}")
    monkeypatch.setenv("UV_FIND_LINKS", f"{tiny_image.older_wheels(tiny)},{tiny_image.wheels(tiny)}")
    build([model.image], runtime="venv", backend="cu126")
    (image,) = recipe.find_images([resolved(f"file:{path}")[0].image])
    assert recipe.pinned_versions(image)["torch"] == "1.0+cu126"
    assert recipe.recipe_files(image)["requirements.lock"].read_text().startswith("--only-binary :all:")
    assert verification.verify_image(image, "venv")["problems"] == []


def test_a_wheel_with_another_hash_is_not_installed(tiny) -> None:
    path = tiny / "mine.py"
    path.write_text(source(dependencies='"tiny"'))
    lock = lock_file_of(read_own_file(path), upgrade=False)
    digest = lock.read_text().rpartition("sha256:")[2].strip()
    lock.write_text(lock.read_text().replace(digest, "0" * 64))
    (model,) = resolved(f"file:{path}")
    with pytest.raises(EnvironmentNotReadyError, match="cannot be built"):
        build_image(recipe.find_images([model.image])[0], "venv")


def test_the_commands_know_files(tmp_path) -> None:
    path = write(tmp_path)
    own_files.stand_in(path)

    def mira(*words: str) -> str:
        command = [sys.executable, "-m", "mira_cli", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    shown = mira("models", "show", f"file:{path}")
    assert "venv" in shown
    assert str(path) in mira("models", "show", f"file:{path}", "--json")
    assert "file-" in mira("images", "list")

"""Weights of a user's own: named by a path, recognised by their looks, refused in one sentence."""

import json
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest

from mira_cli.catalogue.lookup import built_in, find_models, load_catalogue
from mira_cli.catalogue.own_weights import absolute_spec, is_spec
from mira_cli.catalogue.sniff import look
from mira_cli.commands.resume import settings_of
from mira_cli.config import HEADER, RunConfig, absolute_paths, build_config
from mira_cli.errors import InputError, UsageError
from mira_cli.files import content_sha256
from mira_cli.images.run_in_image import mount
from mira_cli.planning.prepare import check_request
from mira_cli.planning.resolve import ResolvedModel
from mira_cli.planning.weights import refuse_strangers
from mira_cli.run.directory import open_run

CHGNET = {"model": {"state_dict": {}, "model_args": {}}}
PICKLES = {
    "dpa": {"model": {"_extra_state": {"model_params": {}, "train_infos": {}}}},
    "sevennet": {"model_state_dict": {}, "config": {"cutoff": 5.0, "_type_map": {}}},
    "hienet": {"model_state_dict": {}, "config": {"cutoff": 5.0, "inv_features": [8, 8]}},
    "chgnet": CHGNET,
    "mattersim": {"model_name": "m3gnet", "model": {}, "model_args": {}},
    "nequip": {"pytorch-lightning_version": "2", "state_dict": {}, "model": {"_target_": "allegro.model.AllegroModel"}},
    "upet": {"architecture_name": "pet", "model_ckpt_version": 1},
    "matris": {"state_dict": {}, "config": {"pairwise_cutoff": 6.0, "three_body_cutoff": 4.0}},
    "aimnet": {"model_yaml": "", "state_dict": {}, "implemented_species": [1]},
    "tace": dict.fromkeys(("state_dict", "cfg", "statistics", "target_property", "embedding_property")),
    "ani": {"potentials.nnp.aev_computer.radial.eta": 1.0, "energy_shifter.self_energies": 0.0},
    "orb": {"model.gnn_stacks.0.weight": 1.0, "heads.energy.bias": 0.0},
}

PARTS = {"model.pt": "", "state.pt": ""}


def torch_file(path: Path, content: bytes, name: str = "archive/data.pkl") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    return path


def chgnet_file(folder: Path, name: str = "my.pth.tar") -> Path:
    return torch_file(folder / name, pickle.dumps(CHGNET))


@pytest.mark.parametrize("family", PICKLES)
def test_families_are_told_by_what_the_pickle_names(tmp_path, family) -> None:
    assert look(torch_file(tmp_path / "x", pickle.dumps(PICKLES[family], protocol=2))).family == family


@pytest.mark.parametrize(
    ("family", "line"),
    [
        ("mace", b"cmace.modules.models\nMACE\n."),
        ("fairchem", b"cfairchem.core.units.api\nMLIPInferenceCheckpoint\n."),
        ("so3lr", b"cso3krates_torch.modules.models\nSO3LR\n."),
    ],
)
def test_classes_are_read_not_imported(tmp_path, family, line) -> None:
    assert look(torch_file(tmp_path / "x", line)).family == family


def test_a_package_of_nequip_is_told_by_what_it_holds(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "x.nequip.zip", "w") as archive:
        for name in ("package_metadata.txt", "eager_model.pkl"):
            archive.writestr(f"x.nequip/model/{name}", "")
    assert look(tmp_path / "x.nequip.zip").family == "nequip"


def test_looking_at_a_pickle_that_would_run_code_runs_none(tmp_path) -> None:
    mark = tmp_path / "mark"
    assert look(torch_file(tmp_path / "x", f"cos\nsystem\n(S'touch {mark}'\ntR.".encode())).family is None
    assert not mark.exists()


@pytest.mark.parametrize(
    ("files", "family", "words"),
    [
        ({"saved_model.pb": ""}, "grace", "SavedModel"),
        ({"model.json": json.dumps({"@class": "M3GNet"}), "model.pt": "", "state.pt": ""}, "matgl", "M3GNet"),
        (
            {"model.json": json.dumps({"@class": "Potential", "@module": "diep.apps.pes"})} | PARTS,
            "diep",
            "a DIEP model",
        ),
        ({"model.json": "[", "model.pt": "", "state.pt": ""}, "matgl", "a MatGL model"),
        ({"model.yaml": "", "checkpoint.best_test_loss.index": ""}, "grace", "gracemaker"),
        ({"notes.txt": ""}, None, "a folder without a model"),
    ],
)
def test_folders(tmp_path, files, family, words) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    looks = look(tmp_path)
    assert looks.family == family
    assert words in looks.why


def test_what_is_no_checkpoint(tmp_path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello")
    whole = torch_file(tmp_path / "whole", pickle.dumps(list(range(10_000)))).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    torch_file(tmp_path / "script", b"", name="x/constants.pkl")
    torch_file(tmp_path / "zip", b"", name="readme.txt")
    torch_file(tmp_path / "broken", pickle.dumps(CHGNET)[:20])
    words = {name: look(tmp_path / name) for name in ("empty", "text", "cut", "script", "zip", "broken")}
    assert {looks.family for looks in words.values()} == {None}
    assert words["empty"].why == "an empty file"
    assert words["text"].why == words["cut"].why == "not a PyTorch checkpoint, or only a part of one"
    assert "TorchScript" in words["script"].why
    assert words["broken"].why == "a damaged PyTorch checkpoint"


def test_odd_files_are_looked_at_in_vain(tmp_path) -> None:
    import os
    import struct

    os.mkfifo(tmp_path / "pipe")
    assert look(tmp_path / "pipe").why == "neither a file nor a folder"
    raw = bytearray(torch_file(tmp_path / "good", bytes(range(256)) * 40).read_bytes())
    with zipfile.ZipFile(tmp_path / "deflated", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(list(range(5000))))
    broken = bytearray((tmp_path / "deflated").read_bytes())
    broken[60:90] = b"\xff" * 30
    (tmp_path / "deflated").write_bytes(broken)
    encrypted = raw[:]
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", encrypted, encrypted.index(signature) + offset, 1)
    (tmp_path / "encrypted").write_bytes(encrypted)
    for name in ("deflated", "encrypted"):
        assert look(tmp_path / name).why == "a damaged PyTorch checkpoint"


def test_a_path_in_a_models_file_starts_there(tmp_path) -> None:
    chgnet_file(tmp_path)
    row = "{title: t, family: chgnet, checkpoint: {path: my.pth.tar}}"
    (tmp_path / "mine.yaml").write_text(f"models:\n  mine: {row}\n")
    catalogue = load_catalogue([tmp_path / "mine.yaml"])
    assert find_models(["mine"], catalogue)["mine"].checkpoint.path == str(tmp_path / "my.pth.tar")
    (tmp_path / "mine.yaml").write_text(f"models:\n  uma-s-1p2p1: {row}\n")
    with pytest.raises(InputError, match="redefines"):
        load_catalogue([tmp_path / "mine.yaml"])


def test_mounts_may_hold_commas_colons_and_quotes() -> None:
    assert mount('/a,b:c "d"', "/x") == ["--mount", 'type=bind,"source=/a,b:c ""d""","destination=/x",ro']


def test_a_path_is_a_model(tmp_path) -> None:
    file = chgnet_file(tmp_path)
    ((name, row),) = find_models([f"chgnet:{file}"], built_in()).items()
    assert (name, row.family, row.checkpoint.path) == ("chgnet:my.pth.tar", "chgnet", str(file))
    assert row.level_of_theory is row.elements is row.stress is None, "nothing is made up"


def test_options_of_a_path(tmp_path) -> None:
    file = torch_file(tmp_path / "mf.pth", pickle.dumps(PICKLES["sevennet"]))
    ((name, row),) = find_models([f"sevennet:{file}?modal=PBE"], built_in()).items()
    assert (name, row.options) == ("sevennet:mf.pth?modal=PBE", {"modal": "PBE"})
    with pytest.raises(UsageError, match="no option `head`"):
        find_models([f"sevennet:{file}?head=PBE"], built_in())
    with pytest.raises(UsageError, match="not of the form option=value"):
        find_models([f"sevennet:{file}?modal"], built_in())


@pytest.mark.parametrize("query", ["head=a&head=b", "head=a&head=a"])
def test_an_option_that_is_given_twice_is_refused(tmp_path, query) -> None:
    with pytest.raises(UsageError, match="gives the option `head` twice"):
        find_models([f"mace:{tmp_path}/x.model?{query}"], built_in())


def test_wrong_paths(tmp_path) -> None:
    file = chgnet_file(tmp_path)
    with pytest.raises(InputError, match="there is no checkpoint"):
        find_models([f"chgnet:{tmp_path / 'none'}"], built_in())
    with pytest.raises(UsageError, match="unknown family `foo`"):
        find_models([f"foo:{file}"], built_in())
    with pytest.raises(UsageError, match="looks like a CHGNet checkpoint") as caught:
        find_models([f"sevennet:{file}"], built_in())
    assert caught.value.hint == f"did you mean `chgnet:{file}`?"


def test_two_checkpoints_of_one_name(tmp_path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        chgnet_file(tmp_path / folder)
    both = [f"chgnet:{tmp_path / folder / 'my.pth.tar'}" for folder in ("a", "b")]
    assert len(find_models([both[0], both[0]], built_in())) == 1
    with pytest.raises(UsageError, match="two checkpoints are called"):
        find_models(both, built_in())


def test_relative_paths_start_at_the_settings_folder() -> None:
    assert not is_spec("chgnet-0.3.0")
    assert absolute_spec("mace:x.model?head=a", Path("/data")) == "mace:/data/x.model?head=a"
    assert absolute_spec("mace:/abs/x.model", Path("/data")) == "mace:/abs/x.model"
    settings = absolute_paths({"models": "emt, mace:x.model"}, Path("/data"))
    assert settings["models"] == ["emt", "mace:/data/x.model"]


def test_commas_in_a_list_and_in_json_do_not_separate() -> None:
    built = build_config({"structures": "s", "models": ["mace:/a,b.model", "emt,lj"]}, [])
    assert built.models == ["mace:/a,b.model", "emt", "lj"]
    described = 'orb:/x.ckpt?architecture={"function": "f", "arguments": {"a": 1, "b": 2}, "zbl": "sum"}'
    assert build_config({"structures": "s", "models": f"emt,{described},lj"}, []).models == ["emt", described, "lj"]


def commas(text: str) -> UsageError:
    """What is said of models that are joined by commas on the command line."""
    with pytest.raises(UsageError) as caught:
        find_models(build_config({"structures": "s", "models": text}, []).models, built_in())
    return caught.value


def test_a_path_with_a_comma_belongs_into_a_list(tmp_path) -> None:
    (tmp_path / "a,b, c").mkdir()
    file = chgnet_file(tmp_path / "a,b, c")
    for before, option, after in (("", "", ""), ("emt,", "?head=x", ",lj")):
        error = commas(f"{before}chgnet:{file}{option}{after}")
        assert f"`chgnet:{file}{option}` was taken apart at its comma" in error.message
        assert f"models: ['chgnet:{file}{option}']" in error.hint
    assert list(find_models([f"chgnet:{file}"], built_in())) == ["chgnet:my.pth.tar"]


def test_the_rest_of_a_path_that_is_not_there_is_told(tmp_path) -> None:
    error = commas(f"chgnet:{tmp_path}/a,b/none")
    assert "`b/none` is no model's name" in error.message
    assert f"`chgnet:{tmp_path}/a` before it" in error.hint


def test_a_typing_error_after_a_path_is_no_part_of_it(tmp_path) -> None:
    file = torch_file(tmp_path / "mf.pth", pickle.dumps(PICKLES["sevennet"]))
    assert "did you mean `chgnet-0.3.0`" in commas(f"sevennet:{file}?modal=a,chgnet-0.3").hint


def test_a_path_without_its_family_is_told_which(tmp_path) -> None:
    file = chgnet_file(tmp_path)
    assert f"`chgnet:{file}`" in commas(str(file)).hint


def resolved(path: str, family: str = "sevennet", sha256: str | None = None) -> ResolvedModel:
    from mira_cli.catalogue.rows import Checkpoint, Model

    row = Model(title="t", family=family, checkpoint=Checkpoint(path=path))
    identity = {"family": family, "checkpoint": {}}
    return ResolvedModel("m", "m", row, "i", "p==1", {}, "float32", identity, sha256)


def test_what_can_run_code_needs_to_be_trusted() -> None:
    for family, refused in (("sevennet", built_in().families["sevennet"].runs_code), ("chgnet", False), ("mace", True)):
        models = [resolved("/x", family)]
        refuse_strangers(models, built_in(), trusted=True)
        if refused:
            with pytest.raises(UsageError, match="can run code that is in it") as caught:
                refuse_strangers(models, built_in(), trusted=False)
            assert "--trust-checkpoint" in caught.value.hint
        else:
            refuse_strangers(models, built_in(), trusted=False)


def test_records_belong_to_the_content_not_to_the_place() -> None:
    assert resolved("/a", sha256="1").key == resolved("/b", sha256="1").key
    assert resolved("/a", sha256="1").key != resolved("/a", sha256="2").key


def test_hash_of_a_folder_sees_names_and_contents(tmp_path) -> None:
    from worker.weights import sha256

    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a").write_text("x")
    before = content_sha256(tmp_path)
    assert before == sha256(tmp_path), "host and worker agree"
    (tmp_path / "one" / "a").rename(tmp_path / "one" / "b")
    assert content_sha256(tmp_path) != before
    assert content_sha256(tmp_path / "one" / "b") == sha256(tmp_path / "one" / "b")


def test_hash_of_a_folder_sees_what_is_behind_links(tmp_path) -> None:
    from worker.weights import sha256

    folder, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    (folder / "variables").mkdir(parents=True)
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "weights").write_text("x")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "loop").symlink_to(folder)
    (folder / "variables" / "up").symlink_to(folder)
    before = content_sha256(folder)
    assert before == sha256(folder), "host and worker agree"
    (elsewhere / "deep" / "weights").write_text("y")
    assert content_sha256(folder) == sha256(folder) != before
    (folder / "linked").unlink()
    shutil.copytree(elsewhere, folder / "linked")
    copied = content_sha256(folder)
    (folder / "loop").unlink()
    (folder / "variables" / "up").unlink()
    assert content_sha256(folder) == copied == sha256(folder), "a link is what it leads to, a loop is nothing"


def trusting(path: Path, **settings) -> RunConfig:
    """The settings as a run keeps them."""
    (path.parent / "x.xyz").write_text("1\n\nH 0 0 0\n")
    given = {"structures": [str(path.parent / "x.xyz")], "models": [f"mace:{path}"], **settings}
    return check_request(build_config(given, [])).config


def test_trust_is_in_the_content_that_was_trusted(tmp_path) -> None:
    file = torch_file(tmp_path / "my.model", b"cmace.modules.models\nMACE\n.")
    kept = trusting(file, trust_checkpoints=True).model_dump(mode="json")
    assert kept["trust_checkpoints"] == [content_sha256(file)]
    (own,) = check_request(build_config(kept, [])).weights.values()
    assert own.sha256 == content_sha256(file)
    torch_file(file, b"cmace.modules.models\nScaleShiftMACE\n.")
    with pytest.raises(UsageError, match="has changed since it was trusted") as caught:
        check_request(build_config(kept, []))
    assert "--trust-checkpoint" in caught.value.hint
    again = check_request(build_config(kept, ["trust_checkpoints=true"])).config
    assert again.trust_checkpoints == [content_sha256(file)]
    with pytest.raises(UsageError, match="can run code that is in it"):
        check_request(build_config(kept, ["trust_checkpoints=false"]))


def test_trust_that_is_not_needed_is_not_kept(tmp_path) -> None:
    settings = {"structures": [str(tmp_path / "x.xyz")], "models": ["emt"], "trust_checkpoints": True}
    (tmp_path / "x.xyz").write_text("1\n\nH 0 0 0\n")
    assert check_request(build_config(settings, [])).config.trust_checkpoints is False


def test_a_run_of_before_keeps_no_trust_without_content(tmp_path) -> None:
    run = open_run(tmp_path / "run")
    text = "structures: [x.xyz]\nmodels: [emt]\ntrust_checkpoints: true\n"
    run.settings.parent.mkdir(exist_ok=True)
    run.settings.write_text(HEADER + text)
    assert settings_of(run, []).trust_checkpoints is False
    assert settings_of(run, ["trust_checkpoints=true"]).trust_checkpoints is True
    run.settings.write_text(text)  # the user's own word
    assert settings_of(run, []).trust_checkpoints is True

"""Settings: unknown ones are errors, and all three ways to give them end in the same place."""

import pytest
import yaml

from mira_cli.config import RunConfig, build_config, example_config, load_config
from mira_cli.errors import UsageError
from mira_cli.settings_yaml import load

BASE = {"structures": ["a"], "models": ["emt"]}


def test_example_holds_every_setting_and_its_default() -> None:
    text = example_config()
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    data = yaml.safe_load("\n".join(line for line in lines if line.split(":")[0] in RunConfig.model_fields))
    assert set(data) == set(RunConfig.model_fields)
    config = build_config(data, [])
    for name, field in RunConfig.model_fields.items():
        if not field.is_required():
            assert getattr(config, name) == field.default, name


def test_example_is_valid_as_it_is(tmp_path) -> None:
    (tmp_path / "run.yaml").write_text(example_config())
    config = build_config(load_config(tmp_path / "run.yaml"), [])
    assert config.structures == [str(tmp_path / "structures")]


def test_assignments_win_and_are_typed() -> None:
    config = build_config(BASE, ["device=cpu", "chunk_atoms=10", "options.chgnet-0.3.0.x=1.5", "models=a,b"])
    assert (config.device, config.chunk_atoms, config.models) == ("cpu", 10, ["a", "b"])
    assert config.options == {"chgnet-0.3.0": {"x": 1.5}}


def test_several_options_of_one_model_are_kept() -> None:
    config = build_config({**BASE, "options": {"lj": {"rc": 4}}}, ["options.lj.sigma=2", "options.emt.x=1"])
    assert config.options == {"lj": {"rc": 4, "sigma": 2}, "emt": {"x": 1}}


@pytest.mark.parametrize(
    ("settings", "assignments", "message"),
    [
        ({**BASE, "devise": "cpu"}, [], "unknown setting `devise`"),
        (BASE, ["chunk_atoms=0"], "chunk_atoms"),
        (BASE, ["device=tpu"], "device"),
        (BASE, ["nonsense"], "key=value"),
        (BASE, ["=1"], "key=value"),
        ({"models": ["emt"]}, [], "no structures were named"),
        ({"structures": ["a"]}, [], "no model was named"),
        ({"structures": ["a"], "models": " , "}, [], "no model was named"),
    ],
)
def test_bad_settings_are_refused(settings, assignments, message) -> None:
    with pytest.raises(UsageError, match=message):
        build_config(settings, assignments)


def test_relative_paths_start_at_the_file(tmp_path) -> None:
    (tmp_path / "run.yaml").write_text("structures: in\nmodels: emt\noutput: out\n")
    config = build_config(load_config(tmp_path / "run.yaml"), [])
    assert config.structures == [str(tmp_path / "in")]
    assert config.output == str(tmp_path / "out")


@pytest.mark.parametrize("content", [b"- a\n", b"a: [", b"\xff\xfe\x00", b""])
def test_unreadable_config_is_one_sentence(tmp_path, content) -> None:
    (tmp_path / "run.yaml").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_config(tmp_path / "run.yaml")
    assert "\n" not in caught.value.message


PYDANTIC = ("constrained", "literal[", "function-", "list[", "Input should", "validation error")


@pytest.mark.parametrize(
    ("task", "assignment", "told"),
    [
        ("md", "task.timestep_fs=30", "setting `task.timestep_fs` must be at most 20.0 or 'auto', not 30"),
        ("md", "task.timestep_fs=fast", "setting `task.timestep_fs` must be a number or 'auto', not 'fast'"),
        ("md", "task.sample_fs=-1", "setting `task.sample_fs` must be greater than 0 or 'auto', not -1"),
        ("formation", "task.atom_energies_ev=3", "setting `task.atom_energies_ev` must hold settings, not 3"),
        ("formation", "task.atom_energies_ev={PBE: {Cu: x}}", "`task.atom_energies_ev.PBE.Cu` must be a number"),
        ("phonons", "task.mesh_ang=1", "setting `task.mesh_ang` must be at least 20"),
        ("elastic", "task.relax_fmax_ev_per_ang=5", "`task.relax_fmax_ev_per_ang` must be at most 0.1"),
        ("singlepoint", "gpus={a: 1}", "setting `gpus` must be a whole number or a list, not"),
        ("singlepoint", "options.emt.x=[1]", "setting `options.emt.x` must be"),
        ("singlepoint", "trust_checkpoints=[[1]]", "setting `trust_checkpoints` must be"),
    ],
)
def test_refusals_of_settings_are_in_words_of_mira(task, assignment, told) -> None:
    with pytest.raises(UsageError) as caught:
        build_config({**BASE, "task": task}, [assignment])
    assert told in caught.value.message
    assert not any(word in f"{caught.value.message} {caught.value.hint}" for word in PYDANTIC)


# --- YAML as people mean it


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("1:00:00", 60), ("12:00:00", 720), ("00:20:00", 20), ("1-12:00:00", 2160), ("00:20:01", 21), ("1-12", 2160)],
)
def test_a_time_is_a_time_wherever_it_is_said(tmp_path, text, minutes) -> None:
    (tmp_path / "run.yaml").write_text(f"structures: a\nmodels: emt\nresources: {{cpu: {{runtime_min: {text}}}}}\n")
    assert build_config(load_config(tmp_path / "run.yaml"), []).resources["cpu"].runtime_min == minutes
    assert build_config(BASE, [f"resources.cpu.runtime_min={text}"]).resources["cpu"].runtime_min == minutes
    assert build_config(BASE, [f"runtime_min={text}"]).runtime_min == minutes


def test_a_time_that_means_two_things_is_refused() -> None:
    with pytest.raises(UsageError, match=r"runtime_min` cannot be '12:00'") as caught:
        build_config(BASE, ["resources.cpu.runtime_min=12:00"])
    assert "`1h30m`" in caught.value.hint


def test_names_of_digits_stay_as_they_are_and_numbers_are_numbers() -> None:
    config = build_config(
        BASE, ["resources.all.account=0123", "output=2026-01-31", "options.emt.x=-1.5e-3", "options.emt.n=1_000"]
    )
    assert config.resources["all"].account == "0123"
    assert config.output == "2026-01-31"
    assert config.options == {"emt": {"x": -0.0015, "n": 1000}}


@pytest.mark.parametrize(
    "value", ["12:00:00", "0123", "08", "1e5", "1.5e3", "2026-01-31", "0x1F", ".5", "1_0", "-.inf"]
)
def test_what_is_written_is_read_back(value) -> None:
    assert load(yaml.safe_dump({"x": value})) == {"x": value}
    assert load(yaml.safe_dump({"x": load(value)})) == {"x": load(value)}


def test_a_key_that_stands_twice_is_named_with_its_lines(tmp_path) -> None:
    (tmp_path / "run.yaml").write_text("structures: a\nmodels: emt\nresources:\n  cpu: {qos: a}\n  cpu: {account: b}\n")
    with pytest.raises(UsageError, match=r"run.yaml`: `cpu` is there twice, in line 4 and in line 5"):
        load_config(tmp_path / "run.yaml")


def test_merged_mappings_and_anchors_are_no_repetition() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\nc: {<<: *b, x: 4}"
    assert load(text)["c"] == {"x": 4, "y": 3}


# --- resources of a run


@pytest.mark.parametrize(
    ("assignment", "message", "hint"),
    [
        ("resources.cpuu.partition=cpu", "`cpuu`, which is neither", "did you mean `cpu`"),
        ("resources.emtt.threads=1", "`emtt`, which is neither", "did you mean `emt`"),
        ("resources.lj.threads=1", "`lj`, which is neither", "emt"),
        ("resources.cpu.partitionn=cpu", "unknown setting `resources.cpu.partitionn`", "did you mean `partition`"),
        ("resource.cpu.partition=cpu", "unknown setting", "did you mean `resources`"),
        ("resources.cpu=5", "unknown setting `resources.cpu`", "resources.gpu.partition"),
        ("resources=5", "`resources` must hold settings, not 5", "cpu: {partition"),
        ("resources={cpu: 5}", "`resources.cpu` must hold settings, not 5", "cpu: {partition"),
        ("resources.cpu.runtime_min=soon", "cannot be 'soon'", "`1-12:00:00`"),
        ("resources.cpu.mem_mb=much", "cannot be 'much'", "`8G`"),
        ("mem_mb=much", "cannot be 'much'", "`8G`"),
        ("resources.cpu.threads=few", "must be a whole number, not 'few'", "mira init"),
        ("resources.cpu.threads=0", "must be at least 1, not 0", "mira init"),
        ("reuse=perhaps", "must be `true` or `false`, not 'perhaps'", "mira init"),
        ("device=tpu", "must be 'auto', 'cpu' or 'cuda', not 'tpu'", "mira init"),
    ],
)
def test_a_mistake_gets_the_words_that_would_work(assignment, message, hint) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        build_config(BASE, [assignment])
    assert hint in caught.value.hint
    said = caught.value.message + caught.value.hint
    assert not any(word in said for word in ("Input", "input should", "dictionary", "instance", "parse"))


def test_settings_of_a_group_that_is_none_are_refused() -> None:
    with pytest.raises(UsageError, match="`resources` must hold settings"):
        build_config({**BASE, "resources": [1]}, ["resources.cpu.threads=1"])


def test_a_model_is_known_by_all_its_names() -> None:
    settings = {**BASE, "models": ["EMT", "mace:/data/x.model?head=a"]}
    config = build_config(
        settings, ["resources.Emt.threads=2", "resources.gpu.threads=3", "resources.driver.threads=1"]
    )
    assert set(config.resources) == {"emt", "gpu", "driver"}
    given = {"mace:/data/x.model?head=a": {"threads": 4}}
    config = build_config({**settings, "resources": given}, [])
    assert list(config.resources) == ["mace:x.model?head=a"]
    again = build_config(config.model_dump(exclude_none=True), [])
    assert again.resources == config.resources
    with pytest.raises(UsageError, match="twice"):
        build_config(settings, ["resources.Emt.threads=2", "resources.emt.threads=2"])

"""Settings: unknown ones are errors, and all three ways to give them end in the same place."""

import pytest
import yaml

from mira_cli.config import RunConfig, build_config, example_config, load_config
from mira_cli.errors import UsageError

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

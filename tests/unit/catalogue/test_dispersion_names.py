"""`NAME+d3`: which models may have dispersion added, what is said where not, and that records know it."""

import pytest

from mira_cli.catalogue.dispersion import dispersion_in_words, with_dispersion
from mira_cli.catalogue.lookup import built_in, find_models
from mira_cli.catalogue.rows import Model
from mira_cli.config import build_config
from mira_cli.errors import UsageError
from mira_cli.planning.resolve import resolve_models
from mira_cli.planning.weights import worker_model

VERSIONS = {"fairchem-sevennet": {"sevenn": "0.13.0", "dftd3": "1.7.0"}}


def resolved(*names: str):
    rows = find_models(names, built_in())
    return resolve_models(rows, built_in(), build_config({"structures": ["x"], "models": list(names)}, []), VERSIONS)


def test_the_same_weights_with_dispersion_are_another_model() -> None:
    plain, both = resolved("sevennet-0", "SevenNet-0+D3")
    assert (both.name, both.slug) == ("sevennet-0+d3", "sevennet_0_d3")
    assert both.key != plain.key
    assert both.row.checkpoint == plain.row.checkpoint
    assert (plain.row.dispersion, both.row.dispersion) == ("none", "D3(BJ)")
    assert both.identity["added_dispersion"]["package"] == "dftd3==1.7.0"
    assert worker_model(both, None)["added_dispersion"] == {"s8": 0.7875, "a1": 0.4289, "a2_bohr": 4.4407}
    assert worker_model(plain, None)["added_dispersion"] is None
    assert "added_dispersion" not in plain.identity  # records of earlier versions stay


def test_parameters_follow_the_functional() -> None:
    (both,) = resolved("sevennet-mf-0-r2scan+d3")
    assert both.row.added_dispersion.functional == "r2SCAN"


def test_aliases_may_have_it() -> None:
    (both,) = resolved("7net-0+d3")
    assert both.name == "sevennet-0+d3"


@pytest.mark.parametrize(
    ("level", "dispersion", "words"),
    [
        ("PBE-D3", "included", "would have dispersion twice"),
        (None, "none", "level of theory is not known"),
        ("empirical", "none", "the model is empirical"),
        ("RPBE", "none", "those of RPBE bind solids by electronvolts"),
        ("wB97X", "none", "those of wB97X are not established"),
        ("PBE", None, "it is not known whether the model has any"),
    ],
)
def test_what_would_be_wrong_is_refused_with_a_sentence(level, dispersion, words) -> None:
    row = Model(title="t", family="sevennet", checkpoint={"bundled": "x"}, level_of_theory=level, dispersion=dispersion)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=words):
        with_dispersion("x", row)


def test_every_built_in_model_has_an_answer() -> None:
    answers = set()
    for name in built_in().models:
        try:
            answers.add(find_models([f"{name}+d3"], built_in())[f"{name}+d3"].added_dispersion.functional)
        except UsageError as error:
            answers.add(str(error).split(" ")[1])
    assert {"PBE", "r2SCAN", "would", "has"} <= answers


def test_an_unknown_model_stays_unknown() -> None:
    with pytest.raises(UsageError, match="unknown model"):
        find_models(["sevennet-99+d3"], built_in())


def test_heavy_elements_are_left_out() -> None:
    row = find_models(["sevennet-0+d3"], built_in())["sevennet-0+d3"]
    assert row.elements is not None
    assert max(row.elements) <= 103


def test_methods_say_parameters_cutoffs_and_what_is_not_there() -> None:
    row = find_models(["sevennet-0+d3"], built_in())["sevennet-0+d3"]
    assert row.added_dispersion is not None
    said = dispersion_in_words(["sevennet-0+d3"], row.added_dispersion)
    for words in ("PBE", "a2 = 4.4407 Bohr", "60 Bohr", "Ewald", "without three-body terms"):
        assert words in said


def test_resources_know_the_name() -> None:
    settings = {"structures": ["x"], "models": ["sevennet-0+d3"]}
    config = build_config(settings, ["resources.7net-0+D3.mem_mb=1000"])
    assert list(config.resources) == ["sevennet-0+d3"]


def test_weights_named_by_a_path_are_told_how_to_say_their_functional(tmp_path) -> None:
    """And the row of the hint works as it stands."""
    import re

    from mira_cli.catalogue.lookup import load_catalogue

    (tmp_path / "x.pth").touch()
    with pytest.raises(UsageError, match="a path does not say what the weights were trained on") as caught:
        find_models([f"sevennet:{tmp_path / 'x.pth'}+d3"], built_in())
    assert "`--models-file FILE --models mine+d3`" in caught.value.hint
    (row,) = re.findall(r"`(\{models.*?\})`", caught.value.hint)
    (tmp_path / "models.yaml").write_text(row)
    mine = load_catalogue([tmp_path / "models.yaml"]).models["mine"]
    assert with_dispersion("mine", mine).added_dispersion is not None
    assert mine.checkpoint.path == str(tmp_path / "x.pth")

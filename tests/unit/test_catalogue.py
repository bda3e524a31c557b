"""The catalogue is consistent, and a name means one model."""

from collections import Counter

import pytest

from mira_cli.catalogue.elements import format_elements, parse_elements
from mira_cli.catalogue.lookup import all_names, built_in, find_models, load_catalogue
from mira_cli.catalogue.rows import slug
from mira_cli.errors import InputError, UsageError

CATALOGUE = built_in()


def test_no_two_names_resolve_to_the_same_weights_and_settings() -> None:
    identities = Counter(
        (m.family, m.checkpoint.model_dump_json(), tuple(sorted(m.options.items())), m.dtype)
        for m in CATALOGUE.models.values()
    )
    assert [identity for identity, count in identities.items() if count > 1] == []


def test_aliases_and_slugs_are_unique() -> None:
    aliases = [alias for m in CATALOGUE.models.values() for alias in m.aliases]
    names = [*CATALOGUE.models, *aliases, *CATALOGUE.refused]
    assert len(names) == len(set(names))
    assert len({slug(name) for name in CATALOGUE.models}) == len(CATALOGUE.models)


@pytest.mark.parametrize("name", CATALOGUE.models)
def test_training_data_agree_with_level_of_theory(name: str) -> None:
    model = CATALOGUE.models[name]
    assert {CATALOGUE.datasets[dataset] for dataset in model.training_data} <= {model.level_of_theory}


@pytest.mark.parametrize("name", CATALOGUE.models)
def test_row_points_at_known_family(name: str) -> None:
    model = CATALOGUE.models[name]
    assert model.family in CATALOGUE.families
    assert model.elements


def test_refused_names_point_at_existing_models() -> None:
    for reason in CATALOGUE.refused.values():
        offered = [word.strip("`,") for word in reason.split() if word.startswith("`")]
        assert offered
        assert set(offered) <= set(CATALOGUE.models)


@pytest.mark.parametrize(
    ("name", "fragment"),
    [("sevenet-0", "`sevennet-0`"), ("chgnet0.3.0", "`chgnet-0.3.0`"), ("zzz", "`mira models`")],
)
def test_unknown_name_is_refused_with_help(name: str, fragment: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_models([name], CATALOGUE)
    assert fragment in str(caught.value.hint)


def test_model_with_modals_has_no_silent_default() -> None:
    with pytest.raises(UsageError, match="sevennet-mf-0-r2scan"):
        find_models(["sevennet-mf-0"], CATALOGUE)


def test_alias_case_and_repetition_mean_one_model() -> None:
    assert list(find_models(["7NET-0", "sevennet-0", "7net-0"], CATALOGUE)) == ["sevennet-0"]
    assert all_names(CATALOGUE)["7net-l3i5"] == "sevennet-l3i5"


def test_elements_round_trip() -> None:
    numbers = parse_elements("H-Bi Ac-Pu")
    assert len(numbers) == 89
    assert 84 not in numbers
    assert parse_elements(format_elements(numbers)) == numbers
    with pytest.raises(ValueError, match="Xx"):
        parse_elements("H-Xx")


def test_chgnet_r2scan_does_not_claim_ytterbium() -> None:
    assert 70 not in CATALOGUE.models["chgnet-r2scan"].elements
    assert len(CATALOGUE.models["chgnet-r2scan"].elements) == 88


MINE = "models: {mine: {title: t, family: ase_builtin, checkpoint: {bundled: lj}, options: {sigma: 2.0}}}"


def test_models_file_adds_a_model(tmp_path) -> None:
    (tmp_path / "m.yaml").write_text(MINE)
    assert find_models(["mine"], load_catalogue([tmp_path / "m.yaml"]))["mine"].options == {"sigma": 2.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: {emt: {title: t, family: ase_builtin, checkpoint: {bundled: lj}}}", "redefines `emt`"),
        ("models: {x: {title: t, family: nope, checkpoint: {bundled: lj}}}", "unknown family `nope`"),
        ("models: {x: {title: t, family: ase_builtin, checkpoint: {bundled: lj}, dtpye: float32}}", "dtpye"),
        ("models: {x: {title: t, family: ase_builtin, checkpoint: {}}}", "bundled"),
        ("families: {}", "must hold one mapping"),
        ("[", "cannot read the models file"),
    ],
)
def test_bad_models_file_is_refused(tmp_path, text: str, message: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_catalogue([tmp_path / "m.yaml"])

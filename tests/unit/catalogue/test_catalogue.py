"""The catalogue is consistent, and a name means one model."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from mira_cli.catalogue.elements import format_elements, parse_elements
from mira_cli.catalogue.lookup import BUILT_IN, all_names, built_in, built_in_rows, find_models, load_catalogue
from mira_cli.catalogue.rows import FILE, Catalogue, slug
from mira_cli.config import build_config
from mira_cli.errors import InputError, UsageError
from mira_cli.images.recipe import find_images, pinned_versions
from mira_cli.planning.models import named_models
from mira_cli.settings_yaml import load

CATALOGUE = built_in()
MODELS = CATALOGUE.models.items()
DOC = Path(__file__).parents[3] / "docs/reference/models.md"
ASSETS = [
    file for folder in ("mira_cli", "containers", "profiles") for file in (DOC.parents[2] / folder).rglob("*.yaml")
]


def test_rows_that_are_taken_as_they_are_are_valid() -> None:
    assert Catalogue.model_validate(built_in_rows()).model_dump() == CATALOGUE.model_dump()


def test_no_two_names_resolve_to_the_same_weights_and_settings() -> None:
    identities = Counter(
        (m.family, m.checkpoint.model_dump_json(), tuple(sorted(m.options.items())), m.dtype) for _, m in MODELS
    )
    assert [identity for identity, count in identities.items() if count > 1] == []


def test_no_title_counts_elements_that_the_row_does_not_have() -> None:
    counted = {name: re.search(r"(\d+) elements", model.title) for name, model in MODELS}
    assert {name: said[0] for name, said in counted.items() if said} == {
        name: f"{len(model.elements or ())} elements" for name, model in MODELS if counted[name]
    }


def test_a_name_is_one_model_or_refused() -> None:
    aliases = [alias for _, m in MODELS for alias in m.aliases]
    names = Counter([*CATALOGUE.models, *aliases, *CATALOGUE.refused])
    assert [name for name, count in names.items() if count > 1] == []
    assert [name for name in names if name != name.lower()] == []
    assert len({slug(name) for name in CATALOGUE.models}) == len(CATALOGUE.models)


def test_training_data_agree_with_level_of_theory() -> None:
    levels = {name: {CATALOGUE.datasets[d] for d in m.training_data} - {m.level_of_theory} for name, m in MODELS}
    assert {name: wrong for name, wrong in levels.items() if wrong} == {}


def test_every_dataset_is_used() -> None:
    assert set(CATALOGUE.datasets) == {d for _, m in MODELS for d in m.training_data}


def test_level_with_dispersion_says_so_twice() -> None:
    named = {name for name, m in MODELS if re.search(r"-(V|D3|D4rev|MBD)$", m.level_of_theory or "")}
    assert [name for name in named if CATALOGUE.models[name].dispersion != "included"] == []


def test_weights_with_several_choices_have_no_default() -> None:
    rows: dict[tuple[str, str], list[frozenset[str]]] = {}
    for _, m in MODELS:
        rows.setdefault((m.family, m.checkpoint.model_dump_json()), []).append(frozenset(m.options))
    several = {weights: set(options) for weights, options in rows.items() if len(options) > 1}
    assert several
    assert {w: o for w, o in several.items() if len(o) > 1 or o == {frozenset()}} == {}


def test_options_are_those_of_the_family() -> None:
    odd = {name for name, m in MODELS if set(m.options) - {*CATALOGUE.families[m.family].options, *m.user_options}}
    assert odd == {"fail"}


def test_dtypes_are_those_of_the_family() -> None:
    assert {name for name, m in MODELS if m.dtype and m.dtype not in CATALOGUE.families[m.family].dtypes} == set()


def test_elements_are_some_or_not_established() -> None:
    assert {name for name, m in MODELS if m.elements == frozenset()} == set()


def test_licences_are_told() -> None:
    assert {name for name, m in MODELS if not (m.code_licence and m.weights_licence)} == set()
    assert {name for name, m in MODELS if m.gated and not CATALOGUE.families[m.family].licence_page} == set()


@pytest.mark.parametrize("name", [name for name in CATALOGUE.families if name != FILE])
def test_family_has_models_and_an_image_that_pins_its_package(name: str) -> None:
    family = CATALOGUE.families[name]
    assert name in {m.family for _, m in MODELS}
    if family.image != "host":
        (image,) = find_images([family.image])
        assert name in image.families
        assert family.package in pinned_versions(image)


def test_refused_names_point_at_existing_models() -> None:
    for reason in CATALOGUE.refused.values():
        offered = re.findall("`(.+?)`", reason)
        assert offered
        assert set(offered) <= set(CATALOGUE.models)


def test_names_in_the_page_about_models_exist() -> None:
    said = re.findall(r"(?:--models|models show) ([a-z0-9.,+-]+)(?=[\s`])", DOC.read_text(encoding="utf-8"))
    assert said
    assert find_models([name for names in said for name in names.split(",")], CATALOGUE)


@pytest.mark.parametrize(
    ("name", "fragment"),
    [("sevenet-0", "`sevennet-0`"), ("chgnet0.3.0", "`chgnet-0.3.0`"), ("zzz", "`mira models`")],
)
def test_unknown_name_is_refused_with_help(name: str, fragment: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_models([name], CATALOGUE)
    assert fragment in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("sevennet-mf-0", "choose .*`sevennet-mf-0-r2scan`"),
        ("UMA-s-1p2p1", "choose .*`uma-s-1p2p1-omat`"),
        ("mh-1", "choose .*`mace-mh-1-omol`"),
        ("mace-polar-1-m", "long-range electrostatics"),
        ("orb-v1", "withdrawn"),
    ],
)
def test_name_of_no_single_model_is_refused_with_the_reason(name: str, fragment: str) -> None:
    with pytest.raises(UsageError, match=fragment):
        find_models([name], CATALOGUE)


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
        ("families: {}", "must hold one mapping"),
        ("[", "cannot read the models file"),
    ],
)
def test_bad_models_file_is_refused(tmp_path, text: str, message: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_catalogue([tmp_path / "m.yaml"])


GOOD = "title: t, family: ase_builtin, checkpoint: {bundled: lj}"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a: {%s}", "b: {%s}", "a: {%s}"], "`a` is there twice, in line 2 and in line 4"),
        (["a: {%s, options: {sigma: 1.0, sigma: 2.0}}"], "`sigma` is there twice, in line 2 and in line 2"),
        (["a: {%s}", "c: {%s, aliases: [a]}"], "calls two models `a`: `a` and `c`"),
        (["a: {%s}", "c: {%s, aliases: [A]}"], "calls two models `a`: `a` and `c`"),
        (["c: {%s, aliases: [b, a]}", "a: {%s}"], "calls two models `a`: `c` and `a`"),
        (["a: {%s, aliases: [Same]}", "b: {%s, aliases: [same]}"], "calls two models `same`: `a` and `b`"),
        (["mine: {%s, aliases: [EMT]}"], "redefines `emt`"),
    ],
)
def test_a_name_that_stands_twice_in_a_models_file_is_refused(tmp_path, rows, message) -> None:
    (tmp_path / "m.yaml").write_text("models:\n" + "".join(f"  {row % GOOD}\n" for row in rows))
    with pytest.raises(InputError, match=re.escape(message)):
        load_catalogue([tmp_path / "m.yaml"])


def test_two_models_files_cannot_share_a_name(tmp_path) -> None:
    (tmp_path / "m.yaml").write_text(f"models: {{a: {{{GOOD}, aliases: [Mine]}}}}")
    (tmp_path / "n.yaml").write_text(f"models: {{mine: {{{GOOD}}}}}")
    with pytest.raises(InputError, match=r"n\.yaml` redefines `mine`"):
        load_catalogue([tmp_path / "m.yaml", tmp_path / "n.yaml"])


def test_an_alias_is_found_whatever_its_case_and_may_repeat_its_own_row(tmp_path) -> None:
    (tmp_path / "m.yaml").write_text(f"models: {{a: {{{GOOD}, aliases: [a, My-A, MY-A]}}}}")
    assert list(find_models(["my-a", "A"], load_catalogue([tmp_path / "m.yaml"]))) == ["a"]


@pytest.mark.parametrize("file", sorted(ASSETS), ids=lambda file: file.name)
def test_nothing_of_ours_stands_twice_in_a_file(file) -> None:
    load(file.read_text(encoding="utf-8"))


def test_no_model_is_in_two_files() -> None:
    rows = [name for file in (BUILT_IN / "models").glob("*.yaml") for name in load(file.read_text())["models"]]
    assert [name for name, count in Counter(rows).items() if count > 1] == []


@pytest.mark.parametrize(
    ("rows", "message", "hint"),
    [
        (f"x: {{{GOOD}, dtpye: float32}}", "model `x` has an unknown key `dtpye`", "did you mean `dtype`?"),
        ("x: {titl: t, family: orb, checkpoint: {fetch: a}}", "has an unknown key `titl`", "did you mean `title`?"),
        ("x: {title: t, family: orb, checkpoint: {fecth: a}}", "key `checkpoint.fecth`", "did you mean `fetch`?"),
        ("x: {family: orb, checkpoint: {fetch: a}}", "model `x` lacks the key `title`", "show sevennet-0 --yaml"),
        ("x: {title: t, family: orb, checkpoint: {}}", "has a bad `checkpoint`: a checkpoint is", "show sevennet-0"),
        (
            "x: {title: t, family: orb, checkpoint: a}",
            "has a bad `checkpoint`: it must be a mapping",
            "show sevennet-0",
        ),
        (f"x: {{{GOOD}, level_of_theory: R2scan}}", "bad `level_of_theory`: 'R2scan' is not one of", "`r2SCAN`"),
        (f"x: {{{GOOD}, elements: Xx}}", "has a bad `elements`: unknown element 'Xx'", "show sevennet-0"),
        (f"x: {{{GOOD}, options: {{a: [1]}}}}", "has a bad `options.a`: it must be one word", "show sevennet-0"),
        (f"x: {{{GOOD}, stress: maybe}}", "has a bad `stress`: 'maybe' is not a boolean", "show sevennet-0"),
        (f"X y: {{{GOOD}}}", "`X y` cannot be a model's name", "lower-case"),
        ("x: null", "model `x` is no row: it must be a mapping", "show sevennet-0"),
        ("[x]", "must map names to rows", "show sevennet-0"),
        ("x: {title: t, family: Orb, checkpoint: {fetch: a}}", "unknown family `Orb`", "did you mean `orb`"),
    ],
)
def test_mistake_in_a_models_file_is_told_in_one_sentence(tmp_path, rows, message, hint) -> None:
    (tmp_path / "m.yaml").write_text(f"models: {{{rows}}}" if rows != "[x]" else "models: [x]")
    with pytest.raises(InputError) as caught:
        load_catalogue([tmp_path / "m.yaml"])
    assert message in caught.value.message
    assert "m.yaml" in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message
    assert "Input should" not in caught.value.message


@pytest.mark.parametrize(
    ("checkpoint", "hint"),
    [
        ("{fetch: 'mace_mp:medum'}", "did you mean `mace_mp:medium`"),
        ("{bundled: 'mace_mp:medium'}", "did you mean `fetch: mace_mp:medium`?"),
        ("{fetch: qqqq}", "only the package of mace knows"),
        ("{fetch: 'mace_mp:medium'}", None),
    ],
)
def test_weights_that_the_catalogue_does_not_know_are_warned_of(tmp_path, capsys, checkpoint, hint) -> None:
    (tmp_path / "m.yaml").write_text(f"models: {{mine: {{title: t, family: mace, checkpoint: {checkpoint}}}}}")
    assert "mine" in find_models(["mine"], load_catalogue([tmp_path / "m.yaml"]))
    said = capsys.readouterr().err
    assert (hint in said) if hint else said == ""


@pytest.mark.parametrize("word", ["sevennet", "SevenNet", "SEVENNET", "seven-net"])
def test_a_family_is_found_whatever_its_case(mira, word) -> None:
    listed = mira("models", "list", "--family", word, "--json").stdout
    assert {row["family"] for row in json.loads(listed)} == {"sevennet"}


def test_an_unknown_family_is_refused_with_the_nearest(mira) -> None:
    assert "did you mean `sevennet`" in mira("models", "--family", "sevenet", code=2).stderr


def test_options_follow_a_models_name_and_mean_what_settings_mean() -> None:
    names = [
        "LJ?sigma=2.5",
        "lj?sigma=2.5",
        "lj?sigma=3.0",
        "lj?sigma=3",
        "dpa-3.1-3m?head=Omat24",
        "lj?rc=3&smooth=false",
    ]
    found = find_models([*names, "lj?sigma=2&epsilon=0.1", "lj?epsilon=0.1&sigma=2"], built_in())
    assert list(found) == ["lj?sigma=2.5", "lj?sigma=3", "dpa-3.1-3m?head=Omat24", "lj", "lj?epsilon=0.1&sigma=2"]
    assert [*find_models([*found], built_in())] == [*found]  # what is printed can be typed
    assert found["lj?sigma=3"].options == built_in().models["lj"].options | {"sigma": 3}
    by_name = build_config(
        {"structures": "s", "models": ["lj?sigma=3"], "resources": {"LJ?sigma=3": {"threads": 1}}}, []
    )
    by_setting = build_config({"structures": "s", "models": ["lj"]}, ["options.lj.sigma=3"])
    keys = {named_models(config).models[0].key for config in (by_name, by_setting)}
    assert len(keys) == 1
    with pytest.raises(UsageError, match="`emt` has no option `sigma`"):
        find_models(["emt?sigma=3"], built_in())
    with pytest.raises(UsageError, match="unknown model `emtt"):
        find_models(["emtt?sigma=3"], built_in())
    for text in ("abc", "", "nan", "inf", "[1", "{a: 1}", "%00", "2.5?epsilon=1"):
        with pytest.raises(UsageError, match="`sigma` cannot be"):
            find_models([f"lj?sigma={text}"], built_in())

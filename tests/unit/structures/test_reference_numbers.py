"""Numbers of the input that results are compared with: what is no number, or contradicted, is told and not used."""

import json

import numpy as np
import pyarrow as pa
from ase.build import bulk
from ase.io import write

from mira_cli.structures.labels import numbers_under

NAMES = ("bulk_modulus_gpa", "reference_bulk_modulus_gpa")


def labels(*each) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([json.dumps(one) if one else None for one in each], pa.string())])


def test_two_keys_of_one_number_must_agree() -> None:
    found = numbers_under(
        labels(
            {"bulk_modulus_gpa": "1", "Reference_Bulk_Modulus_GPa": "140"},
            {"bulk_modulus_gpa": "140.0", "Reference_Bulk_Modulus_GPa": "140"},
            {"Reference_Bulk_Modulus_GPa": "98"},
            {"bulk_modulus_gpa": "nan", "Reference_Bulk_Modulus_GPa": "25"},
            {"bulk_modulus_gpa": "14O"},
            None,
        ),
        NAMES,
    )
    np.testing.assert_array_equal(found.values, [np.nan, 140, 98, 25, np.nan, np.nan])
    assert found.contradicted.tolist() == [True, False, False, False, False, False]
    assert found.no_number.tolist() == [False, False, False, False, True, False]
    assert found.keys == ["bulk_modulus_gpa", "Reference_Bulk_Modulus_GPa"]


def test_a_volume_that_is_not_positive_is_none() -> None:
    given = labels({"volume_ang3": "-40"}, {"volume_ang3": "0"}, {"volume_ang3": "40"}, {"volume": "x"})
    found = numbers_under(given, ("volume_ang3", "volume"), positive=True)
    np.testing.assert_array_equal(found.values, [np.nan, np.nan, 40, np.nan])
    assert found.no_number.tolist() == [True, True, False, True]
    assert numbers_under(given, ("volume_ang3",)).values[0] == -40


def test_nothing_is_found_where_nothing_is_given() -> None:
    for given in (labels(None, None), labels({"config_type": "bulk"}, None)):
        found = numbers_under(given, NAMES)
        assert np.isnan(found.values).all()
        assert not (found.contradicted | found.no_number).any()


def test_a_run_says_what_is_not_used(tmp_path, mira) -> None:
    write(tmp_path / "cu.cif", bulk("Cu"))
    write(tmp_path / "au.cif", bulk("Au"))
    head = "structure_path,bulk_modulus_gpa,reference_bulk_modulus_gpa"
    (tmp_path / "sheet.csv").write_text(f"{head}\ncu.cif,1,140\nau.cif,,abc\n")
    call = ("run", tmp_path / "sheet.csv", "-m", "emt", "--task", "eos", "-n", "-o", tmp_path / "r")
    told = " ".join(mira(*call).stderr.split())
    both = "`bulk_modulus_gpa` {} `reference_bulk_modulus_gpa`"
    assert f"{both.format('and')} contradict each other in 1 structure: nothing is compared with it; `cu.cif#0`" in told
    assert f"what stands under {both.format('or')} is no number in 1 structure" in told

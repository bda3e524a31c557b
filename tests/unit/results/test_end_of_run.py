"""What the end of a run warns of."""

from mira_cli.results.print_end_of_run import _tell_references


def of(theory: str, correction: str, data: str) -> dict[str, str]:
    return {"level_of_theory": theory, "energy_correction": correction, "training_data": data}


def test_other_levels_of_theory_do_not_hide_other_corrections(capsys) -> None:
    models = {"a": of("PBE+U", "none", "x"), "b": of("PBE+U", "MP2020", "x"), "c": of("r2SCAN", "none", "y")}
    _tell_references(models)
    told = " ".join(capsys.readouterr().err.split())
    assert "different levels of theory (PBE+U: a, b; r2SCAN: c)" in told
    assert "different corrections (MP2020: b; none: a, c)" in told
    assert "different data" not in told


def test_other_data_are_told_where_nothing_else_is(capsys) -> None:
    _tell_references({"a": of("PBE", "none", "x"), "b": of("PBE", "none", "y")})
    assert "different data (x: a; y: b)" in capsys.readouterr().err

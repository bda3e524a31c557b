"""`--task a,b`: a run a task, in folders beside one another."""

from tests.runs import rows


def test_a_run_a_task(mira, structures, tmp_path) -> None:
    both = tmp_path / "both"
    told = mira("run", structures, "-m", "emt", "-o", both, "--task", "singlepoint,relax",
                "--set", "task.fmax_ev_per_ang=0.05").stderr  # fmt: skip
    assert told.index(f"task singlepoint, in `{both}/singlepoint`") < told.index(f"task relax, in `{both}/relax`")
    assert "energy_per_atom_ev" in rows(both / "singlepoint")[0]
    assert "fmax_ev_per_ang=0.05" not in (both / "singlepoint/run.yaml").read_text()
    assert "fmax_ev_per_ang: 0.05" in (both / "relax/run.yaml").read_text()
    assert {row["status"] for row in rows(both / "relax")} == {"ok"}
    again = mira("run", structures, "-m", "emt", "-o", both, "--task", "singlepoint,relax",
                 "--set", "task.fmax_ev_per_ang=0.05").stderr  # fmt: skip
    assert again.count("nothing to compute, 7 kept") == 2


def test_what_cannot_be_is_told_before_anything(mira, structures, tmp_path) -> None:
    out = tmp_path / "both"
    for more, said in (
        (("--task", "relax,knead"), "there is no task `knead`"),
        (("--task", "singlepoint,relax", "--set", "task.fmx=1"), "has no setting `fmx`"),
        (("--task", "singlepoint,relax", "--detach"), "several tasks are several runs"),
    ):
        told = mira("run", structures, "-m", "emt", "-o", out, *more, code=2).stderr
        assert said in told
    assert not out.exists()
    mira("run", structures, "-m", "emt", "-o", out)
    told = mira("run", structures, "-m", "emt", "-o", out, "--task", "singlepoint,relax", code=2).stderr
    assert f"`{out}` is a run, and 2 tasks are as many runs in one folder" in told

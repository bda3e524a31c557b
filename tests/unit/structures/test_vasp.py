"""VASP's outputs: which of three energies is taken, signs and units, steps that are damaged or begun, force fields."""

import bz2
import gzip

import numpy as np
import pytest

from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures
from mira_cli.structures.references import ReferenceKeys, reference_keys_in_words

HEAD = """ vasp.6.3.0 20Jan22
 INCAR:
 POTCAR:    PAW_PBE Na_pv 19Sep2006
 POTCAR:    PAW_PBE Cl 06Sep2000
 POTCAR:    PAW_PBE Na_pv 19Sep2006
 POTCAR:    PAW_PBE Cl 06Sep2000
   POMASS =   22.990; ZVAL   =    7.000    mass and valenz
   ions per type =               1   1
   NELM   =     60;   NELMIN=  2; NELMDL= -5     # of ELM steps
   Ionic Valenz
   ZVAL   =   7.00  7.00
   NELECT =      {electrons}    total number of electrons
"""
CYCLE = "--------------------------------------- Iteration      {}(   {})  ---------------------------------------\n"
STEP = """
  {ml}FORCE on cell =-STRESS in cart. coord.  units (eV):
  Direction    XX          YY          ZZ          XY          YZ          ZX
  Total       1.00000     2.00000     3.00000     4.00000     5.00000     6.00000
  in kB      10.00000    20.00000    30.00000    40.00000    50.00000    60.00000
  external pressure =       20.00 kB  Pullay stress =        0.00 kB

 VOLUME and BASIS-vectors are now :
      direct lattice vectors                 reciprocal lattice vectors
     4.000000000  0.000000000  0.000000000     0.250000000  0.000000000  0.000000000
     0.000000000  4.000000000  0.000000000     0.000000000  0.250000000  0.000000000
     0.000000000  0.000000000  4.000000000     0.000000000  0.000000000  0.250000000

 POSITION                                       TOTAL-FORCE (eV/Angst){of_ml}
 -----------------------------------------------------------------------------------
      0.00000      0.00000      0.00000         0.100000      0.200000     -0.300000
      {x:.5f}      0.00000      0.00000        -0.100000     -0.200000      0.300000
 -----------------------------------------------------------------------------------
"""
DFT = """  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy   TOTEN  =        {free:.8f} eV

  energy  without entropy=       {without:.8f}  energy(sigma->0) =       {zero:.8f}
"""
ML = """  ML FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy ML TOTEN  =       {free:.8f} eV

  ML energy  without entropy=      {free:.8f}  ML energy(sigma->0) =      {free:.8f}
"""
END = "\n General timing and accounting information for this job:\n"
ENERGIES = {"free": -10.021, "without": -10.019, "zero": -10.02}
KBAR = 1 / 1602.1766208  # eV/Å³


def step(number: int = 1, x: float = 2.0, cycles: int = 2) -> str:
    begin = "".join(CYCLE.format(number, i + 1) for i in range(cycles))
    return begin + STEP.format(ml="", of_ml="", x=x) + DFT.format(**ENERGIES)


def ml_step(x: float = 2.0, energy: float = -9.0) -> str:
    return STEP.format(ml="ML ", of_ml=" (ML)", x=x) + ML.format(free=energy)


def outcar(*steps: str, electrons: float = 14.0) -> str:
    return HEAD.format(electrons=f"{electrons:.4f}") + "".join(steps) + END


def vasprun(cycles: int = 2) -> str:
    """The same calculation; the last `e_0_energy` is wrong, as VASP writes it."""

    def energy(zero: float) -> str:
        values = {"e_fr_energy": ENERGIES["free"], "e_wo_entrp": ENERGIES["without"], "e_0_energy": zero}
        return "<energy>" + "".join(f'<i name="{name}">{value:.8f}</i>' for name, value in values.items()) + "</energy>"

    def rows(name: str, *lines: str) -> str:
        return f'<varray name="{name}">' + "".join(f"<v>{line}</v>" for line in lines) + "</varray>"

    where = f"<crystal>{rows('basis', '4 0 0', '0 4 0', '0 0 4')}</crystal>{rows('positions', '0 0 0', '0.5 0 0')}"
    atoms = '<array name="atoms"><set><rc><c>Na</c><c>1</c></rc><rc><c>Cl</c><c>2</c></rc></set></array>'
    scf = cycles * f"<scstep>{energy(ENERGIES['zero'])}</scstep>"
    return (
        f"<modeling><kpoints>{rows('kpointlist', '0 0 0')}{rows('weights', '1')}</kpoints>"
        '<parameters><separator name="electronic"><i type="int" name="NELM">    60</i></separator></parameters>'
        f'<atominfo>{atoms}</atominfo><structure name="initialpos">{where}</structure>'
        f"<calculation>{scf}<structure>{where}</structure>"
        f"{rows('forces', '0.1 0.2 -0.3', '-0.1 -0.2 0.3')}"
        f"{rows('stress', '10 40 60', '40 20 50', '60 50 30')}{energy(ENERGIES['without'])}</calculation></modeling>\n"
    )


def read(tmp_path, name: str, content: str | bytes, **keys: str):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_structures(
        tmp_path / f"packs-{name}", find_sources([str(tmp_path / name)]).sources, keys=ReferenceKeys(**keys)
    )


def told(index) -> list[str | None]:
    return [invalid or note for invalid, note in zip(index.column("invalid"), index.column("note"), strict=True)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("OUTCAR", outcar(step()).encode()),
        ("OUTCAR.gz", gzip.compress(outcar(step()).encode())),
        ("vasprun.xml", vasprun().encode()),
        ("vasprun.xml.bz2", bz2.compress(vasprun().encode())),
    ],
)
def test_outcar_and_vasprun_of_one_calculation_say_the_same(tmp_path, name, content) -> None:
    index = read(tmp_path, name, content)
    (row,) = index.table.to_pylist()
    assert (row["formula"], row["note"]) == ("ClNa", None)
    assert row["reference_energy_ev"] == pytest.approx(-10.02, abs=1e-9)
    # VASP's stress is that of a pressure, in kbar and the order xx yy zz xy yz zx
    expected = -KBAR * np.array([10, 20, 30, 50, 60, 40])
    assert row["reference_stress_ev_per_ang3"] == pytest.approx(expected, rel=1e-6)
    with np.load(index.pack_path(row["pack"])) as pack:
        assert pack["reference_forces"].tolist() == [[0.1, 0.2, -0.3], [-0.1, -0.2, 0.3]]
    assert "energy from VASP's energy(sigma→0) (1)" in reference_keys_in_words(index.table)
    free = read(tmp_path, name, content, energy="free_energy")
    assert free.column("reference_energy_ev") == [pytest.approx(-10.021, abs=1e-9)]
    assert free.column("reference_energy_key") == ["free_energy"]


def test_a_step_that_is_only_begun_is_a_row(tmp_path) -> None:
    whole = outcar(step(1), step(2, 2.1), step(3, 2.2))
    said = "cannot be read: the file ends early: of 3 ionic steps that begin in it, 2 were read"
    last = whole.rindex("energy(sigma")
    for end in (whole.index("Iteration      3") + 30, whole.rindex("TOTAL-FORCE") + 200, last, last + 28):
        assert not whole[:end].endswith("\n")
        found = told(read(tmp_path, "OUTCAR", whole[:end]))
        assert found == [None, None, said]
    assert told(read(tmp_path, "OUTCAR", HEAD)) == ["cannot be read: the file ends before the first step"]
    assert told(read(tmp_path, "OUTCAR", whole.replace(END, ""))) == [None] * 3  # killed between steps: nothing is lost


def test_a_step_without_an_energy_costs_itself_only(tmp_path) -> None:
    bad = step(2, 2.1).replace("-10.02100000", "************")
    found = told(read(tmp_path, "OUTCAR", outcar(step(1), bad, step(3, 2.2))))
    assert found == [None, "cannot be read: ionic step 2 of the file is damaged, or has no positions", None]


def test_a_damaged_neighbour_is_not_looked_at(tmp_path) -> None:
    """ASE takes constraints from the CONTCAR beside, and would read nothing if that is cut short."""
    (tmp_path / "CONTCAR").write_text("cut\n1.0\n")
    assert told(read(tmp_path, "OUTCAR", outcar(step()))) == [None]


@pytest.mark.parametrize("steps", [[ml_step(energy=0.0), step()], [step(), ml_step()]])
def test_what_dft_says_goes_before_the_force_field(tmp_path, steps) -> None:
    index = read(tmp_path, "OUTCAR", outcar(*steps, ml_step(2.1, -9.5), step(2, 2.2)))
    assert index.column("reference_energy_ev") == pytest.approx([-10.02, -9.5, -10.02])
    of_ml = "VASP computed this step by its own machine-learned force field, not by DFT"
    assert told(index) == [None, of_ml, None]


def test_a_run_of_the_force_field_alone_is_read_and_told(tmp_path) -> None:
    index = read(tmp_path, "OUTCAR", outcar(ml_step(2.0, -9.0), ml_step(2.1, -9.1)))
    assert index.column("reference_energy_ev") == [-9.0, -9.1]
    assert all("machine-learned" in note for note in told(index))


@pytest.mark.parametrize(("name", "content"), [("OUTCAR", outcar(step(cycles=60))), ("vasprun.xml", vasprun(60))])
def test_a_step_that_took_all_its_cycles_is_told(tmp_path, name, content) -> None:
    (note,) = told(read(tmp_path, name, content))
    assert note == "VASP made all 60 electronic steps that NELM allows: the energy may not be converged"


def test_a_charged_cell_is_one_in_its_outcar_too(tmp_path) -> None:
    (note,) = told(read(tmp_path, "OUTCAR", outcar(step(), electrons=13.0)))
    assert note.startswith("charge +1 is that of its NELECT")

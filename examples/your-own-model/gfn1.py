# /// script
# requires-python = "==3.13.*"
# dependencies = ["tblite==0.8.0"]
# ///
"""Extended tight binding (GFN1-xTB, GFN2-xTB, IPEA1-xTB) by tblite: molecules, charged ones and radicals too.

Crystals are refused. The method is there for the Gamma point alone, at which a primitive cell of diamond is 12 eV an
atom off: `"pbc": "none"` says so.
"""

MIRA = {
    "title": "Extended tight binding by tblite",
    "level": "{method}",
    "dispersion": "included",
    "elements": "H-Rn",
    "pbc": "none",
    "stress": False,
    "reads": ["charge", "spin"],
    "options": {"method": ["GFN1-xTB", "GFN2-xTB", "IPEA1-xTB"], "accuracy": 1e-3},
    "licence": "LGPL-3.0-or-later",
    "citation": "https://doi.org/10.1021/acs.jctc.7b00118",
}


def calculator(device, dtype, method, accuracy):
    from tblite.ase import TBLite

    return TBLite(method=method, accuracy=accuracy, verbosity=0)

"""pyarrow is used without pandas, which others may still import."""

import subprocess
import sys

import pytest


def test_pandas_is_not_imported_and_can_be_later() -> None:
    pytest.importorskip("pandas")
    code = "import sys; from mira_cli.arrow import keep_pandas_out; keep_pandas_out()\n"
    code += "import pyarrow as pa; table = pa.table({'a': ['x', None]}); print('pandas' in sys.modules)\n"
    code += "import pandas; print(table.to_pandas()['a'][0], sys.meta_path[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False\nx <")
    assert "NoPandas" not in done.stdout

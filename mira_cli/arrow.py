"""What is to be known of pyarrow before it is used."""

from __future__ import annotations

import sys


def keep_pandas_out() -> None:
    """Keep pyarrow from importing pandas for its first array, which takes 0.3 s and 30 MB: no table here needs it."""
    import pyarrow as pa

    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([None])  # it looks for pandas once
    finally:
        sys.meta_path.remove(_NoPandas)


class _NoPandas:
    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)

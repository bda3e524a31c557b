"""Write the reference that is made from the code: `python -m docs.generate`, or `make reference`."""

from __future__ import annotations

from docs.generate.pages import REFERENCE, pages

for name, text in pages().items():
    (REFERENCE / name).write_text(text, encoding="utf-8")
    print(f"{len(text) / 1000:7.0f} kB  {REFERENCE / name}")

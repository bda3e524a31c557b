"""`RESULTS.md`: each script has a section of its own, written anew by every run of it."""

from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def write_section(key: str, title: str, text: str) -> None:
    """Put a text between the marks of a section; other sections stay."""
    begin, end = f"<!-- {key} -->", f"<!-- /{key} -->"
    section = f"{begin}\n## {title}\n\n{text}\n{end}"
    intro = "# Results of the benchmarks\n\nWritten by the scripts beside it.\n"
    old = RESULTS.read_text() if RESULTS.exists() else intro
    if begin in old:
        before, _, rest = old.partition(begin)
        RESULTS.write_text(before + section + rest.partition(end)[2])
    else:
        RESULTS.write_text(f"{old.rstrip()}\n\n{section}\n")

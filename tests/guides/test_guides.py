"""The guides show what their commands print."""

import pytest

from tests.guides import replay

ON_SLURM = ("cluster-without-network.md",)  # tests/slurm/test_guide.py


@pytest.mark.families
@pytest.mark.timeout(1800)  # images may have to be built
@pytest.mark.parametrize(
    "page", [page for page in replay.PAGES if page.name not in ON_SLURM], ids=lambda page: page.stem
)
def test_commands_print_what_the_page_shows(page, tmp_path) -> None:
    if found := replay.differences(page, tmp_path):
        pytest.fail(found, pytrace=False)


@pytest.mark.parametrize("page", replay.PAGES, ids=lambda page: page.stem)
def test_a_page_is_short_and_shows_commands(page) -> None:
    assert replay.commands(page)
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize(
    ("shown", "got", "same"),
    [
        ("a 1.25 b", "a   1.26 b", True),  # two in the last place
        ("a 1.25 b", "a 1.28 b", False),
        ("a 5412.1 b", "a 5434.5 b", True),  # 0.5 %
        ("a 5412.1 b", "a 5444.5 b", False),
        ("13 structures", "14 structures", False),
        ("13 structures", "13 structure", False),
        ("spread 5.7e-08", "spread 1.2e-09", True),  # zero, but for rounding
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...\nd", "a\nb\nc", False),
        ("a", "a\nb", False),
        ("a\nb", "a", False),
        ("sevennet-0: 13/13 structures, 8.7/s\na", "a", True),
        ("run directory: /home/me/runs/x", "run directory: /tmp/pytest/y/runs/x", True),
        ("run directory: /home/me/runs/x", "run directory: /home/me/runs/y", False),
        (
            " sevennet:mine.pth              5        0         0.104   AMD EPYC",
            " sevennet:mine.pth              5        0         0.2   Intel Xeon 8",
            True,
        ),
        (
            " sevennet-0     PBE+U             13        0         0.045   AMD EPYC",
            " sevennet-0     PBE+U             13        0         12.1    Intel Xeon 8",
            True,
        ),
    ],
)
def test_what_may_vary_is_the_same_and_nothing_else(shown, got, same) -> None:
    assert replay.same(shown.splitlines(), got.splitlines()) is same


def test_commands_are_told_from_their_output() -> None:
    (first, second) = replay.steps("$ cat <<END\n> a\n>\n> END\na\n> b\n$ true\n")
    assert first == ("cat <<END\na\n\nEND", ["a", "> b"])
    assert second == ("true", [])
    with pytest.raises(ValueError, match="begins with output"):
        replay.steps("a\n$ b\n")


def test_one_shell_runs_them_and_a_failure_must_be_shown(tmp_path) -> None:
    got = replay.printed(["a=1; cd /", "echo $a; pwd; echo b >&2", "(exit 3)", "echo $?"], tmp_path)
    assert got == [[], ["1", "/", "b"], [], ["3"]]
    with pytest.raises(AssertionError, match="`false` failed"):
        replay.printed(["false", "true"], tmp_path)
    with pytest.raises(AssertionError, match="the shell ended after `exit 0`"):
        replay.printed(["exit 0", "true"], tmp_path)


def test_a_new_output_keeps_what_is_left_out() -> None:
    assert replay.renewed(["a", "...", "c"], ["a", "x", "c"]) == ["a", "...", "c"]
    assert replay.renewed(["a", "...", "c"], ["b", "x", "y", "d"]) == ["b", "...", "d"]
    assert replay.renewed(["a 1.00"], ["a 1.01"]) == ["a 1.00"]
    assert replay.renewed(["a 1.00"], ["a 2.00"]) == ["a 2.00"]

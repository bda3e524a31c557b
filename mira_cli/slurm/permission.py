"""Accounts and QOS: which are the user's, and which a partition takes; sbatch may accept a job in spite of both."""

from __future__ import annotations

import getpass
import re
from typing import TYPE_CHECKING

from mira_cli.slurm.commands import SlurmError, rows, run_slurm
from mira_cli.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mira_cli.resources import Resources


def associations() -> dict[str, set[str]] | None:
    """This user's accounts, each with its QOS; None where the cluster has no accounting, or does not tell."""
    try:
        return parse_associations(
            rows("sacctmgr", "-nP", "show", "assoc", f"user={getpass.getuser()}", "format=account,qos")
        )
    except SlurmError:
        return None


def parse_associations(table: Sequence[Sequence[str]]) -> dict[str, set[str]] | None:
    """Rows of account and QOS, joined by commas, as a mapping; None if there are none."""
    found: dict[str, set[str]] = {}
    for account, qos in (row[:2] for row in table if len(row) >= 2 and row[0]):
        found.setdefault(account, set()).update(word for word in qos.split(",") if word)
    return found or None


def not_yours(resources: Resources, memberships: Mapping[str, set[str]] | None) -> Iterator[tuple[str, str]]:
    """An account or QOS that this user does not have; nothing is said where the cluster does not tell."""
    if memberships is None:
        return
    account = resources.account and resources.account.lower()
    if account and account not in memberships:
        hint = did_you_mean(account, memberships)
        yield f"ask for the account `{resources.account}`, which is not yours", f"{hint}yours: {', '.join(memberships)}"
        return
    held = memberships[account] if account else set().union(*memberships.values())
    if resources.qos and held and resources.qos.lower() not in {qos.lower() for qos in held}:
        whose = f"the account `{account}`" if account else "your account"
        yield f"ask for the QOS `{resources.qos}`, which {whose} does not have", f"it has: {', '.join(sorted(held))}"


def partition_rules() -> dict[str, dict[str, str]]:
    """Return what `scontrol show partition` says of each partition; empty where it says nothing."""
    try:
        return parse_partitions(run_slurm("scontrol", "--oneliner", "show", "partition"))
    except SlurmError:
        return {}


def parse_partitions(text: str) -> dict[str, dict[str, str]]:
    """Lines of `Key=value` words, by `PartitionName`."""
    lines = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines()]
    return {words["PartitionName"]: words for words in lines if "PartitionName" in words}


def not_allowed(resources: Resources, rules: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    """Return why none of the partitions that a job may go to takes it; one that takes it is enough."""
    found = [_refused(resources, partition) for partition in rules]
    return [reason for reason in found[:1] if reason] if all(found) else []


def _refused(resources: Resources, partition: Mapping[str, str]) -> tuple[str, str] | None:
    name = partition.get("PartitionName", "")
    for word, kind, value in (("Accounts", "account", resources.account), ("Qos", "QOS", resources.qos)):
        allowed, denied = (partition.get(f"{verb}{word}", "").lower().split(",") for verb in ("Allow", "Deny"))
        said = f"ask for the {kind} `{value}`, which the partition `{name}`"
        if value and allowed not in ([""], ["all"]) and value.lower() not in allowed:
            return f"{said} does not take", f"it takes: {', '.join(allowed)}"
        if value and value.lower() in denied:
            return f"{said} refuses", f"set another `{kind.lower()}`, or another `partition`"
    most = partition.get("MaxMemPerNode", "")
    if most.isdigit() and resources.mem_mb and resources.mem_mb > int(most):
        said = f"ask for {resources.mem_mb:,} MB, but `{name}` gives {int(most):,} MB a node"
        return said, f"set `mem_mb` to {most} or less"
    return None

"""What SLURM and Snakemake add to the work: wall time against the ideal, and how late the end of a job is noticed.

    python benchmarks/cluster.py --profile slurm --slots 16 [--models 8] [--chunks 4] [--seconds 20]
    python benchmarks/cluster.py --profile slurm --held [--models 10] [--chunks 30] [--seconds 300]
    python benchmarks/cluster.py --profile slurm --running [--models 10] [--chunks 30] [--seconds 300]

The models only sleep, so that jobs cost a cluster nothing but their places. `--slots`: jobs that it can run at once.
`--held` measures the driver alone: its jobs wait in the queue, held, and are cancelled after so many seconds. The queue
must take them all (`jobs:` in the profile). `--running` does so while all run, each a shell that replays what a worker
has written: a record every ten seconds, and how far it is. The cluster must have a place for each; the tests' own has
them with `SLURM_TEST_NODE_CPUS=640 SLURM_TEST_NODE_MEM=1400000 SLURM_TEST_GATHER=none`.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from ase.build import bulk
from ase.io import write
from results import write_section

MIRA_RUN = [sys.executable, "-m", "mira_cli", "run"]
REPLAYED = 100  # records of a job of `--running`
EVERY_S = 10  # seconds from one to the next
# What runs in place of a worker: the submitted script, on stdin, says where its records are to be.
SBATCH = """\
#!/bin/sh
case "$*" in *--test-only*) exec {sbatch} "$@" ;; esac
{{
    echo '#!/bin/sh'
    sed -n 's/.*--records \\([^ ]*\\).*/mkdir -p \\1; cd \\1/p'
    cat <<'END'

cp {replayed}/forces.f64 .
n=0
while sleep {every_s} && read -r line; do
    printf '%s\\n' "$line" >>records.jsonl
    echo "{{\\"evaluations\\": $((n += 1)), \\"under_way\\": 1, \\"longest\\": $n}}" >new
    mv new progress.json
done <{replayed}/records.jsonl
sleep 3600
END
}} | {sbatch} "$@"
"""


def main() -> None:
    asked = arguments()
    with tempfile.TemporaryDirectory(dir=asked.folder) as scratch:
        folder = Path(scratch)
        run = folder / "run"
        if asked.held or asked.running:
            watch_driver(folder, run, asked)
            return
        began = time.time()
        done = subprocess.run(call(folder, run, asked), check=False, capture_output=True, text=True)
        wall_s = time.time() - began
        if done.returncode != 0:
            sys.exit(done.stderr)
        report(run, asked, began, wall_s)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="slurm")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--slots", type=int)
    what.add_argument("--held", action="store_true")
    what.add_argument("--running", action="store_true")
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="a folder that the compute nodes see")
    return parser.parse_args()


def call(folder: Path, run: Path, asked: argparse.Namespace) -> list[str]:
    a_job = REPLAYED if asked.running else 1
    frames = [bulk("Cu", cubic=True) for _ in range(asked.chunks * a_job)]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=seed)
    write(folder / "frames.extxyz", frames)
    options = {"mode": "sleep", "seconds": asked.seconds}
    row = {"title": "sleeps", "family": "ase_builtin", "checkpoint": {"bundled": "faulty"}}
    # one row a model: options that differ make them different models
    models = {f"m{n}": row | {"options": {**options, "seconds": asked.seconds + n * 1e-6}} for n in range(asked.models)}
    (folder / "models.yaml").write_text(json.dumps({"models": models}))
    return [
        *MIRA_RUN, str(folder / "frames.extxyz"), "-m", ",".join(models),
        "--models-file", str(folder / "models.yaml"), "-o", str(run), "--profile", asked.profile,
        "--set", f"chunk_atoms={4 * a_job}", *(("--set", "resources.all.slurm_extra=--hold") if asked.held else ()),
    ]  # fmt: skip


def replay(folder: Path) -> dict[str, str]:
    """Let a worker write what the jobs are to write; the environment in which `sbatch` sends jobs that do."""
    frames, run, commands = folder / "replayed.extxyz", folder / "replayed", folder / "bin"
    atoms = [bulk("Cu", cubic=True) for _ in range(REPLAYED)]
    for seed, one in enumerate(atoms):
        one.rattle(0.05, seed=seed)
    write(frames, atoms)
    subprocess.run([*MIRA_RUN, str(frames), "-m", "emt", "-o", str(run)], check=True, capture_output=True)
    for name in ("records.jsonl", "forces.f64"):
        parts = [file.read_bytes() for file in sorted(run.glob(f"work/records/*/*/*/{name}"))]
        (folder / name).write_bytes(b"".join(parts))
    commands.mkdir()
    script = SBATCH.format(sbatch=shutil.which("sbatch"), replayed=folder, every_s=EVERY_S)
    (commands / "sbatch").write_text(script)
    (commands / "sbatch").chmod(0o755)
    return {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}


def watch_driver(folder: Path, run: Path, asked: argparse.Namespace) -> None:
    """Measure `mira run` and its Snakemake while all their jobs wait, or run."""
    n_jobs = asked.models * asked.chunks
    environment = replay(folder) if asked.running else None
    driver = subprocess.Popen(
        call(folder, run, asked), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        while (at_work(run) if asked.running else started(run)) < n_jobs:
            if driver.poll() is not None:
                sys.exit("the run has ended before its jobs were in the queue: see what `mira run` says")
            time.sleep(1)
        time.sleep(10)
        both = [driver.pid, *children(driver.pid)]
        before, began = [cpu_seconds(pid) for pid in both], time.monotonic()
        time.sleep(asked.seconds)
        wall_s = time.monotonic() - began
        cpu = [100 * (cpu_seconds(pid) - used) / wall_s for pid, used in zip(both, before, strict=True)]
        memory_mb = [pss_mb(pid) for pid in both]
    finally:
        driver.terminate()
        driver.wait()
    where = f"running, a record of each every {EVERY_S} s" if asked.running else "in the queue"
    lines = [
        f"{n_jobs} jobs {where}, for {wall_s:.0f} s",
        "",
        "| | of a core | memory (PSS) |",
        "|---|---:|---:|",
        *(
            f"| {name} | {share:.2f} % | {mb:.0f} MB |"
            for name, share, mb in zip(
                ("`mira run`", "its Snakemake", "both"), [*cpu, sum(cpu)], [*memory_mb, sum(memory_mb)], strict=True
            )
        ),
        "",
        f"Load of this machine at the end: {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores.",
    ]
    text = "\n".join(lines)
    print(text)
    if asked.running:
        write_section("driver-running", "The driver of a run on SLURM whose jobs run", text)
    else:
        write_section("driver", "The driver of a run on SLURM", text)


def at_work(run: Path) -> int:
    """Jobs that have written a record."""
    return sum(1 for _ in run.glob("work/records/*/*/*/records.jsonl"))


def started(run: Path) -> int:
    """Jobs that Snakemake has begun to submit."""
    file = run / "work" / "events.jsonl"
    events = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    return sum(len(event["jobs"]) for event in events if event["event"] == "job_started")


def children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def cpu_seconds(pid: int) -> float:
    """What a process has used, with those that it has waited for, such as `squeue`."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def pss_mb(pid: int) -> float:
    """Memory of a process, its share of what it has in common with others included."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


def report(run: Path, asked: argparse.Namespace, began: float, wall_s: float) -> None:
    events = [json.loads(line) for line in (run / "work" / "events.jsonl").read_text().splitlines()]
    jobs = {e["jobid"]: e for e in events if e["event"] == "job_info" and "job" in (e.get("wildcards") or {})}
    noticed = {e["job_id"]: e["t"] for e in events if e["event"] == "job_finished"}
    late = []
    for number, event in jobs.items():
        slug = event["rule_name"].removeprefix("evaluate_")
        done = run / "work" / "done" / slug / f"{event['wildcards']['job']}.json"
        ended = datetime.fromisoformat(json.loads(done.read_text())["finished"]).timestamp()
        late.append(noticed[number] - ended)
    first = min(e["t"] for e in events if e["event"] == "job_started") - began
    timings = json.loads((run / "work" / "call.json").read_text())["timings"]
    n_jobs = asked.models * asked.chunks
    ideal_s = math.ceil(n_jobs / asked.slots) * asked.seconds
    files = sum(1 for path in run.rglob("*") if path.is_file())
    lines = [
        f"{n_jobs} jobs of {asked.seconds:.0f} s on {asked.slots} slots",
        "",
        "| | |",
        "|---|---:|",
        f"| wall time | {wall_s:.1f} s |",
        f"| ideal | {ideal_s:.1f} s |",
        f"| ratio | {wall_s / ideal_s:.2f} |",
        f"| first submission after the start | {first:.1f} s |",
        f"| of it planning, with SLURM's answers | {timings['planning_s']:.1f} s |",
        f"| and Snakemake's start | {timings['snakemake_start_s']:.1f} s |",
        f"| end of a job to notice, on average | {statistics.mean(late):.1f} s |",
        f"| end of a job to notice, at most | {max(late):.1f} s |",
        f"| files in the run | {files} ({files / n_jobs:.1f} a job) |",
        f"| load of this machine at the end, and its cores | {os.getloadavg()[0]:.0f}, {os.cpu_count()} |",
    ]
    text = "\n".join(lines)
    print(text)
    write_section("cluster", "A run on SLURM against the ideal", text)


if __name__ == "__main__":
    main()

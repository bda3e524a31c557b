"""`mira serve` against the server that a user writes, and one structure warm against `mira run` cold.

    python benchmarks/serve.py [-n 500] [--clients 16] [--models sevennet-0,chgnet-0.3.0]

Both servers are up all the time, and asked in turns, portion by portion. Images as environments; FastAPI and uvicorn
are installed beside the image of the plain server, from a package index.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ase.io import write
from crystals import crystals
from processes import MODELS, cpu, pythons
from results import write_section

HERE = Path(__file__).resolve().parent
PORTIONS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=500)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--models", default="sevennet-0,chgnet-0.3.0")
    given = parser.parse_args()
    structures = crystals(given.n)
    bodies = [body(atoms) for atoms in structures]
    lines = ["| model | plain server, structures/s | `mira serve`, structures/s | × plain | batch, median | ΔE, most |"]
    lines += ["|---|---:|---:|---:|---:|---:|"]
    cold_lines = ["| model | `mira run`, cold, s | warm, median of 20, s | × sooner |", "|---|---:|---:|---:|"]
    for model in given.models.split(","):
        with tempfile.TemporaryDirectory() as folder:
            rates, batch, apart, warm = compared(model, bodies, given.clients, Path(folder))
            plain, mira = (statistics.median(each) for each in zip(*rates, strict=True))
            ratio = statistics.median(ours / theirs for theirs, ours in rates)
            lines.append(f"| {model} | {plain:.1f} | {mira:.1f} | {ratio:.2f} | {batch:.0f} | {apart:.0e} eV/atom |")
            cold = cold_s(model, structures[0], Path(folder))
            cold_lines.append(f"| {model} | {cold:.1f} | {warm:.3f} | {cold / warm:.0f} |")
    n = sum(map(len, structures))
    text = (
        f"{given.n} crystals of 2 to 32 atoms ({n:,} atoms), one a request, {given.clients} clients at once; {cpu()}.\n"
        "Plain: the library's calculator in FastAPI, one request after the other. "
        f"Medians of {PORTIONS} portions, in turns.\n\n"
    )
    write_section("serve", "Models that answer over HTTP", text + "\n".join([*lines, "", *cold_lines]))


def compared(
    model: str, bodies: list[dict], clients: int, folder: Path
) -> tuple[list[tuple[float, float]], float, float, float]:
    """Structures per second of both in each portion, the size of batches, the largest difference, seconds of one."""
    servers = [plain_server(model, folder), mira_server(model)]
    try:
        ports = [port for _, port in servers]
        for port in ports:
            ask(port, model, bodies[0])
        rates, batches, apart = [], [], 0.0
        for k in range(PORTIONS):
            portion, found = bodies[k::PORTIONS], []
            rate = []
            for port in ports:
                began = time.perf_counter()
                with ThreadPoolExecutor(clients) as pool:
                    found.append(list(pool.map(lambda one, at=port: ask(at, model, one), portion)))
                rate.append(len(portion) / (time.perf_counter() - began))
            rates.append((rate[0], rate[1]))
            batches += [one["batch_size"] for one in found[1]]
            differences = (abs(a["energy_ev"] - b["energy_ev"]) for a, b in zip(*found, strict=True))
            apart = max(apart, *(d / len(one["symbols"]) for d, one in zip(differences, portion, strict=True)))
        single = []
        for one in bodies[:20]:
            began = time.perf_counter()
            ask(ports[1], model, one)
            single.append(time.perf_counter() - began)
        return rates, statistics.median(batches), apart, statistics.median(single)
    finally:
        for process, _ in servers:
            process.terminate()
            process.wait()


def plain_server(model: str, folder: Path) -> tuple[subprocess.Popen[str], int]:
    family, bundled, image = MODELS[model]
    python = pythons([image])[image]
    packages = folder / "packages"
    command = [sys.executable, "-m", "uv", "pip", "install", "-q", "--python", python, "--target", packages]
    subprocess.run([*command, "fastapi", "uvicorn"], check=True)
    words = [python, HERE / "plain_server.py", family, bundled, packages]
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:  # libraries speak there, too
        if line.strip().isdecimal():
            return process, int(line)
    sys.exit("error: the plain server did not start")


def mira_server(model: str) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-m", "mira_cli", "serve", "--port", "0", "-m", model, "--runtime", "venv"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "answers at" in line:
            return process, int(line.partition(",")[0].rpartition(":")[2])
    sys.exit("error: mira serve did not start")


def ask(port: int, model: str, atoms: dict) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/api/v1/single_point", json.dumps({"model_name": model, "atoms": atoms}), headers)
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, found
    return found


def body(atoms) -> dict:
    return {
        "symbols": atoms.get_chemical_symbols(), "positions": atoms.positions.tolist(),
        "cell": atoms.cell.tolist(), "pbc": atoms.pbc.tolist(),
    }  # fmt: skip


def cold_s(model: str, atoms, folder: Path) -> float:
    """Seconds of a `mira run` of one structure, the second of two."""
    write(folder / "one.extxyz", atoms)
    for number in range(2):
        command = ["run", folder / "one.extxyz", "-m", model, "-o", folder / f"run{number}", "--runtime", "venv"]
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "mira_cli", *map(str, command), "--set", "reuse=false"],
            check=True,
            capture_output=True,
        )
        took = time.perf_counter() - began
    return took


if __name__ == "__main__":
    main()

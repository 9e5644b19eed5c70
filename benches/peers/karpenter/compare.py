#!/usr/bin/env python3
"""Karpenter's scheduler and Plimsoll on the same instances, one after the other: nodes, price an hour, bound and seconds.

Instances are those of Karpenter's scheduling benchmark (its mix of pods, its 400 fake types at its prices), written
once by the oracle as a kubectl dump and a NodeCatalog, which both read. `run` builds both and keeps the table.
"""

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ORACLE = ROOT / "tests/oracles/karpenter"


def build(target):
    """The oracle, built into the target folder; quick once Go has it compiled."""
    program = target / "peers/karpenter"
    subprocess.run(["go", "build", "-buildvcs=false", "-o", program, "."], cwd=ORACLE, check=True)
    return program


def children_seconds():
    """Processor seconds of all commands run so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def karpenter(program, folder):
    """What Karpenter opens, and the seconds its scheduler took without reading the files."""
    command = [program, "solve", "-cluster", folder / "pods.json", "-catalog", folder / "catalog.yaml"]
    before = children_seconds()
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return {**json.loads(out.stdout), "processorSeconds": children_seconds() - before}


def plimsoll(program, folder, arguments):
    """The plan, and the seconds of the whole command, reading the files and writing the plan included."""
    plan = folder / "plan.json"
    files = ["--cluster", folder / "pods.json", "--catalog", folder / "catalog.yaml", "--json", plan]
    limits = ["--time-limit", str(arguments.time_limit), "--gap", str(arguments.gap), "--threads", str(arguments.threads)]
    before, begun = children_seconds(), time.monotonic()
    run = subprocess.run([program, "plan", *files, *limits], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seconds = time.monotonic() - begun
    if not plan.exists():
        sys.exit(run.stderr.decode())
    document = json.loads(plan.read_text())
    certificate = document["certificate"]
    return {
        "nodes": sum(node["state"] == "add" for node in document["nodes"]),
        "pricePerHour": certificate["cost"]["nodes"],
        "costPerHour": certificate["costPerHour"],
        "boundPerHour": certificate["boundPerHour"],
        "gap": certificate["gap"],
        "feasible": certificate["feasible"],
        "unplaced": sum(unplaced["count"] for unplaced in document["unplaced"]),
        "seconds": seconds,
        "processorSeconds": children_seconds() - before,
    }


HEADER = """\
| pods | who | nodes | unplaced | price an hour | of Karpenter's | bound of cost | gap | seconds | of Karpenter's | processor s |
|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""


def row(pods, who, result, peer=None):
    """A line of the table; beside a peer's result with the ratios to it."""
    cells = [f"{pods:,}", who, f"{result['nodes']:,}", f"{result['unplaced']:,}", f"{result['pricePerHour']:.2f}"]
    if peer:
        cells += [
            f"{result['pricePerHour'] / peer['pricePerHour']:.3f}",
            f"{result['boundPerHour']:.2f} of {result['costPerHour']:.2f}",
            f"{100 * result['gap']:.2f} %" + ("" if result["feasible"] else ", not feasible"),
        ]
    else:
        cells += ["1", "", ""]
    cells.append(f"{result['seconds']:.1f}")
    cells.append(f"{result['seconds'] / peer['seconds']:.2f}" if peer else "1")
    cells.append(f"{result['processorSeconds']:.1f}")
    return f"| {' | '.join(cells)} |"


def machine():
    """Processor, cores and load, as one phrase."""
    info = Path("/proc/cpuinfo")
    models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{models[0] if models else 'unknown processor'}, {os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=[1000, 5000, 10000, 20000], help="pods")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--spot", action="store_true", help="sell every type as spot too, in two of the three zones")
    parser.add_argument("--plimsoll", type=Path, help="the command; without it only Karpenter runs")
    parser.add_argument("--only-plimsoll", action="store_true", help="leave Karpenter out, and the ratios to it")
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--gap", type=float, default=0.005)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    program = build(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve())
    print(f"{datetime.date.today():%d %B %Y}; {machine()}. Seed {arguments.seed}; Plimsoll with `--threads {arguments.threads}"
          f" --gap {arguments.gap:g} --time-limit {arguments.time_limit:g}`.\n")
    print(HEADER, flush=True)
    for pods in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            spot = ["-spot"] if arguments.spot else []
            draw = ["generate", "-pods", str(pods), "-seed", str(arguments.seed), *spot, "-out", folder]
            subprocess.run([program, *draw], check=True)
            peer = None
            if not arguments.only_plimsoll:
                peer = karpenter(program, folder)
                print(row(pods, "Karpenter 1.14.1", peer), flush=True)
            if arguments.plimsoll:
                ours = plimsoll(arguments.plimsoll.resolve(), folder, arguments)
                print(row(pods, "Plimsoll", ours, peer or ours), flush=True)


if __name__ == "__main__":
    main()

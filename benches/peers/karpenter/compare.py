#!/usr/bin/env python3
"""Karpenter's scheduler and Plimsoll on the same instances: nodes, price an hour, bound and seconds, as one table.

Instances are those of Karpenter's scheduling benchmark (its mix of pods, its 400 fake types at its prices), written
once by the oracle as a kubectl dump and a NodeCatalog, which both read.
"""

import argparse
import json
import os
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


def karpenter(program, folder):
    """What Karpenter opens, and the seconds its scheduler took without reading the files."""
    command = [program, "solve", "-cluster", folder / "pods.json", "-catalog", folder / "catalog.yaml"]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(out.stdout)


def plimsoll(program, folder, arguments):
    """The plan, and the seconds of the whole command, reading the files and writing the plan included."""
    plan = folder / "plan.json"
    files = ["--cluster", folder / "pods.json", "--catalog", folder / "catalog.yaml", "--json", plan]
    limits = ["--time-limit", str(arguments.time_limit), "--gap", str(arguments.gap), "--threads", str(arguments.threads)]
    begun = time.monotonic()
    run = subprocess.run([program, "plan", *files, *limits], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seconds = time.monotonic() - begun
    if not plan.exists():
        sys.exit(run.stderr.decode())
    document = json.loads(plan.read_text())
    certificate = document["certificate"]
    return {
        "nodes": sum(node["state"] == "add" for node in document["nodes"]),
        "pricePerHour": certificate["cost"]["nodes"],
        "boundPerHour": certificate["boundPerHour"],
        "unplaced": sum(unplaced["count"] for unplaced in document["unplaced"]),
        "seconds": seconds,
    }


def row(pods, who, result, bound=""):
    """A line of the table."""
    price = f"{result['pricePerHour']:.2f}"
    return f"| {pods:,} | {who} | {result['nodes']:,} | {result['unplaced']:,} | {price} | {bound} | {result['seconds']:.1f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=[1000, 5000, 10000, 20000], help="pods")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--spot", action="store_true", help="sell every type as spot too, in two of the three zones")
    parser.add_argument("--plimsoll", type=Path, help="the command; without it only Karpenter runs")
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--gap", type=float, default=0.005)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    program = build(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve())
    print("| pods | who | nodes | unplaced | price an hour | bound an hour | seconds |\n|---|---|---|---|---|---|---|")
    for pods in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            spot = ["-spot"] if arguments.spot else []
            draw = ["generate", "-pods", str(pods), "-seed", str(arguments.seed), *spot, "-out", folder]
            subprocess.run([program, *draw], check=True)
            print(row(pods, "Karpenter 1.14.1", karpenter(program, folder)), flush=True)
            if arguments.plimsoll:
                ours = plimsoll(arguments.plimsoll.resolve(), folder, arguments)
                print(row(pods, "Plimsoll", ours, f"{ours['boundPerHour']:.2f}"), flush=True)


if __name__ == "__main__":
    main()

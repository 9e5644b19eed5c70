"""Accuracy and time of forecasters on the same M4 Hourly series, one thread, official split.

Scores are those of the competition (Makridakis et al. 2020); OWA is against Naive2's published scores on all 414
series (18.383, 2.395). Times are of fitting and forecasting, start-up and compilation left out for the peers; for
Plimsoll the whole command is timed, reading and writing included.
"""
import argparse
import csv
import io
import os
import platform
import subprocess
import time

import numpy as np
import pandas as pd

HORIZON, SEASON, SAMPLE = 48, 24, 20


def load(data, part):
    frame = pd.read_parquet(os.path.join(data, f"m4_hourly_{part}.parquet")).sort_values(["series", "step"])
    return {name: group["value"].to_numpy(float) for name, group in frame.groupby("series")}


def scores(train, test, forecasts):
    rows = []
    for name, (mean, low, high) in forecasts.items():
        truth, history = test[name], train[name]
        scale = np.mean(np.abs(history[SEASON:] - history[:-SEASON]))
        missed = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
        rows.append((
            np.mean(200 * np.abs(truth - mean) / (np.abs(truth) + np.abs(mean))),
            np.mean(np.abs(truth - mean)) / scale,
            np.mean(high - low + 2 / 0.05 * missed) / scale,
            np.mean((truth >= low) & (truth <= high)),
        ))
    smape, mase, msis, inside = np.mean(rows, axis=0)
    return smape, mase, 0.5 * (smape / 18.383 + mase / 2.395), msis, 100 * inside


def statsforecast_models(names):
    from statsforecast.models import MSTL, AutoETS, AutoTheta, DynamicOptimizedTheta, SeasonalNaive
    del AutoTheta
    every = max(1, len(names) // SAMPLE)
    return [
        ("statsforecast SeasonalNaive", SeasonalNaive(SEASON), names),
        ("statsforecast MSTL (day, week)", MSTL([SEASON, 7 * SEASON]), names),
        ("statsforecast optimised Theta", DynamicOptimizedTheta(SEASON), names),
        ("statsforecast AutoETS", AutoETS(SEASON), names[::every][:SAMPLE]),
    ]


def peers(train, names):
    for title, model, chosen in statsforecast_models(names):
        # The first call compiles.
        model.forecast(y=train[names[0]][-200:], h=2, level=[95])
        forecasts, began = {}, time.perf_counter()
        for name in chosen:
            out = model.forecast(y=train[name], h=HORIZON, level=[95])
            forecasts[name] = (out["mean"], out["lo-95"], out["hi-95"])
        yield title, forecasts, 1000 * (time.perf_counter() - began) / len(chosen)


def plimsoll(binary, data):
    command = [binary, "forecast", "--input", os.path.join(data, "m4_hourly_train.parquet"), "--horizon", str(HORIZON),
               "--season", str(SEASON), "--quantiles", "0.025,0.5,0.975", "--threads", "1", "-o", "csv"]
    times = []
    for _ in range(3):
        began = time.perf_counter()
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        times.append(time.perf_counter() - began)
    rows = {}
    for row in csv.DictReader(io.StringIO(text)):
        rows.setdefault(row["series"], []).append((int(row["step"]), float(row["mean"]), float(row["q0.025"]), float(row["q0.975"])))
    forecasts = {name: np.array(sorted(steps))[:, 1:].T for name, steps in rows.items()}
    return "**Plimsoll** (command line)", forecasts, 1000 * min(times) / len(forecasts)


def augurs(binary, train, names):
    rows = "".join(f"{name},{value!r}\n" for name in names for value in map(float, train[name]))
    done = subprocess.run([binary, str(HORIZON), str(SEASON), str(7 * SEASON)], input=rows, check=True, capture_output=True, text=True)
    forecasts = {}
    for line in done.stdout.splitlines():
        name, *values = line.split(",")
        forecasts.setdefault(name, []).append([float(value) for value in values])
    return "augurs MSTL (day, week; ETS trend)", {n: np.array(r).T for n, r in forecasts.items()}, float(done.stderr.split()[-1])


def cpu():
    with open("/proc/cpuinfo") as lines:
        return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--augurs")
    for name in ("data", "plimsoll", "out"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    train, test = load(arguments.data, "train"), load(arguments.data, "test")
    names = sorted(train)
    results = [plimsoll(arguments.plimsoll, arguments.data)]
    if arguments.augurs:
        results.append(augurs(arguments.augurs, train, names))
    for result in peers(train, names):
        results.append(result)
    lines = [
        "# Forecasters on M4 Hourly, same series, same run",
        "",
        f"{len(names)} series of the shared half, official split (48 ahead), one thread. Made by `benches/peers/forecast/run` "
        f"on {time.strftime('%d %B %Y', time.gmtime())}; {cpu()}, {os.cpu_count()} cores shared with other work.",
        "",
        "| method | series | sMAPE | MASE | OWA | MSIS | 95 % interval holds | ms a series |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for title, forecasts, ms in results:
        smape, mase, owa, msis, inside = scores(train, test, forecasts)
        lines.append(f"| {title} | {len(forecasts)} | {smape:.3f} | {mase:.3f} | {owa:.3f} | {msis:.2f} | {inside:.1f} % | {ms:.2f} |")
        if len(forecasts) < len(names):
            # The slow ones see a sample: ours on the same series, so that the two can be compared.
            ours = {name: results[0][1][name] for name in forecasts}
            smape, mase, owa, msis, inside = scores(train, test, ours)
            lines.append(f"| Plimsoll on those {len(ours)} | {len(ours)} | {smape:.3f} | {mase:.3f} | {owa:.3f} | {msis:.2f} | {inside:.1f} % | |")
    lines += ["", "OWA is against Naive2's published scores on all 414 series (18.383, 2.395); on a part of them it is approximate.", ""]
    with open(arguments.out, "w") as out:
        out.write("\n".join(lines))
    print("\n".join(lines))


main()

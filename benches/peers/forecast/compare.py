"""Accuracy and time of forecasters on the same M4 Hourly series, one thread, official split.

Scores are those of the competition (Makridakis et al. 2020); OWA is against Naive2's published scores on all 414
series (18.383, 2.395). Every score has the range that holds 95 of 100 fleets drawn anew from the series, the same
draws for every method, so that ratios are paired. Times are processor time, which other work on the machine moves little:
of fitting and forecasting for the peers in Python, start-up and compilation left out; of the whole command for augurs and
Plimsoll, reading and writing included.
"""
import argparse
import csv
import io
import os
import platform
import resource
import subprocess
import time

import numpy as np
import pandas as pd

HORIZON, SEASON, SAMPLE = 48, 24, 20
DRAWS, SEED = 1000, 1
NAIVE2 = (18.383, 2.395)


def load(data, part):
    frame = pd.read_parquet(os.path.join(data, f"m4_hourly_{part}.parquet")).sort_values(["series", "step"])
    return {name: group["value"].to_numpy(float) for name, group in frame.groupby("series")}


def scores(train, test, forecasts):
    """One row a series, in the order of names: sMAPE, MASE, MSIS, share inside the 95 % interval."""
    rows = []
    for name in sorted(forecasts):
        mean, low, high = forecasts[name]
        truth, history = test[name], train[name]
        scale = np.mean(np.abs(history[SEASON:] - history[:-SEASON]))
        missed = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
        rows.append((
            np.mean(200 * np.abs(truth - mean) / (np.abs(truth) + np.abs(mean))),
            np.mean(np.abs(truth - mean)) / scale,
            np.mean(high - low + 2 / 0.05 * missed) / scale,
            100 * np.mean((truth >= low) & (truth <= high)),
        ))
    return np.array(rows)


def draws(count):
    return np.random.default_rng(SEED).integers(0, count, (DRAWS, count))


def ranged(rows, statistic, digits, unit=""):
    """The statistic of all rows, and its range over the drawn fleets."""
    drawn = [statistic(rows[chosen]) for chosen in draws(len(rows))]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{statistic(rows):.{digits}f}{unit} ({low:.{digits}f}–{high:.{digits}f})"


def owa(rows):
    return 0.5 * (rows[:, 0].mean() / NAIVE2[0] + rows[:, 1].mean() / NAIVE2[1])


def line(title, rows, ours, ms):
    cells = [
        ranged(rows, lambda r: r[:, 0].mean(), 3),
        ranged(rows, lambda r: r[:, 1].mean(), 3),
        ranged(rows, owa, 3),
        ranged(rows, lambda r: r[:, 2].mean(), 2),
        ranged(rows, lambda r: r[:, 3].mean(), 1, " %"),
    ]
    ratio = "1"
    if ours is not rows:
        ratio = ranged(np.column_stack([rows[:, 1], ours[:, 1]]), lambda r: r[:, 0].mean() / r[:, 1].mean(), 2)
    return f"| {title} | {len(rows)} | {' | '.join(cells)} | {ratio} | {ms} |"


def statsforecast_models(names):
    from statsforecast.models import MSTL, AutoETS, DynamicOptimizedTheta, SeasonalNaive
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
        forecasts, began = {}, time.process_time()
        for name in chosen:
            out = model.forecast(y=train[name], h=HORIZON, level=[95])
            forecasts[name] = (out["mean"], out["lo-95"], out["hi-95"])
        yield title, forecasts, 1000 * (time.process_time() - began) / len(chosen)


def command(arguments, text=None):
    """Standard output and processor seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = subprocess.run(arguments, input=text, check=True, stdout=subprocess.PIPE, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return output, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def plimsoll(binary, data):
    arguments = [binary, "forecast", "--input", os.path.join(data, "m4_hourly_train.parquet"), "--horizon", str(HORIZON),
                 "--season", str(SEASON), "--quantiles", "0.025,0.5,0.975", "--threads", "1", "-o", "csv"]
    text, seconds = min((command(arguments) for _ in range(3)), key=lambda result: result[1])
    rows = {}
    for row in csv.DictReader(io.StringIO(text)):
        rows.setdefault(row["series"], []).append((int(row["step"]), float(row["mean"]), float(row["q0.025"]), float(row["q0.975"])))
    forecasts = {name: np.array(sorted(steps))[:, 1:].T for name, steps in rows.items()}
    return "**Plimsoll** (command line)", forecasts, 1000 * seconds / len(forecasts)


def augurs(binary, train, names):
    rows = "".join(f"{name},{value!r}\n" for name in names for value in map(float, train[name]))
    text, seconds = command([binary, str(HORIZON), str(SEASON), str(7 * SEASON)], rows)
    forecasts = {}
    for row in text.splitlines():
        name, *values = row.split(",")
        forecasts.setdefault(name, []).append([float(value) for value in values])
    return "augurs MSTL (day, week; ETS trend)", {n: np.array(r).T for n, r in forecasts.items()}, 1000 * seconds / len(names)


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
        f"on {time.strftime('%d %B %Y', time.gmtime())}; {cpu()}, {os.cpu_count()} cores shared with other work. "
        f"Ranges hold 95 of 100 fleets drawn anew from these series ({DRAWS} draws, seed {SEED}); where the range of the last "
        "column but one holds 1, the difference is noise. Milliseconds are processor time.",
        "",
        "| method | series | sMAPE | MASE | OWA | MSIS | 95 % interval holds | MASE over Plimsoll's | ms a series |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for title, forecasts, ms in results:
        # The slow ones see a sample: ours on the same series, so that the two can be compared.
        ours = scores(train, test, {name: results[0][1][name] for name in forecasts})
        if forecasts is results[0][1]:
            lines.append(line(title, ours, ours, f"{ms:.2f}"))
            continue
        lines.append(line(title, scores(train, test, forecasts), ours, f"{ms:.2f}"))
        if len(forecasts) < len(names):
            lines.append(line(f"Plimsoll on those {len(ours)}", ours, ours, ""))
    lines += ["", "OWA is against Naive2's published scores on all 414 series (18.383, 2.395); on a part of them it is approximate.", ""]
    with open(arguments.out, "w") as out:
        out.write("\n".join(lines))
    print("\n".join(lines))


main()

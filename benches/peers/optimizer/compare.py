"""Bare solvers on the programs the bench writes: cost, bound and gap after so many seconds.

    compare.py --programs FOLDER [--seconds 30] [--threads 2]

Each solve is a process of its own: OR-Tools and highspy cannot share one.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

SOLVERS = ("HiGHS", "CP-SAT", "SCIP")


def highs(path, seconds, threads):
    import highspy

    solver = highspy.Highs()
    solver.silent()
    solver.setOptionValue("threads", threads)
    solver.setOptionValue("time_limit", seconds)
    solver.setOptionValue("mip_rel_gap", 0.005)
    solver.readModel(path)
    solver.run()
    info = solver.getInfo()
    found = info.primal_solution_status == 2
    return info.objective_function_value if found else None, info.mip_dual_bound, solver.version()


def cp_sat(path, seconds, threads):
    import ortools
    from ortools.linear_solver.python import model_builder

    model = model_builder.ModelBuilder()
    model.import_from_mps_file(path)
    solver = model_builder.ModelSolver("sat")
    solver.set_time_limit_in_seconds(seconds)
    solver.set_solver_specific_parameters(f"num_workers:{threads} relative_gap_limit:0.005")
    status = solver.solve(model)
    found = status in (model_builder.SolveStatus.OPTIMAL, model_builder.SolveStatus.FEASIBLE)
    return solver.objective_value if found else None, solver.best_objective_bound, ortools.__version__


def scip(path, seconds, threads):
    import pyscipopt

    del threads
    model = pyscipopt.Model()
    model.hideOutput()
    model.readProblem(path)
    model.setParam("limits/time", seconds)
    model.setParam("limits/gap", 0.005)
    model.optimize()
    found = model.getNSols() > 0
    return model.getObjVal() if found else None, model.getDualbound(), str(model.version())


def one(solver, path, seconds, threads):
    begun = time.perf_counter()
    solve = {"HiGHS": highs, "CP-SAT": cp_sat, "SCIP": scip}[solver]
    cost, bound, version = solve(path, seconds, threads)
    print(json.dumps(dict(cost=cost, bound=bound, version=version, seconds=time.perf_counter() - begun)))


def number(value):
    return "–" if value is None or abs(value) > 1e15 else f"{value:.3f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=2)
    arguments = parser.parse_args()
    if arguments.one:
        one(*arguments.one, arguments.seconds, arguments.threads)
        return
    print("| program | solver | cost | bound | gap | seconds |\n|---|---|---|---|---|---|")
    for path in sorted(arguments.programs.glob("*.mps")):
        for solver in SOLVERS:
            command = [sys.executable, __file__, "--one", solver, str(path), "--seconds", str(arguments.seconds)]
            command += ["--threads", str(arguments.threads)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            lines = done.stdout.strip().splitlines()
            if done.returncode != 0 or not lines:
                print(f"| {path.stem} | {solver} | failed: {done.stderr.strip().splitlines()[-1:]} | | | |", flush=True)
                continue
            found = json.loads(lines[-1])
            cost, bound = found["cost"], found["bound"]
            gap = "–" if cost is None else f"{100 * max(0.0, cost - bound) / cost:.2f} %"
            row = (path.stem, f"{solver} {found['version']}", number(cost), number(bound), gap, f"{found['seconds']:.1f}")
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()

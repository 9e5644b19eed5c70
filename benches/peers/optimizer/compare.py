"""Bare solvers on one program in MPS: cost, bound and gap after so many seconds, one row of a table each.

    compare.py --program FILE.mps [--seconds 30] [--threads 2]

Each solve is a process of its own: OR-Tools and highspy cannot share one.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

SOLVERS = ("HiGHS", "CP-SAT", "SCIP")
# A solver that does not heed its limit is ended after this many times it.
PATIENCE = 2.0
GAP = 0.005


def highs(path, seconds, threads):
    import highspy

    solver = highspy.Highs()
    solver.silent()
    solver.setOptionValue("threads", threads)
    solver.setOptionValue("time_limit", seconds)
    solver.setOptionValue("mip_rel_gap", GAP)
    solver.readModel(path)
    solver.run()
    info = solver.getInfo()
    found = info.primal_solution_status == int(highspy.SolutionStatus.kSolutionStatusFeasible)
    return info.objective_function_value if found else None, info.mip_dual_bound, solver.version()


def cp_sat(path, seconds, threads):
    import ortools
    from ortools.linear_solver.python import model_builder

    model = model_builder.Model()
    model.import_from_mps_file(path)
    solver = model_builder.Solver("sat")
    solver.set_time_limit_in_seconds(seconds)
    solver.set_solver_specific_parameters(f"num_workers:{threads} relative_gap_limit:{GAP}")
    status = solver.solve(model)
    found = status in (model_builder.SolveStatus.OPTIMAL, model_builder.SolveStatus.FEASIBLE)
    # Without a plan it tells no bound either.
    return solver.objective_value if found else None, solver.best_objective_bound if found else None, ortools.__version__


def scip(path, seconds, threads):
    import pyscipopt

    del threads
    model = pyscipopt.Model()
    model.hideOutput()
    model.readProblem(path)
    model.setParam("limits/time", seconds)
    model.setParam("limits/gap", GAP)
    model.optimize()
    found = model.getNSols() > 0
    return model.getObjVal() if found else None, model.getDualbound(), str(model.version())


def one(solver, path, seconds, threads):
    begun = time.perf_counter()
    solve = {"HiGHS": highs, "CP-SAT": cp_sat, "SCIP": scip}[solver]
    cost, bound, version = solve(path, seconds, threads)
    print(json.dumps(dict(cost=cost, bound=bound, version=version, seconds=time.perf_counter() - begun)))


def number(value):
    return "–" if value is None or not abs(value) < 1e15 else f"{value:.3f}"


def row(solver, path, seconds, threads):
    command = [sys.executable, __file__, "--one", solver, str(path), "--seconds", str(seconds), "--threads", str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE * seconds + 10)
    except subprocess.TimeoutExpired:
        return path.stem, f"{solver}: did not end in {PATIENCE:.0f} times its limit", "–", "–", "–", "–"
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        why = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return path.stem, f"{solver} failed: {why}", "–", "–", "–", "–"
    found = json.loads(lines[-1])
    cost, bound = found["cost"], found["bound"]
    gap = "–" if cost is None or bound is None else f"{100 * max(0.0, cost - bound) / cost:.2f}%"
    return path.stem, f"{solver} {found['version']}", number(cost), number(bound), gap, f"{found['seconds']:.1f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=2)
    arguments = parser.parse_args()
    if arguments.one:
        one(*arguments.one, arguments.seconds, arguments.threads)
        return
    for solver in SOLVERS:
        print(f"| {' | '.join(row(solver, arguments.program, arguments.seconds, arguments.threads))} |", flush=True)


if __name__ == "__main__":
    main()

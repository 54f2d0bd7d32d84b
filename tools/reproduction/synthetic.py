"""The synthetic experiment of the PLE paper (section 5.2, figure 7).  python synthetic.py run --help

`run` generates the rows of one correlation after another, has `pleiad compare` compare the models on them, and deletes
the rows, 2.9 GB a correlation. Stopped, it goes on with the same command: finished runs are not done again.
`table` sums the comparisons up, in Markdown; `gains` has one line for each, against one of the models; `search` puts
those of several settings side by side, by their validation rows; `entropy` looks at the gates. Needs Python 3.11 alone.
"""

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLEIAD = HERE.parents[1] / "target/release/pleiad"
CORRELATIONS = ["0.2", "0.4", "0.5", "0.75", "1"]
SHARES = ["0", "0.25", "0.5", "0.75", "1"]

# Student's t, 0.975 quantile, by degrees of freedom from 1.
STUDENT = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622]


def run(arguments):
    arguments.out.mkdir(parents=True, exist_ok=True)
    config, rows = arguments.out / "synthetic.toml", arguments.out / "synthetic.parquet"
    shutil.copyfile(arguments.config, config)
    if arguments.shares is not None:
        logs = [("s", "factors", "--share", share) for share in arguments.shares or SHARES]
    else:
        logs = [("p", "paper", "--correlation", correlation) for correlation in arguments.correlations]
    for letter, process, option, value in logs:
        synth = ["synth", process, option, value, "--rows", str(arguments.rows), "--seed", "1"]
        compare = ["compare", config, "--out", arguments.out / f"{letter}-{value}"]
        settings = [f"compare.seeds={json.dumps(arguments.seeds)}", *arguments.set]
        compare += [word for setting in settings for word in ("--set", setting)]
        for command in ([*synth, "--out", rows], compare):
            print("+ pleiad", *command, file=sys.stderr, flush=True)
            # What went wrong it has said itself.
            if code := subprocess.run([arguments.pleiad, *command]).returncode:
                sys.exit(code if code > 0 else 1)
        rows.unlink()


def interval(values):
    """Mean and half of its 95 % interval (None for one value)."""
    n = len(values)
    if n < 2:
        return statistics.fmean(values), None
    return statistics.fmean(values), STUDENT[min(n - 2, len(STUDENT) - 1)] * statistics.stdev(values) / math.sqrt(n)


def signed(mean, half):
    return f"{mean:+.5f}" if half is None else f"{mean:+.5f} [{mean - half:+.5f}, {mean + half:+.5f}]"


def spread(values):
    return f"{statistics.fmean(values):.5f}" + (f" ± {statistics.stdev(values):.5f}" if len(values) > 1 else "")


class Comparison:
    """MSE by model, task and seed of one correlation."""

    def __init__(self, path):
        report = json.loads(path.read_text())
        # p for a correlation, s for a share.
        self.letter, self.value = path.parent.name[0], path.parent.name[2:]
        self.folder = path.parent.parent.name
        self.baseline, self.tasks = report["baseline"], list(report["tasks"])
        self.mse = {
            model["name"]: {
                run["seed"]: {task: run["evaluation"]["tasks"][task]["mse"] for task in self.tasks}
                for run in model["runs"]
                if run["outcome"] == "finished"
            }
            for model in report["models"]
        }
        self.folders = {
            model["name"]: {run["seed"]: path.parent / run["run"] for run in model["runs"] if run["outcome"] == "finished"}
            for model in report["models"]
        }
        self.seeds = sorted(set.intersection(*(set(runs) for runs in self.mse.values())))
        self.rows = report["rows"]
        self.parameters = {model["name"]: model["parameters"]["total"] for model in report["models"]}

    def name(self, with_folder):
        return f"{self.folder}, " * with_folder + f"{self.letter} = {self.value}"

    def require(self, model):
        if model not in self.mse:
            raise SystemExit(f"no model {model!r} in {self.folder}; there are {', '.join(self.mse)}")

    def of(self, model, task):
        return [self.mse[model][seed][task] for seed in self.seeds]

    def alone(self, model):
        """Its MSE by the seeds that it has, mean of the tasks; for a comparison in which another model failed."""
        runs = self.mse[model].values()
        return f"MSE {spread([statistics.fmean(run.values()) for run in runs])}" if runs else "failed"

    def gains(self, model, task):
        """Equation 11, smaller is better: single-task minus model, seed by seed."""
        return [single - multi for single, multi in zip(self.of(self.baseline, task), self.of(model, task))]

    def average(self, model):
        """The gain of each seed, mean over both tasks."""
        return [statistics.fmean(gains) for gains in zip(*(self.gains(model, task) for task in self.tasks))]


def table(arguments):
    found = comparisons([arguments.out])
    for comparison in found if arguments.against else []:
        comparison.require(arguments.against)
        comparison.baseline = arguments.against
    tasks = found[0].tasks
    print(f"| {found[0].letter} | seeds | model |", " ".join(f"{t} MSE | gain |" for t in tasks), "average gain |")
    print("| --- | --- | --- |", " ".join(["---: | --- |"] * len(tasks)), "--- |")
    for comparison in found:
        for i, model in enumerate(comparison.mse):
            head = [comparison.value, ", ".join(map(str, comparison.seeds))] if i == 0 else ["", ""]
            cells = [*head, model]
            for task in tasks:
                gain = "" if model == comparison.baseline else signed(*interval(comparison.gains(model, task)))
                cells += [spread(comparison.of(model, task)), gain]
            cells.append("" if model == comparison.baseline else signed(*interval(comparison.average(model))))
            print("|", " | ".join(cells), "|")
    print()
    print("| model | parameters | average gain over all | tasks with a gain above 0 | average above 0 at |")
    print("| --- | ---: | ---: | --- | --- |")
    for model in found[0].mse:
        if model == found[0].baseline:
            continue
        averages = [statistics.fmean(c.average(model)) for c in found]
        gains = [statistics.fmean(c.gains(model, task)) for c in found for task in tasks]
        above = f"{sum(a > 0 for a in averages)} of {len(averages)}"
        cells = [model, f"{found[0].parameters[model]:,}", f"{statistics.fmean(averages):+.5f}"]
        print("|", " | ".join([*cells, f"{sum(g > 0 for g in gains)} of {len(gains)}", above]), "|")


def gains(arguments):
    found = comparisons(arguments.out)
    if arguments.over:
        return gains_over(found, comparisons([arguments.over])[0], len(arguments.out) > 1)
    models = [name for name in found[0].mse if name != arguments.against]
    print("| | seeds |", " | ".join([arguments.against, *models]), "|")
    print("| --- | --- | ---: |", " ".join(["---: |"] * len(models)))
    for comparison in found:
        comparison.require(arguments.against)
        comparison.baseline = arguments.against
        cells = [comparison.name(len(arguments.out) > 1), ", ".join(map(str, comparison.seeds))]
        if comparison.seeds:
            means = [statistics.fmean(both) for both in zip(*(comparison.of(arguments.against, t) for t in comparison.tasks))]
            cells += [spread(means), *(signed(*interval(comparison.average(model))) for model in models)]
        else:  # no seed with which every model was trained to its end
            cells += [comparison.alone(model) for model in [arguments.against, *models]]
        print("|", " | ".join(cells), "|")


def gains_over(found, other, with_folder):
    """Over the same model in another comparison, on that one's tasks."""
    models = [name for name in found[0].mse if name in other.mse]
    print("| | seeds |", " | ".join(models), "|")
    print("| --- | --- |", " ".join(["---: |"] * len(models)))
    for comparison in found:
        seeds = [seed for seed in comparison.seeds if seed in other.seeds]
        cells = [comparison.name(with_folder), ", ".join(map(str, seeds))]
        for model in models:
            here, there = comparison.mse[model], other.mse[model]
            differences = [statistics.fmean(there[seed][t] - here[seed][t] for t in other.tasks) for seed in seeds]
            cells.append(signed(*interval(differences)))
        print("|", " | ".join(cells), "|")


def entropy(arguments):
    """Of each gate, the mean entropy over rows as a share of the largest possible, seed after seed."""
    found = comparisons(arguments.out)
    print("| | model | gate | entropy by seed | test MSE of its task |")
    print("| --- | --- | --- | --- | --- |")
    for comparison in found:
        for name, folders in comparison.folders.items():
            gates = {}
            for seed, folder in sorted(folders.items()):
                command = [arguments.pleiad, "inspect", folder / "model", "--data", arguments.rows, "--format", "json", "--quiet"]
                done = subprocess.run(command, stdout=subprocess.PIPE)
                if done.returncode:
                    sys.exit(done.returncode)
                for gate in json.loads(done.stdout)["gates"]:
                    gates.setdefault(gate["gate"], []).append((seed, gate["entropy"]))
            for gate, entropies in gates.items():
                task = next((task for task in comparison.tasks if task in gate.split(".")), None)
                errors = [f"{comparison.mse[name][seed][task]:.5f}" if task else "" for seed, _ in entropies]
                cells = [comparison.name(True), name, f"`{gate}`"]
                cells += [", ".join("" if e is None else f"{e:.2f}" for _, e in entropies), ", ".join(errors)]
                print("|", " | ".join(cells), "|")


def comparisons(folders):
    paths = [path for folder in folders for path in sorted(folder.glob("[ps]-*/compare.json"), key=by_value)]
    if not paths:
        raise SystemExit(f"no p-*/compare.json or s-*/compare.json in {', '.join(map(str, folders))}")
    return [Comparison(path) for path in paths]


def by_value(path):
    return float(path.parent.name[2:])


def search(arguments):
    found = {folder.name: sorted(folder.glob("[ps]-*/compare.json")) for folder in arguments.out}
    if missing := [name for name, paths in found.items() if len(paths) != 1]:
        raise SystemExit(f"not one comparison in {', '.join(missing)}")
    reports = {name: (paths[0].parent, json.loads(paths[0].read_text())) for name, paths in found.items()}
    models = {model["name"]: model["parameters"]["total"] for _, report in reports.values() for model in report["models"]}
    print("| model | parameters |", " | ".join(reports), "|")
    print("| --- | ---: |", " ".join(["---: |"] * len(reports)))
    for name, parameters in models.items():
        cells = [name, f"{parameters:,}"]
        for folder, report in reports.values():
            runs = [run for model in report["models"] if model["name"] == name for run in model["runs"]]
            tasks = [json.loads((folder / run["run"] / "metrics.json").read_text())["valid"]["tasks"] for run in runs]
            cells.append(spread([statistics.fmean(task["mse"] for task in one.values()) for one in tasks]))
        print("|", " | ".join(cells), "|")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("run", help="generate, compare, delete; one correlation after another")
    command.add_argument("--pleiad", type=Path, default=PLEIAD, help="a release build")
    command.add_argument("--config", type=Path, default=HERE / "synthetic.toml", help="which models; another: gates.toml")
    command.add_argument("--out", type=Path, required=True, help="folder; a comparison goes to p-CORRELATION in it")
    command.add_argument("--correlations", nargs="+", default=CORRELATIONS, metavar="P", help="in this order")
    command.add_argument("--shares", nargs="*", metavar="S", help="instead: rows of `pleiad synth factors` (factors.toml)")
    command.add_argument("--rows", type=int, default=1_400_000)
    command.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of training; those of rows are always 1")
    command.add_argument("--set", action="append", default=[], metavar="K=V", help="a key of the configuration to change")
    command.set_defaults(call=run)
    command = commands.add_parser("table", help="sum comparisons up")
    command.add_argument("out", type=Path, help="the folder of `run`")
    command.add_argument("--against", metavar="MODEL", help="gains are over this one [default: the baseline]")
    command.set_defaults(call=table)
    command = commands.add_parser("gains", help="gains over one model, mean of the tasks, a line for each comparison")
    command.add_argument("out", type=Path, nargs="+", help="folders of `run`")
    other = command.add_mutually_exclusive_group(required=True)
    other.add_argument("--against", metavar="MODEL", help="above 0 is better than this one")
    other.add_argument("--over", type=Path, metavar="DIR", help="above 0 is better than the same model in this folder of `run`")
    command.set_defaults(call=gains)
    command = commands.add_parser("entropy", help="how evenly gates weigh experts, by gate and seed, beside the MSE")
    command.add_argument("out", type=Path, nargs="+", help="folders of `run`")
    command.add_argument("--rows", type=Path, required=True, help="rows to look at the gates on, a file of `pleiad synth`")
    command.add_argument("--pleiad", type=Path, default=PLEIAD, help="a release build")
    command.set_defaults(call=entropy)
    command = commands.add_parser("search", help="mean validation MSE of both tasks, a column for each folder")
    command.add_argument("out", type=Path, nargs="+", help="folders of `run`, each of one correlation")
    command.set_defaults(call=search)
    arguments = parser.parse_args()
    arguments.call(arguments)


if __name__ == "__main__":
    main()

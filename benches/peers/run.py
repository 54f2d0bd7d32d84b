"""Training steps of Pleiad and of PyTorch, interleaved in one run on one machine.  python run.py --pleiad PATH --help

For each workload Pleiad writes weights, batches and gradients; PyTorch must compute the same gradients from them, within
1e-4 of each tensor's largest element, before anything is timed. Then both take turns: in every round each contender
takes some steps while the others sleep. Printed are the median over rounds and its ratio to Pleiad's.

Needs Python 3.11 alone: where torch cannot be imported it makes a virtual environment and installs it there.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from ctypes.util import find_library
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NEEDED = {name: name for name in ("torch", "numpy", "safetensors")}
TOLERANCE = 1e-4

# Steps of a round, about half a second of each.
STEPS = {"w1": 6, "w2": 60, "w3": 15, "w7": 15, "w7-flat": 15}

# Workloads whose rows are candidates of requests, with the candidates of one: a forward pass over these is timed, too.
CANDIDATES = {"w7": 50, "w7-flat": 50}

# Ours, with the precision of their products.
PLEIAD = {"Pleiad": "f32", "Pleiad bf16": "bf16"}


def contenders(workload, bf16):
    """Names and arguments of the PyTorch forms of a workload."""
    forms = {
        "eager, plain Adam": ["--variant", "eager", "--adam", "plain"],
        "eager": ["--variant", "eager"],
        "stacked": ["--variant", "stacked"],
    }
    if workload == "w3":
        forms = {
            "eager, dense Adam": ["--variant", "eager"],
            "eager, sparse Adam": ["--variant", "eager", "--sparse"],
            "stacked, sparse Adam": ["--variant", "stacked", "--sparse"],
        }
    if bf16:
        last = list(forms.items())[-2:]
        forms |= {f"{name}, bf16": [*arguments, "--bf16"] for name, arguments in last}
    return forms


def tuned_allocator():
    """A word for it and the environment of another allocator, or of glibc's that gives nothing back."""
    for name in ("tcmalloc_minimal", "tcmalloc", "jemalloc"):
        if library := find_library(name):
            return name, {"LD_PRELOAD": library}
    size = str(1 << 30)
    glibc = {"MALLOC_MMAP_THRESHOLD_": size, "MALLOC_TRIM_THRESHOLD_": size, "MALLOC_TOP_PAD_": str(1 << 26)}
    return "glibc keeping memory", glibc


def python_with(modules, folder):
    """This interpreter, or one of a virtual environment that is made where a module is missing here.

    `modules` has what is imported, and the package that it comes with.
    """
    if all(importlib.util.find_spec(name) for name in modules):
        return sys.executable
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    has = f"import importlib.util, sys; sys.exit(not all(importlib.util.find_spec(m) for m in {list(modules)}))"
    if subprocess.run([python, "-c", has]).returncode:
        packages = list(modules.values())
        print(f"installing {', '.join(packages)} in {folder}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return str(python)


class Worker:
    """A PyTorch contender in a process of its own."""

    def __init__(self, python, case, arguments, threads, environment):
        command = [python, HERE / "step_worker.py", case, "--threads", str(threads), *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=os.environ | environment, **pipes)

    def steps(self, n):
        self.process.stdin.write(f"{n}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.process.args} ended with {self.process.wait()}")
        return json.loads(answer)["ms"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def check(python, case, forms, threads):
    """Gradients of every form against Pleiad's; ends the run where one of them differs. bf16 is shown, not judged."""
    seen = set()
    for name, arguments in forms.items():
        model = tuple(a for a in arguments if a not in ("--adam", "plain"))
        if model in seen:
            continue
        seen.add(model)
        command = [python, HERE / "step_worker.py", case, "--threads", str(threads), "--check", *arguments]
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        print(f"  gradients of {name}: within {result['error']:.1e} ({result['tensor']})", file=sys.stderr)
        if "--bf16" not in arguments and not result["error"] <= TOLERANCE:
            raise SystemExit(f"{case}: {name} does not compute what Pleiad does; nothing is timed")


def measure(arguments, python, workload, folder):
    """Steps of a workload, and forward passes over a request where it has requests."""
    case = Path(folder) / workload
    subprocess.run([arguments.pleiad, "bench", "--export-case", workload, case], check=True)
    forms = contenders(workload, arguments.bf16)
    check(python, case, forms, arguments.threads)

    rows = timed(arguments, python, workload, case, forms, None)
    if workload in CANDIDATES:
        rows += timed(arguments, python, workload, case, forms, CANDIDATES[workload])
    return rows


def timed(arguments, python, workload, case, forms, candidates):
    """Steps, or forward passes over so many candidates."""
    tuned, environment = tuned_allocator()
    # A forward pass has no optimizer.
    forward = ["--forward", str(candidates)] if candidates else []
    forms = {name: options + forward for name, options in forms.items() if not (candidates and "plain" in options)}
    workers = {}
    for name, options in forms.items():
        if arguments.allocator != "tuned":
            workers[f"PyTorch {name}"] = Worker(python, case, options, arguments.threads, {})
        if arguments.allocator != "default":
            workers[f"PyTorch {name}, {tuned}"] = Worker(python, case, options, arguments.threads, environment)
    steps = arguments.steps or STEPS[workload]
    repeats = 50 * steps if candidates else steps

    def pleiad(precision):
        command = [arguments.pleiad, "bench", workload, "--steps", str(steps), "--threads", str(arguments.threads)]
        command += ["--precision", precision]
        quiet = {"check": True, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        report = json.loads(subprocess.run([*command, "--format", "json"], **quiet).stdout)
        return report["steps"][0]["ms_per_request" if candidates else "ms_per_step"]["median"]

    times = {name: [] for name in [*PLEIAD, *workers]}
    for worker in workers.values():
        worker.steps(max(repeats // 2, 5))
    for round_ in range(arguments.rounds):
        for name, precision in PLEIAD.items():
            times[name].append(pleiad(precision))
        # Another one follows Pleiad in every round.
        order = list(workers)
        turn = round_ % len(order)
        for name in order[turn:] + order[:turn]:
            workers[name].steps(2)
            times[name].append(statistics.median(workers[name].steps(repeats)))
        print(f"  {workload}: round {round_ + 1} of {arguments.rounds}", file=sys.stderr)
    for worker in workers.values():
        worker.close()
    own = {precision: statistics.median(times[name]) for name, precision in PLEIAD.items()}
    return [
        {
            "workload": f"{workload}, {candidates} candidates" if candidates else workload,
            "contender": name,
            "ms": statistics.median(ms),
            "lowest": min(ms),
            "highest": max(ms),
            "ratio": statistics.median(ms) / own["f32"],
            "ratio_bf16": statistics.median(ms) / own["bf16"],
        }
        for name, ms in times.items()
    ]


def table(rows):
    cells = [["workload", "contender", "ms", "from", "to", "of Pleiad's", "of its bf16's"]]
    for r in rows:
        ms = [f"{r[key]:.2f}" for key in ("ms", "lowest", "highest")]
        ratios = [f"{r[key]:.2f}x" for key in ["ratio", "ratio_bf16"]]
        cells.append([r["workload"], r["contender"], *ms, *ratios])
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    for row in cells:
        yield "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", default=["w1", "w2", "w3"], help="of w1, w2, w3, w7, w7-flat")
    parser.add_argument("--pleiad", type=Path, default=ROOT / "target/release/pleiad", help="a release build's binary")
    parser.add_argument("--threads", type=int, default=2, help="on both sides")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, help="of a round [default: by workload]")
    parser.add_argument("--bf16", action="store_true", help="PyTorch under bf16 autocast, too")
    parser.add_argument("--allocator", choices=["default", "tuned", "both"], default="default", help="PyTorch's")
    parser.add_argument("--venv", type=Path, default=ROOT / "target/peers", help="where torch goes if it is missing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.workloads) - STEPS.keys():
        parser.error(f"no such workload: {', '.join(sorted(unknown))}; known are {', '.join(STEPS)}")
    if not arguments.pleiad.is_file():
        parser.error(f"{arguments.pleiad} is not there: cargo build --release, or name it with --pleiad")

    python = python_with(NEEDED, arguments.venv)
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for workload in arguments.workloads for row in measure(arguments, python, workload, folder)]
    print(json.dumps(rows, indent=2) if arguments.json else "\n".join(table(rows)))


if __name__ == "__main__":
    main()

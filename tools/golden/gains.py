"""Tests of gains by SciPy and statsmodels, for crates/train/src/statistics.rs.

Run from the repository root with SciPy and statsmodels installed; writes crates/train/tests/golden/gains.json:

    python tools/golden/gains.py

`tails` are P(|T| > |t|) of Student's t, `pairs` paired t tests with their 95 % intervals, `holm` corrections of p values.
"""

import json
import sys
from pathlib import Path

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.multitest import multipletests

OUT = Path("crates/train/tests/golden/gains.json")


def pair(model, single):
    tested = stats.ttest_rel(model, single)
    low, high = tested.confidence_interval(0.95)
    return {"model": model, "single": single, "p": float(tested.pvalue), "low": float(low), "high": float(high)}


def main():
    rng = np.random.default_rng(17)
    tails = [
        {"t": t, "df": df, "p": float(2 * stats.t.sf(t, df))}
        for df in [1, 2, 3, 4, 5, 8, 9, 29, 30, 31, 100, 999]
        for t in [0.0, 0.01, 0.7, 1.96, 4.303, 12.7, 60.0]
    ]
    seeds = [2, 3, 5, 8, 40]
    pairs = [
        pair((0.75 + gain + 0.003 * rng.normal(size=n)).round(6).tolist(), (0.75 + 0.003 * rng.normal(size=n)).round(6).tolist())
        for n in seeds
        for gain in [0.0, 0.004, -0.01]
    ]
    p_values = [
        [0.02],
        [0.01, 0.04, 0.03, 0.005],
        [0.5, 0.9, 0.001],
        [0.2, 0.2, 0.2],
        [0.0, 1.0, 0.05],
        (rng.random(20) ** 3).tolist(),
    ]
    holm = [{"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()} for p in p_values]
    made = f"tools/golden/gains.py, SciPy {scipy.__version__}, statsmodels {statsmodels.__version__}"
    lines = lambda cases: ",\n".join(json.dumps(case) for case in cases)
    parts = [f'"{name}": [\n{lines(cases)}\n]' for name, cases in [("tails", tails), ("pairs", pairs), ("holm", holm)]]
    OUT.write_text(f'{{"made_by": "{made}",\n' + ",\n".join(parts) + "}\n")
    print(f"{OUT}: {len(tails)}, {len(pairs)} and {len(holm)} cases", file=sys.stderr)


if __name__ == "__main__":
    main()

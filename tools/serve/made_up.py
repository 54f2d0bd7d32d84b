"""What the scripts of this folder serve: models of a log that is made up, in the folder at hand, and routes over one of them."""

import subprocess

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}

# A route over the model `video`, with two arms and a shadow.
ROUTES = """
[[route]]
name = "feed"
by = "user_id"
arm = [{ label = "stable", model = "video", share = 0.75 }, { label = "canary", model = "video", share = 0.25, score = { share = 1 } }]
shadow = [{ model = "video", share = 0.5 }]
"""


def log(pleiad, rows):
    """Writes `log.parquet` and `config.toml`."""
    subprocess.run([pleiad, "synth", "video", "--rows", str(rows), "--out", "log.parquet"], **QUIET)
    subprocess.run([pleiad, "init", "log.parquet", "--out", "config.toml"], **QUIET)


def train(pleiad, out, *sets):
    """Trains a model for an epoch, `out/model`."""
    always = "train.epochs=1", "rank.score.click=1", "train.explain=false"
    options = [option for one in (*always, *sets) for option in ("--set", one)]
    subprocess.run([pleiad, "train", "config.toml", "--out", out, *options], **QUIET)

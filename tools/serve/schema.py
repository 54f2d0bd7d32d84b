"""Asks a server whatever its OpenAPI document allows, and some that it does not.  python schema.py path/to/pleiad [EXAMPLES]

A model is trained for an epoch on a log that is made up, and served with tokens; schemathesis makes the requests, the same ones each time.
No answer may be a mistake of the server, and each has to be one that the document describes.
"""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import made_up

TOKEN = "0123456789abcdef0123456789abcdef"
# Requests that are unlike the document are refused by what they lack, and some are none: fields that no model reads are left alone.
LEFT = "positive_data_acceptance,negative_data_rejection"
# A deadline of a millisecond is over before anything is ranked, and 503 is the right answer: it is not left to chance. Nor is the model.
CONFIG = """
[parameters]
"header.pleiad-deadline-ms" = "60000"
"path.name" = "video"

[[operations]]
include-operation-id = ["rankByLabel", "reroute"]
[operations.parameters]
"path.name" = "feed"
"path.label" = "stable"
"""


def main():
    pleiad, examples = str(Path(sys.argv[1]).resolve()), sys.argv[2] if len(sys.argv) > 2 else "40"
    schemathesis = str(Path(sys.executable).with_name("schemathesis"))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        made_up.log(pleiad, 5000)
        made_up.train(pleiad, "run")
        Path("tokens").write_text(f"check={TOKEN}\n", encoding="utf-8")
        Path("schemathesis.toml").write_text(CONFIG, encoding="utf-8")
        Path("routes.toml").write_text(made_up.ROUTES, encoding="utf-8")
        command = [pleiad, "serve", "video=run/model", "--http", "127.0.0.1:0", "--token-file", "tokens", "--routes", "routes.toml", "--quiet"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            address = server.stdout.readline().split(" ")[-1].strip()
            ask = urllib.request.Request(f"{address}/v1/openapi.json", headers={"authorization": f"Bearer {TOKEN}"})
            Path("openapi.json").write_bytes(urllib.request.urlopen(ask).read())
            while not ready(address):
                time.sleep(0.05)
            options = ["--generation-deterministic", "--max-examples", examples, "--phases", "examples,coverage,fuzzing"]
            checks = ["--exclude-operation-id", "v2Unload", "--checks", "all", "--exclude-checks", LEFT, "--continue-on-failure", "--no-color"]
            header = ["--header", f"authorization: Bearer {TOKEN}"]
            code = subprocess.call([schemathesis, "run", "openapi.json", "--url", address, *options, *checks, *header])
        finally:
            server.terminate()
            ended = server.wait()
    assert ended == 0, ended
    sys.exit(code)


def ready(address):
    try:
        return urllib.request.urlopen(f"{address}/v1/health/ready").status == 200
    except urllib.error.HTTPError:
        return False


if __name__ == "__main__":
    main()

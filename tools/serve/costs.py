"""What answers cost beside the ranking.  python costs.py PLEIAD [MODEL] [SECONDS]

MODEL is a model of a log of `pleiad synth video`; without one a small one is trained. One client asks for 500 candidates again and again,
with pauses of 10 ms on average, and its latencies are printed: of a server without any options, with a shadow of every request, and with a
log of every request; of Triton's client over HTTP and gRPC (where `tritonclient` is there), with 20 ms between two; and of the first answer
after a new version, without and with recorded requests.
"""

import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import made_up

CANDIDATES = 500
WARM = 20
RELOADS = 40
SHADOW = """[[route]]
name = "feed"
by = "user_id"
arm = [{ label = "stable", model = "video", share = 1.0 }]
shadow = [{ model = "other", share = 1.0 }]
"""


def main():
    pleiad = str(Path(sys.argv[1]).resolve())
    model = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 8.0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if model is None:
            made_up.log(pleiad, 20000)
            made_up.train(pleiad, "run")
            model = Path("run/model").resolve()
        Path("shadow.toml").write_text(SHADOW)
        server = [pleiad, "serve", f"video={model}", "--http", "127.0.0.1:0", "--quiet"]
        for name, path, options in (
            ("nothing else", "video", []),
            ("a shadow of every request", "feed", [f"other={model}", "--routes", "shadow.toml"]),
            ("a log of every request", "video", ["--request-log", "logged"]),
        ):
            with started([*server, *options]) as (post, _):
                show(name, asked(post, f"/v1/models/{path}/rank", seconds))
        triton(server, seconds)
        for recorded in 0, 16:
            first(server, recorded)


def request(rng, candidates=CANDIDATES):
    """Fields of the request, and columns of its candidates."""
    user = {"user_id": f"u{rng.randrange(5000)}", "device": "ios", "network": "wifi", "hour": rng.randrange(24), "user_age_days": rng.randrange(900)}
    columns = {
        "video_id": [f"v{rng.randrange(50000)}" for _ in range(candidates)],
        "author_id": [f"w{rng.randrange(90)}" for _ in range(candidates)],
        "category": ["music"] * candidates,
        "tags": ["trend_1"] * candidates,
        "video_seconds": [rng.randrange(5, 300) for _ in range(candidates)],
    }
    return user, columns


def bodies(count=64):
    rng = random.Random(1)
    for _ in range(count):
        user, columns = request(rng)
        rows = [dict(zip(columns, row)) for row in zip(*columns.values())]
        yield json.dumps({"request": user, "rows": rows})


@contextlib.contextmanager
def started(command):
    """A server that is ready: a function that posts to it, and its addresses."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        addresses = [server.stdout.readline().split("//")[1].strip() for option in command if option in ("--http", "--grpc")]
        connection = http.client.HTTPConnection(addresses[0])

        def ask(method, path, body=""):
            begin = time.perf_counter()
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, text, 1e3 * (time.perf_counter() - begin)

        while ask("GET", "/v1/health/ready")[0] != 200:
            time.sleep(0.05)
        yield lambda path, body="": ask("POST", path, body), addresses
    finally:
        server.terminate()
        server.wait()


def asked(post, path, seconds):
    """Latencies in milliseconds of one client that makes pauses."""
    rng, of, found = random.Random(2), list(bodies()), []
    end = time.time() + seconds
    while time.time() < end:
        status, answer, took = post(path, rng.choice(of))
        assert status == 200, answer
        found.append(took)
        time.sleep(rng.expovariate(100))
    return found[WARM:]


def show(name, latencies):
    latencies.sort()
    p50, p99 = (latencies[int(share * len(latencies))] for share in (0.5, 0.99))
    print(f"{name:36} {len(latencies):6} requests   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms", flush=True)


def triton(server, seconds):
    try:
        import numpy
        import tritonclient.grpc
        import tritonclient.http
    except ImportError:
        print("there is no tritonclient")
        return
    user, columns = request(random.Random(3))
    columns.update({name: [value] * CANDIDATES for name, value in user.items()})

    def latencies(protocol, address):
        inputs = []
        for name, values in columns.items():
            is_text = isinstance(values[0], str)
            tensor = protocol.InferInput(name, [CANDIDATES], "BYTES" if is_text else "FP64")
            tensor.set_data_from_numpy(numpy.array(values, dtype=object if is_text else "float64"))
            inputs.append(tensor)
        client, found, end = protocol.InferenceServerClient(address), [], time.time() + seconds
        while time.time() < end:
            begin = time.perf_counter()
            client.infer("video", inputs).as_numpy("click")
            found.append(1e3 * (time.perf_counter() - begin))
            time.sleep(0.02)
        return found[WARM:]

    rows = [dict(zip(columns, row)) for row in zip(*columns.values())]
    with started([*server, "--grpc", "127.0.0.1:0"]) as (post, addresses):
        show("Triton's client over HTTP", latencies(tritonclient.http, addresses[0]))
        show("Triton's client over gRPC", latencies(tritonclient.grpc, addresses[1]))
        found, body, end = [], json.dumps({"rows": rows}), time.time() + seconds
        while time.time() < end:
            found.append(post("/v1/rank", body)[2])
            time.sleep(0.02)
        show("the same rows by /v1/rank", found[WARM:])


def first(server, recorded):
    """What the first answer takes after a version is loaded anew, and what the load takes."""
    of, answers, loads = list(bodies()), [], []
    with started([*server, "--warm", str(recorded)]) as (post, _):
        post("/v1/rank", of[0])
        for number in range(WARM + RELOADS):
            post("/v2/repository/models/video/unload")
            status, text, took = post("/v2/repository/models/video/load")
            assert status == 200, text
            loads.append(took)
            answers.append(post("/v1/rank", of[number % len(of)])[2])
    show(f"the first answer, {recorded} recorded", answers[WARM:])
    show("    the load before it", loads[WARM:])


if __name__ == "__main__":
    main()

"""Asks a server for a while, well and badly, and looks at its memory.  python soak.py PLEIAD [SECONDS]

A model is trained on a log that is made up, and served with a shadow, a log of requests and an audit; requests are predicted together. Four
clients send rankings of many sizes in rows and columns, explanations, values that no training has seen, bodies that are no JSON, and requests
that they leave before the answer. Printed are the requests by status and the resident memory on the way. The exit code is 1 if an answer was a mistake of the
server, or if memory grew after the first third by more than a quarter and 16 MiB.
"""

import collections
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import made_up
from reloads import resident


def main():
    pleiad, seconds = str(Path(sys.argv[1]).resolve()), float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        made_up.log(pleiad, 5000)
        made_up.train(pleiad, "run")
        Path("routes.toml").write_text(made_up.ROUTES, encoding="utf-8")
        # Files of the log are small, so that they are completed on the way: an open one takes memory.
        options = ["--routes", "routes.toml", "--request-log", "logged", "--log-share", "0.2", "--log-rows", "20000"]
        options += ["--audit", "audit.jsonl", "--patience", "2", "--batch-wait", "0.001"]
        command = [pleiad, "serve", "video=run/model", "--http", "127.0.0.1:0", "--quiet", *options]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            statuses, memory = soak(server, server.stdout.readline().split("//")[1].strip(), seconds)
        finally:
            server.terminate()
            code = server.wait()
    counts = ", ".join(f"{status}: {n}" for status, n in sorted(statuses.items(), key=str))
    print(f"{sum(statuses.values())} requests in {seconds:.0f} s:", counts)
    print("MiB resident:", *memory)
    third = max(memory[: len(memory) // 3 + 1])
    bad = sorted(status for status in statuses if isinstance(status, int) and status >= 500)
    if bad or code or statuses["no answer"] or max(memory[len(memory) // 3 :]) > 1.25 * third + 16:
        sys.exit(f"the soak failed: statuses {bad}, exit code {code}, {third} MiB after a third")


def soak(server, address, seconds):
    connection = http.client.HTTPConnection(address)
    while True:
        connection.request("GET", "/v1/health/ready")
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            break
        time.sleep(0.05)
    end, statuses, memory = time.monotonic() + seconds, collections.Counter(), []
    clients = [threading.Thread(target=client, args=(address, end, random.Random(seed), statuses)) for seed in range(4)]
    for one in clients:
        one.start()
    # A first look once everything was used.
    while time.monotonic() < end:
        time.sleep(seconds / 15)
        memory.append(resident(server.pid))
    for one in clients:
        one.join()
    return statuses, memory


def client(address, end, rng, statuses):
    connection = http.client.HTTPConnection(address, timeout=30)
    while time.monotonic() < end:
        path, body = request(rng)
        if rng.random() < 0.05:
            leave(address, path, body)
            continue
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
        except (OSError, http.client.HTTPException):
            # What is refused before it is read may cost the connection; the next one is new.
            statuses["cut" if len(body) > 8 << 20 else "no answer"] += 1
            connection.close()


def leave(address, path, body):
    """Sends a request, or a part of it, and goes."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as left:
        left.sendall(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body[: len(body) // 2]}".encode())


def request(rng):
    """An address and a body, mostly right."""
    count = rng.choice([0, 1, 3, 50, 200, 500, 1000])
    user = {"user_id": f"u{rng.randrange(10**6)}", "device": rng.choice(["ios", "web", "toaster"]), "network": "wifi"}
    user |= {"hour": rng.randrange(24), "user_age_days": 300}
    rows = [
        {
            "video_id": f"v{rng.randrange(10**6)}",
            "author_id": f"w{rng.randrange(90)}",
            "category": "music",
            "tags": ["trend_1"] * rng.randrange(4),
            "video_seconds": rng.choice([31, 240.5]),
        }
        for _ in range(count)
    ]
    if rows and rng.random() < 0.05:
        rows[-1]["video_seconds"] = rng.choice([None, "long", 1e308])
    body = {"request": user, "rows": rows}
    if rng.random() < 0.3:
        names = "video_id", "author_id", "category", "tags", "video_seconds"
        body = {"request": user, "columns": {name: [row[name] for row in rows] for name in names}}
    if rng.random() < 0.1:
        body["explain"] = True
    if rng.random() < 0.1:
        body["score"] = {"click": rng.random(), rng.choice(["share", "nothing"]): 1}
    text = json.dumps(body)
    if rng.random() < 0.05:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(["", "[", "\\ud800", '"']) + text[at + 1 :]
    return rng.choice(["/v1/rank", "/v1/models/feed/rank", "/v1/models/video/rank"]), text


if __name__ == "__main__":
    main()

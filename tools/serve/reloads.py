"""Reloads a served model under load, again and again.  python reloads.py PLEIAD [RELOADS]

Two models are trained on a log that is made up. A pointer leads to one or the other in turn; two clients ask without a pause, one the
model that is reloaded and one another model. Printed are requests, failed ones, answers that are none of the two versions' own, the
resident memory on the way, and the latencies of the other model before and meanwhile.
"""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import made_up


def main():
    pleiad, reloads = str(Path(sys.argv[1]).resolve()), int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        made_up.log(pleiad, 20000)
        for seed in 1, 2:
            made_up.train(pleiad, f"run{seed}", f"train.seed={seed}")
        point(1)
        command = [pleiad, "serve", "video=current", "other=run1/model", "--http", "127.0.0.1:0", "--watch", "0", "--quiet"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            attack(server, server.stdout.readline().split("//")[1].strip(), reloads)
        finally:
            server.terminate()
            print("exit code", server.wait())


def point(seed):
    Path("new").write_text(f"run{seed}/model\n")
    os.replace("new", "current")


def attack(server, address, reloads):
    user = {"user_id": "u7", "device": "ios", "network": "wifi", "hour": 20, "user_age_days": 300}
    rows = [{"video_id": f"v{n}", "author_id": f"w{n % 90}", "category": "music", "tags": ["trend_1"], "video_seconds": 3 * n + 4} for n in range(200)]
    body = json.dumps({"request": user, "rows": rows})

    def post(connection, path, body=""):
        connection.request("POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    connection = http.client.HTTPConnection(address)
    while post(connection, "/v1/models/other/rank", body)[0] != 200 or post(connection, "/v1/rank", body)[0] != 200:
        time.sleep(0.05)
    # What each version answers.
    known = {}
    for seed in 2, 1:
        point(seed)
        post(connection, "/v1/models/video/reload")
        answer = post(connection, "/v1/rank", body)[1]
        known[json.loads(answer)["version"]] = answer

    end, counts, failed, foreign, latencies = threading.Event(), [0, 0], [], [], []

    def client(path, number):
        connection = http.client.HTTPConnection(address)
        while not end.is_set():
            begin = time.perf_counter()
            status, answer = post(connection, path, body)
            counts[number] += 1
            if status != 200:
                failed.append(answer)
            elif number:
                latencies.append((begin, time.perf_counter() - begin))
            elif answer not in known.values():
                foreign.append(answer)

    clients = [threading.Thread(target=client, args=arguments) for arguments in (("/v1/rank", 0), ("/v1/models/other/rank", 1))]
    for thread in clients:
        thread.start()
    time.sleep(3)
    begin, memory = time.perf_counter(), [resident(server.pid)]
    for number in range(reloads):
        point(2 - number % 2)
        status, answer = post(connection, "/v1/models/video/reload")
        assert status == 200 and json.loads(answer)["changed"], answer
        if number % (reloads // 10 or 1) == 0:
            memory.append(resident(server.pid))
    seconds = time.perf_counter() - begin
    end.set()
    for thread in clients:
        thread.join()
    before, meanwhile = [[time for start, time in latencies if (start < begin) == is_before] for is_before in (True, False)]
    print(f"{reloads} reloads in {seconds:.1f} s; {sum(counts)} requests, {len(failed)} failed, {len(foreign)} of no version")
    print("MiB resident:", *memory)
    for name, times in ("before", before), ("meanwhile", meanwhile):
        times = sorted(1000 * time for time in times)
        print(f"the other model {name}: p50 {times[len(times) // 2]:.2f} ms, p99 {times[int(len(times) * 0.99)]:.2f} ms")


def resident(pid):
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    main()

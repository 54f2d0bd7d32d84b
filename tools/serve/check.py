"""Asks a server by Triton's own client, over HTTP and over gRPC.

    pip install -r requirements.txt
    python check.py path/to/pleiad

A model is trained for an epoch on a log that is made up, and served with tokens. Each call of the Open Inference Protocol, version 2, and of
the extensions that the server has is made by the client as it is; predictions of both have to be those of `/v1/rank`, to the bit.
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import made_up
import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

TOKEN = "0123456789abcdef0123456789abcdef"
USER = {"user_id": "u7", "device": "ios", "network": "wifi", "hour": 20, "user_age_days": 300}
VIDEOS = [
    {"video_id": f"v{n}", "author_id": f"w{n % 90}", "category": "music", "tags": "trend_1" if n % 3 else "", "video_seconds": 3.5 * n + 4}
    for n in range(200)
]


def token():
    """Headers of a call; the client over HTTP writes into what it is given."""
    return {"authorization": f"Bearer {TOKEN}"}


def main():
    pleiad = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        made_up.log(pleiad, 20000)
        made_up.train(pleiad, "run", "rank.score.share=0.5")
        Path("tokens").write_text(f"check={TOKEN}\n", encoding="utf-8")
        command = [pleiad, "serve", "video=run/model", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--token-file", "tokens", "--quiet"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            http, grpc = (server.stdout.readline().split("//")[1].strip() for _ in range(2))
            check(http, grpc)
        finally:
            server.terminate()
            code = server.wait()
        assert code == 0, code


def ranked(address):
    """What `/v1/rank` says of the videos, by task, in their order."""
    body = json.dumps({"rows": [USER | video for video in VIDEOS]}).encode()
    request = urllib.request.Request(f"http://{address}/v1/rank", body, token())
    with urllib.request.urlopen(request) as answer:
        videos = sorted(json.load(answer)["ranked"], key=lambda video: video["index"])
    return {task: [video["predictions"][task] for video in videos] for task in videos[0]["predictions"]}, [video["score"] for video in videos]


def inputs(client):
    columns = {name: [value] * len(VIDEOS) for name, value in USER.items()} | {name: [video[name] for video in VIDEOS] for name in VIDEOS[0]}
    for name, values in columns.items():
        if isinstance(values[0], str):
            array = np.array([value.encode() for value in values], dtype=object)
            given = client.InferInput(name, [len(values)], "BYTES")
        else:
            array = np.array(values, dtype=np.int64 if isinstance(values[0], int) else np.float64)
            given = client.InferInput(name, [len(values)], "INT64" if isinstance(values[0], int) else "FP64")
        given.set_data_from_numpy(array)
        yield given


def refused(call, words):
    try:
        call()
    except InferenceServerException as error:
        assert words in str(error), error
        return
    raise AssertionError(f"not refused: {words}")


def check(http_address, grpc_address):
    http = tritonclient.http.InferenceServerClient(http_address)
    grpc = tritonclient.grpc.InferenceServerClient(grpc_address)
    for client in http, grpc:
        assert client.is_server_live()
        while not client.is_server_ready():
            pass
        refused(lambda client=client: client.get_server_metadata(), "--token-file")
    predictions, scores = ranked(http_address)
    for module, client in (tritonclient.http, http), (tritonclient.grpc, grpc):
        asked = {"headers": token()} if client is http else {"headers": token(), "as_json": True}
        server = client.get_server_metadata(**asked)
        assert server["name"] == "pleiad" and "statistics" in server["extensions"], server
        index = client.get_model_repository_index(**asked)
        index = index["models"] if client is grpc else index
        assert [(model["name"], model["state"]) for model in index] == [("video", "READY")], index
        version = index[0]["version"]
        for wanted in "", version:
            assert client.is_model_ready("video", wanted, headers=token())
            metadata = client.get_model_metadata("video", wanted, **asked)
            assert metadata["versions"] == [version] and {tensor["name"] for tensor in metadata["inputs"]} == {*USER, *VIDEOS[0]}, metadata
            answer = client.infer("video", list(inputs(module)), wanted, headers=token(), request_id="7")
            for task, values in predictions.items():
                assert np.array_equal(answer.as_numpy(task), np.array(values, dtype=np.float32)), (module, task)
            assert np.array_equal(answer.as_numpy("score"), np.array(scores)), module
        outputs = [module.InferRequestedOutput("score")]
        answer = client.infer("video", list(inputs(module)), outputs=outputs, headers=token())
        assert np.array_equal(answer.as_numpy("score"), np.array(scores)) and answer.as_numpy("click") is None
        statistics = client.get_inference_statistics("video", version, **asked)["model_stats"][0]
        assert int(statistics["execution_count"]) >= 3 and int(statistics["inference_stats"]["compute_infer"]["ns"]) > 0, statistics
        refused(lambda client=client, module=module: client.infer("video", list(inputs(module))[1:], headers=token()), "user_id")
        client.unload_model("video", headers=token())
        assert not client.is_model_ready("video", headers=token())
        client.load_model("video", headers=token())
        assert client.is_model_ready("video", headers=token())
        client.close()
        print(f"{module.__name__}: {len(VIDEOS)} rows, {len(predictions)} tasks and the score are those of /v1/rank")


if __name__ == "__main__":
    main()

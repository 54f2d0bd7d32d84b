"""The examples in Python run as they stand, and stay as short as they say."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_from_a_frame_to_a_ranking_in_forty_lines(tmp_path):
    pytest.importorskip("onnxruntime")
    example = Path(__file__).parents[2] / "examples/frame.py"
    assert len(example.read_text(encoding="utf-8").splitlines()) < 40
    ran = subprocess.run([sys.executable, example], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "single-task" in ran.stdout and (tmp_path / "people.onnx").exists()

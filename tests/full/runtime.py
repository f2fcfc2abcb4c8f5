"""Running Node scripts over ONNX Runtime; leaves where it is not installed."""

import json
import os
import shutil
import subprocess

import harness

MODULES = os.path.join(harness.ROOT, "node_modules")
if shutil.which("node") is None or not os.path.isdir(os.path.join(MODULES, "onnxruntime-node")):
    harness.skip("onnxruntime-node is not installed")


def node(script, *arguments):
    """The JSON a script of this folder prints."""
    done = subprocess.run(["node", os.path.join(harness.ROOT, "tests", "full", script), *arguments],
                          capture_output=True, text=True, check=False, timeout=600, stdin=subprocess.DEVNULL,
                          env={**os.environ, "NODE_PATH": MODULES})
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)

"""What the full tests share: the program under test, the models, and leaving where a reference is missing."""

import importlib
import json
import os
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PROGRAM = os.environ.get("ONNX_LATENCY", os.path.join(ROOT, "build", "bin", "onnx-latency"))
ZOO = os.environ.get("ZOO", os.path.join(ROOT, "build", "zoo"))
NETS = os.path.join(ROOT, "models", "nets")


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def need(*modules):
    """Imports modules, or skips the test where one is not installed."""
    found = []
    for name in modules:
        try:
            found.append(importlib.import_module(name))
        except ImportError:
            skip(f"no {name} for {sys.executable}")
    return found[0] if len(found) == 1 else found


def run(*arguments, expect=0):
    """The finished process; its exit status must be the expected one."""
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode != expect:
        raise AssertionError(f"{' '.join(arguments)}: exit {done.returncode}, expected {expect}\n{done.stderr}")
    return done


def profile(path, bind=None):
    """The JSON object of one model, with dimensions bound by name."""
    options = [word for name, size in (bind or {}).items() for word in ("--dim", f"{name}={size}")]
    return json.loads(run("profile", "-f", "json", *options, path).stdout)["models"][0]


def shapes(model):
    """Every tensor a node makes, with its shape: numbers, symbols as text, None for unknown."""
    return {tensor["name"]: tensor["shape"] for node in model["nodes"] for tensor in node["outputs"]}

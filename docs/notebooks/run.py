#!/usr/bin/env python3
"""Runs the notebooks of this directory against the device at MYCELIUM_URL with MYCELIUM_KEY (scope write).

usage: run.py [--save] [NOTEBOOK..]

Cells run in order in one namespace, as in a fresh kernel; an assertion that fails fails the notebook. With --save what
they print and draw is written back, figures as small PNGs. Needs numpy and matplotlib, no Jupyter.
"""

import base64
import contextlib
import io
import json
import pathlib
import sys
import traceback

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

DPI = 56
LARGEST = 150_000  # bytes of a notebook with its outputs


def run_cell(source, namespace):
    """Outputs of one cell in the notebook format: what it printed, then its figures."""
    printed, figures = io.StringIO(), []

    def show(*_, **__):
        for number in plt.get_fignums():
            picture = io.BytesIO()
            plt.figure(number).savefig(picture, format="png", dpi=DPI, bbox_inches="tight", metadata={"Software": None})
            figures.append(base64.b64encode(picture.getvalue()).decode())
        plt.close("all")

    plt.show = show
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "<cell>", "exec"), namespace)
        show()
    outputs = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": printed.getvalue().splitlines(keepends=True)})
    for figure in figures:
        outputs.append({"data": {"image/png": figure, "text/plain": ["<Figure>"]}, "metadata": {}, "output_type": "display_data"})
    return outputs


def run(path, save):
    notebook = json.loads(path.read_text())
    namespace, count = {"__name__": "__main__"}, 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        count += 1
        outputs = run_cell("".join(cell["source"]), namespace)
        cell["execution_count"], cell["outputs"] = count, outputs
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    if len(text) > LARGEST:
        raise AssertionError(f"{len(text)} bytes with outputs, more than {LARGEST}: draw less")
    if save:
        path.write_text(text)
    return count


def main():
    save = "--save" in sys.argv
    chosen = [pathlib.Path(a) for a in sys.argv[1:] if a != "--save"]
    passed = failed = 0
    for path in chosen or sorted(pathlib.Path(__file__).parent.glob("*.ipynb")):
        try:
            print(f"ok     {path.name}: {run(path, save)} cells", flush=True)
            passed += 1
        except Exception:
            print(f"FAILED {path.name}\n{traceback.format_exc(limit=-2)}", flush=True)
            failed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


main()

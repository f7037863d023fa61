"""``python -m tools.cascade_page [--check]``: the table and the picture of docs/cascade.md.

The table is of the figures in bench/results/cascade.json. The picture is one run of the functions that certify.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.cascade_tables import calibrated
from huggingface_api_handler.inference.cascade.rounds import Cascade
from tools.generated import ROOT, run

PAGE = ROOT / "docs" / "cascade.md"
PICTURE = ROOT / "docs" / "cascade.svg"
RESULTS = ROOT / "bench" / "results" / "cascade.json"
COMMAND = "python -m tools.cascade_page"
BEGIN, END = "<!-- calls: begin -->", "<!-- calls: end -->"
PROXIES = {
    "half the allowance": "wrong half as often as you allow, whatever its score",
    "calibrated": "right as often as its score says, 90 % on average",
    "weak": "right in three of four rows",
    "reversed scores": "right in 90 %, and surest where it is wrong",
}
INPUTS = (200, 2_000, 20_000)
TARGETS = (0.9, 0.95, 0.99)
DELTA = 0.05
SEED = 7
ROWS, ACCURACY = 2_000, 0.9
WINDOW = 100
"""Inputs over which the picture counts disagreements."""


def table(cells: list[dict[str, Any]]) -> str:
    """The share of inputs that the large model is asked, in Markdown."""
    lines = ["| the proxy is | rows | accuracy 0.9 | 0.95 | 0.99 |", "|---|---|---|---|---|"]
    for family, words in PROXIES.items():
        for inputs in INPUTS:
            shares = [
                next(
                    cell["calls"]
                    for cell in cells
                    if (cell["family"], cell["inputs"], cell["target"], cell["delta"])
                    == (family, inputs, target, DELTA)
                )
                for target in TARGETS
            ]
            shown = " | ".join(f"{share:.0%}" if share >= 0.02 else f"{share:.1%}" for share in shares)
            lines.append(f"| {words if inputs == INPUTS[0] else ''} | {inputs:,} | {shown} |")
    return "\n".join(lines)


def pages() -> dict[Path, str]:
    """The page with the table of today, by its path."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    cells = json.loads(RESULTS.read_text("utf-8"))["cells"]
    return {PAGE: f"{before}{BEGIN}\n{table(cells)}\n{END}{after}"}


def draw(path: Path) -> None:
    """The picture: where the proxy is wrong, what was drawn, and up to where it may answer."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "cascade"
    from matplotlib import pyplot as plt

    data = calibrated(np.random.default_rng(SEED), ROWS, ACCURACY)
    cascade = Cascade(data.scores, data.counts, ACCURACY, DELTA, seed=b"picture")
    while len(asked := cascade.next_round()):
        cascade.record(~data.wrong[asked])
    certificate = cascade.certificate()
    order = np.argsort(-data.scores, kind="stable")
    rank = np.empty(ROWS, dtype=int)
    rank[order] = np.arange(ROWS)
    near = np.convolve(np.ones(ROWS), np.ones(WINDOW), mode="same")  # fewer at both ends
    wrong = np.convolve(data.wrong[order], np.ones(WINDOW), mode="same") / near
    figure, axes = plt.subplots(figsize=(8.0, 4.2))
    axes.axvspan(0, certificate.prefix, color="#dbe9f9", zorder=0)
    axes.plot(np.arange(ROWS), wrong, color="#1a5fb4", linewidth=1.5)
    for is_wrong, colour, height in ((False, "#5e5c64", -0.02), (True, "#c01c28", -0.045)):
        drawn = certificate.asked[data.wrong[certificate.asked] == is_wrong]
        axes.plot(rank[drawn], np.full(len(drawn), height), "|", color=colour, markersize=7)
    top = float(wrong.max()) * 1.25
    middle = certificate.prefix / 2
    axes.text(middle, top * 0.9, "the small model answers,\nbut for what was drawn", ha="center", va="top")
    axes.text((certificate.prefix + ROWS) / 2, top * 0.9, "the large model\nanswers all", ha="center", va="top")
    axes.text(ROWS * 1.01, -0.02, "drawn: the same answer", color="#5e5c64", va="center", fontsize=8)
    axes.text(ROWS * 1.01, -0.045, "drawn: another answer", color="#c01c28", va="center", fontsize=8)
    axes.set_xlim(0, ROWS)
    axes.set_ylim(-0.06, top)
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= top])
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set_xlabel("rows, those first of which the small model is surest")
    axes.set_ylabel(f"share of other answers, over {WINDOW} rows")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    share = len(certificate.asked) + len(certificate.remaining)
    figure.suptitle(
        f"{ROWS:,} rows, accuracy {ACCURACY:g}: the large model is asked about {share:,}", x=0.02, ha="left"
    )
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> int:
    """Write or check the table; write the picture."""
    if "--check" not in sys.argv[1:]:
        draw(PICTURE)
    return run(COMMAND, "Write the table and the picture of docs/cascade.md.", pages())


if __name__ == "__main__":
    raise SystemExit(main())

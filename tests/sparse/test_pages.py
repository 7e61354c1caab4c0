"""The theory page on sensing matrices shows what the benchmark measured and what the code prints."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
import textwrap
from pathlib import Path

import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "docs" / "theory" / "sensing.rst").read_text(encoding="utf-8")


def test_tables_are_those_of_the_measured_file() -> None:
    path = CHECKOUT / "benchmarks" / "recovery.py"
    spec = importlib.util.spec_from_file_location("recovery_benchmark", path)
    assert spec is not None and spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    records = json.loads(benchmark.RESULTS.read_text(encoding="utf-8"))
    rows = [line.strip() for line in benchmark.guarantees(records) + benchmark.rates(records)]
    assert [line.strip() for line in PAGE.splitlines() if line.startswith('   "')] == rows
    undecided = sum(record["undecided"] for record in records)
    assert f"({undecided:,} of {sum(3 * 6 * record['trials'] for record in records):,} in the whole" in PAGE
    arrangements = [record for record in records if "Gaussian" not in record["case"]]
    assert all(record["certified"] == 1 and record["refuted"] == 2 for record in arrangements), "the page says so"


def test_code_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"\.\. code-block:: (\w+)\n\n((?:(?:   .*)?\n)+)", PAGE)
    assert [language for language, _ in blocks] == ["python", "text"]
    exec(compile(textwrap.dedent(blocks[0][1]), "sensing.rst", "exec"), {})
    assert capsys.readouterr().out.strip() == textwrap.dedent(blocks[1][1]).strip()


@pytest.mark.extra
@pytest.mark.slow
def test_gallery_page_shows_two_networks_with_the_same_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(plt, "show", lambda: None)
    found = runpy.run_path(str(CHECKOUT / "examples" / "plot_sensing_matrix.py"))
    plt.close("all")
    A, sparse, cheap = found["dictionary"].matrix, found["sparse"], found["cheap"]
    assert found["verdict"].verdict == "refuted" and np.count_nonzero(sparse) == 2
    np.testing.assert_allclose(A @ sparse, A @ cheap, atol=1e-12)
    assert np.abs(cheap).sum() < np.abs(sparse).sum() and found["bounds"].certified_sparsity == 1
    assert found["coherence"].lower > found["floor"]

from __future__ import annotations

import pytest

from reeltune.report.sparkline import sparkline

RISING = [float(value) for value in range(8)]


@pytest.mark.parametrize(
    ("values", "columns", "drawn"),
    [
        (RISING, 8, "▁▂▃▄▅▆▇█"),
        ([0.0, 0.0, 6.0, 8.0, 3.0, 3.0, 0.0, 2.0], 4, "▁█▄▂"),  # means 0, 7, 3 and 1 of 7
        ([4.0, 0.0, 2.0], 1, "█"),  # one mean, which is the highest
        ([5e-5] * 3, 60, "███"),
        ([1.0, 0.5, 0.0], 60, "█▅▁"),
        ([0.0, 0.0, 1.0, 1.0], 2, "▁█"),
        ([1.0, 1.0, 0.0, 0.0, 0.0], 2, "█▁"),
        ([0.0] * 4, 3, "▁▁▁"),
        ([-1.0, 1.0], 2, "▁█"),
        ([], 10, ""),
    ],
)
def test_a_curve_is_drawn_from_nothing_to_its_highest(values: list[float], columns: int, drawn: str) -> None:
    assert sparkline(values, columns=columns) == drawn


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "no-such-encoding"])
def test_a_stream_without_blocks_gets_ascii(encoding: str) -> None:
    assert sparkline(RISING, columns=8, encoding=encoding) == "_.:-=+*#"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
def test_a_stream_with_blocks_gets_blocks(encoding: str) -> None:
    assert sparkline(RISING, columns=8, encoding=encoding) == "▁▂▃▄▅▆▇█"

"""Sizes are read as people write them, and a number that meant something else elsewhere is not guessed at."""

from __future__ import annotations

import pytest

from reeltune.config.sizes import parse_sizes


@pytest.mark.parametrize(
    ("value", "sizes"),
    [
        ("832x480", ((832, 480),)),
        (" 832 X 480 ", ((832, 480),)),
        ("832×480", ((832, 480),)),
        (480, ((480, 480),)),
        ("480", ((480, 480),)),
        (480.0, ((480, 480),)),
        ("832x480, 480,480x832", ((832, 480), (480, 480), (480, 832))),
        ("480,480x480", ((480, 480),)),
        ("96x64", ((96, 64),)),
        (128, ((128, 128),)),
    ],
)
def test_sizes_are_read(value: object, sizes: tuple[tuple[int, int], ...]) -> None:
    assert parse_sizes(value) == sizes


@pytest.mark.parametrize("value", [1, 0.5, "0.5", "1", "127", "832x480,1"])
def test_a_number_of_megapixels_is_refused_with_what_to_write(value: object) -> None:
    with pytest.raises(ValueError, match='megapixels elsewhere and not here.*such as "832x480"'):
        parse_sizes(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "width x height is needed"),
        ("480p", "width x height is needed"),
        ("832x480,", "width x height is needed"),
        ("832x480x3", "width x height is needed"),
        ("-832x480", "width x height is needed"),
        ("nan", "width x height is needed"),
        (None, "width x height is needed"),
        (True, "width x height is needed"),
        ([832, 480], "width x height is needed"),
        ("832x8", "832x8 is too small; each side is at least 16"),
        (480.5, "480.5 is no whole number of pixels"),
    ],
)
def test_what_is_no_size_is_refused(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_sizes(value)

"""What a person sees on a terminal, byte for byte as it arrives there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OnATerminal = Callable[..., Any]

TRAINING = """
    console = TrainingConsole()
    console.receive(RunStarted(step=0, total_steps=3000))
    for step in range(1, 21):
        time.sleep(0.03)
        console.receive(StepDone(step, 3000, 0.1234, 1.0, 1e-4, 1000, 1.23, 0.1))
        if step == 10:
            log.info("a line of the log")
"""


def test_log_lines_stand_alone_above_the_bar(on_a_terminal: OnATerminal) -> None:
    screen = on_a_terminal(TRAINING + "\n    console.close()")
    assert screen.status == 0
    first, second, rest = screen.lines
    assert first.endswith("INFO a line of the log")
    assert second.startswith("training ━")
    assert rest == ""


def test_the_bar_shows_count_rate_time_and_the_steps_own_numbers_in_80_columns(on_a_terminal: OnATerminal) -> None:
    screen = on_a_terminal(TRAINING + "\n    time.sleep(0.3)\n    console.close()")
    assert "20/3000" in screen.raw
    assert " steps/s" in screen.raw
    assert " left loss 0.1234 lr 1.0e-04 step 1.2 s" in screen.raw
    assert screen.widest <= 80


@pytest.mark.parametrize("columns", [80, 60, 40, 20, 8])
def test_a_bar_keeps_to_one_line(on_a_terminal: OnATerminal, columns: int) -> None:
    # The log's own line is the terminal's to wrap: here only the bar is looked at.
    code = TRAINING.replace('log.info("a line of the log")', "pass") + "\n    console.close()"
    screen = on_a_terminal(code, columns=columns)
    assert screen.status == 0
    assert screen.widest <= columns
    assert len(screen.lines) == 2


def test_a_finished_bar_says_how_long_it_took(on_a_terminal: OnATerminal) -> None:
    screen = on_a_terminal("for _ in track(range(3), 'encoding clips', 3, 'clips'): time.sleep(0.1)")
    assert screen.lines[0].startswith("encoding clips ━")
    assert " 3/3 " in screen.lines[0]
    assert screen.lines[0].endswith("took 0.3 s")


@pytest.mark.parametrize("closes", ["finally: console.close()", "finally: pass"])
def test_the_cursor_comes_back_after_an_error(on_a_terminal: OnATerminal, closes: str) -> None:
    screen = on_a_terminal(
        f"""
        console = TrainingConsole()
        console.receive(RunStarted(step=0, total_steps=3))
        try: raise ValueError("a fault")
        {closes}
        """
    )
    assert screen.status == 1
    assert "ValueError: a fault" in screen.lines
    assert "\x1b[?25l" in screen.raw
    assert screen.cursor_visible


def test_the_cursor_comes_back_after_control_c(on_a_terminal: OnATerminal) -> None:
    screen = on_a_terminal(
        """
        try:
            for item in track(range(3), "encoding clips", 3, "clips"):
                log.info("READY")
                time.sleep(30)
        except KeyboardInterrupt:
            print("stopped at once", file=sys.stderr)
        """
    )
    assert screen.status == 0
    assert screen.cursor_visible
    bar, message, rest = screen.lines[-3:]
    assert (bar.startswith("encoding clips"), message, rest) == (True, "stopped at once", "")


def test_output_that_goes_to_a_file_is_not_pulled_into_the_terminal(on_a_terminal: OnATerminal, tmp_path: Path) -> None:
    screen = on_a_terminal("for _ in track(range(3), 'encoding clips', 3, 'clips'): print('for the file')")
    assert "for the file" not in screen.raw
    assert (tmp_path / "stdout").read_text() == "for the file\n" * 3


def test_a_long_path_is_left_for_the_terminal_to_wrap(on_a_terminal: OnATerminal) -> None:
    path = "output/" + "a-long-name/" * 10 + "step-000300.mp4"
    screen = on_a_terminal(f"log.info('rendered %s', {path!r})")
    assert screen.lines[0].endswith(f"INFO rendered {path}")


def test_a_terminal_that_cannot_redraw_gets_plain_lines(on_a_terminal: OnATerminal) -> None:
    work = "import time\nfor _ in track(range(3), 'encoding clips', 3, 'clips'): log.info('[a] line'); time.sleep(0.4)"
    screen = on_a_terminal(work, TERM="dumb")
    assert screen.status == 0
    assert "\x1b" not in screen.raw
    *lines, end, rest = screen.lines
    assert [line.split(" ", 1)[1] for line in lines] == ["INFO [a] line"] * 3
    assert "INFO encoding clips 3/3, " in end
    assert rest == ""


def test_no_color_is_respected(on_a_terminal: OnATerminal) -> None:
    screen = on_a_terminal(TRAINING + "\n    console.close()", NO_COLOR="1")
    assert screen.status == 0
    assert "\x1b[3" not in screen.raw
    assert "\x1b[38" in on_a_terminal(TRAINING + "\n    console.close()").raw


def test_a_terminal_without_unicode_gets_a_bar_it_can_show(on_a_terminal: OnATerminal) -> None:
    screen = on_a_terminal(TRAINING + "\n    console.close()", PYTHONIOENCODING="ascii")
    assert screen.status == 0
    assert screen.lines[-2].startswith("training -----")
    assert screen.raw.isascii()

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest


def stderr_of(code: str, **environment: Any) -> str:
    opening = "import logging; from reeltune.log import set_up_logging, terminal, on_terminal\n"
    settings = {**os.environ, **environment}
    words = [sys.executable, "-c", opening + code]
    return subprocess.run(words, check=True, text=True, capture_output=True, env=settings).stderr


def test_without_a_terminal_a_line_is_time_level_and_message() -> None:
    log = stderr_of("set_up_logging(); logging.getLogger('reeltune.room').warning('[b]%d clips', 3)", FORCE_COLOR="1")
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING \[b\]3 clips\n", log)


@pytest.mark.parametrize(("verbose", "lines"), [(False, 1), (True, 2)])
def test_debug_lines_come_only_when_asked_for(verbose: bool, lines: int) -> None:
    code = f"set_up_logging(verbose={verbose}); log = logging.getLogger('reeltune.room'); log.info('a'); log.debug('b')"
    assert stderr_of(code).count("\n") == lines


def test_setting_up_twice_does_not_say_everything_twice() -> None:
    assert stderr_of("set_up_logging(); set_up_logging(); logging.getLogger('reeltune.a').info('x')").count("\n") == 1


def test_there_is_one_console_and_a_pipe_is_no_terminal() -> None:
    stderr_of("assert terminal() is terminal() and not on_terminal()", FORCE_COLOR="1")

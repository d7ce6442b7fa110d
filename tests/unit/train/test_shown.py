"""A video shows an adapter by the file that its user gets, and the adapter in training steps aside meanwhile."""

from __future__ import annotations

from pathlib import Path

import torch

from helpers.toy import ToyPublisher, toy_loop
from reeltune.adapters.lora import Lora
from reeltune.train.shown import by_file


def test_an_adapter_is_shown_by_one_file_of_each_kind_while_it_steps_aside(tmp_path: Path) -> None:
    loop = toy_loop(tmp_path, steps=2)
    state, lora = loop.state, loop.state.trained
    assert isinstance(lora, Lora)
    assert state.ema
    lora.load({name: torch.ones_like(tensor) for name, tensor in lora.trainable().items()})
    written: list[tuple[str, float]] = []

    def write(folder: Path, step: int) -> Path:
        written.append((folder.name, next(iter(lora.trainable().values())).mean().item()))
        return ToyPublisher(lora).write_main(folder, step)

    x = torch.randn(1, 4, 2, 4, 4)
    text, sigma = torch.zeros(1, 3, 6), torch.tensor([0.5])
    with torch.no_grad():
        loop.transformer.eval()
        adapted = loop.transformer(x, sigma, text)
        with lora.disabled():
            base = loop.transformer(x, sigma, text)
        assert not torch.equal(adapted, base)
        with by_file(state, write, scratch=tmp_path)() as show:
            for shown in ("raw", "ema", "raw", "base"):
                with show(shown) as file:
                    assert (file is None) == (shown == "base")
                    assert file is None or file.exists()
                    assert torch.equal(loop.transformer(x, sigma, text), base)
                assert torch.equal(loop.transformer(x, sigma, text), adapted)
    assert [name for name, _ in written] == ["raw", "ema"]
    assert written[0][1] == 1.0
    assert written[1][1] != 1.0

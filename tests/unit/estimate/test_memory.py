"""Memory: against allocations followed in the stock modules, and against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from peft import LoraConfig
from torch import nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers import UMT5Config, UMT5EncoderModel

from helpers.allocations import Allocations
from reeltune.adapters.full import FullModel
from reeltune.contracts.dimensions import Dimensions
from reeltune.estimate import activations, memory
from reeltune.estimate.flops import TrainedPart
from reeltune.estimate.memory import Amount, Storage, TrainedWeights, base_bytes, whole_model
from reeltune.estimate.sizes import SIZES
from reeltune.train.recomputation import recompute_blocks

GB = 1e9
TOKENS = {"a": 32_760, "b73": 17_100, "b77": 18_000, "c": 75_600}
LATENTS = (9, 30, 52)
"""Latent frames, height and width of what is followed: 3510 tokens, beside which text and weights count little."""

# GB, by hand: kept with full and selective recomputation, and one block at work.
BY_HAND = """
1.3B a     3.0  6.1  4.6
1.3B b73   1.6  3.2  2.4
1.3B b77   1.7  3.3  2.5
1.3B c     7.0 14.0 10.5
14B  a    13.4 27.0 11.6
14B  b73   7.0 14.1  6.1
14B  b77   7.4 14.9  6.4
14B  c    31.0 62.4 26.8
"""


@pytest.mark.parametrize(
    "row", [line.split() for line in BY_HAND.split("\n") if line], ids=lambda row: "".join(row[:2])
)
def test_activations_are_those_worked_out_by_hand(row: list[str]) -> None:
    size, tokens = SIZES[row[0]], TOKENS[row[1]]
    own = (
        activations.saved_bytes(size, tokens),
        activations.saved_bytes(size, tokens, recomputation="selective"),
        activations.live_block_bytes(size, tokens),
    )
    assert [f"{value / GB:.1f}" for value in own] == row[2:]


def test_routed_blocks_keep_what_their_own_tokens_need() -> None:
    size = Dimensions(layers=3, heads=1, head_width=2, ffn=5)
    assert activations.saved_bytes(size, [10, 4, 10]) == 24 * 2 * 2
    # The largest block is what must fit.
    assert activations.live_block_bytes(size, [10, 4, 10]) == activations.live_block_bytes(size, 10)


@pytest.fixture
def plain_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attention be the fused kernel that a GPU runs; the meta device would make whole matrices of scores."""

    def fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **_: object) -> torch.Tensor:
        return torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, 0.0, False)[0]

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", fused)


def in_float32(name: str) -> bool:
    """Say whether diffusers keeps a weight in float32."""
    return bool(set(WanTransformer3DModel._keep_in_fp32_modules or ()) & set(name.split(".")))


def transformer(size: Dimensions, layers: int, trained: TrainedPart | None) -> WanTransformer3DModel:
    """Return a transformer of the size's blocks, on the meta device in bfloat16, that trains the part."""
    with torch.device("meta"):
        made = WanTransformer3DModel(
            num_attention_heads=size.heads, attention_head_dim=size.head_width, ffn_dim=size.ffn, num_layers=layers
        )
    for name, weight in made.named_parameters():
        weight.data = weight.data.to(torch.float32 if in_float32(name) else torch.bfloat16)
        weight.requires_grad_(trained == "full")
    if trained == "adapter":
        targets = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]
        made.add_adapter(LoraConfig(r=16, target_modules=targets))
    return made.train()


def follow(made: WanTransformer3DModel, *, backward: bool) -> tuple[int, int]:
    """Return what is alive after the forward pass, and the peak."""
    t, h, w = LATENTS
    latents = torch.empty(1, 16, t, h, w, device="meta", dtype=torch.bfloat16)
    text = torch.empty(1, 512, 4096, device="meta", dtype=torch.bfloat16)
    followed = Allocations([*made.parameters(), *made.buffers()])
    with followed:
        (answer,) = made(latents, torch.empty(1, device="meta"), text, return_dict=False)
        after_forward = followed.live
        if backward:
            answer.float().sum().backward()
    return after_forward, followed.peak


def tokens() -> int:
    t, h, w = LATENTS
    return t * h * w // 4


@pytest.mark.usefixtures("plain_attention")
@pytest.mark.parametrize("trained", ["adapter", "full"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_what_a_block_keeps_is_what_the_real_one_keeps(size: Dimensions, trained: TrainedPart) -> None:
    one, two = (follow(transformer(size, layers, trained), backward=False)[0] for layers in (1, 2))
    estimated = activations.saved_bytes(size, tokens(), trained=trained, recomputation="none") / size.layers
    # The adapter's inner values and the keys and values of the text come on top.
    assert estimated == pytest.approx(two - one, rel=0.06)


@pytest.mark.usefixtures("plain_attention")
@pytest.mark.parametrize("trained", ["adapter", "full"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_recomputation_keeps_each_block_s_input_and_works_on_one_block(size: Dimensions, trained: TrainedPart) -> None:
    def checkpointed(layers: int) -> tuple[int, int]:
        made = transformer(size, layers, trained)
        made.enable_gradient_checkpointing()
        if trained == "full":
            _let_gradients_go(made)
        return follow(made, backward=True)

    (kept_by_one, _), (kept_by_two, peak) = checkpointed(1), checkpointed(2)
    assert kept_by_two - kept_by_one == activations.saved_bytes(size, tokens()) / size.layers
    estimated = activations.live_block_bytes(size, tokens(), trained=trained)
    assert estimated == pytest.approx(peak - kept_by_two, rel=0.15)


@pytest.mark.usefixtures("plain_attention")
def test_blocks_that_are_not_recomputed_keep_all_that_they_work_out() -> None:
    size = replace(SIZES["1.3B"], layers=3)

    def followed(every: int) -> int:
        made = transformer(size, 3, "adapter")
        recompute_blocks(made, "blocks", every=every)
        return follow(made, backward=False)[0]

    all_recomputed, half = followed(1), followed(2)
    estimated = [activations.saved_bytes(size, tokens(), every=every) for every in (1, 2)]
    # As with what a block keeps: an adapter's inner values and the text's keys and values come on top.
    assert estimated[1] - estimated[0] == pytest.approx(half - all_recomputed, rel=0.06)
    assert activations.saved_bytes(size, [10, 4, 10], every=2) == (
        activations.saved_bytes(replace(size, layers=2), [10, 10])
        + activations.saved_bytes(replace(size, layers=1), [4], recomputation="none")
    )
    assert activations.live_block_bytes(size, [4, 10, 4], every=2) == activations.live_block_bytes(size, 4)


def _let_gradients_go(made: WanTransformer3DModel) -> None:
    """Free each weight's gradient as soon as it is there: those that add up count with what is trained."""
    for weight in made.parameters():
        weight.register_post_accumulate_grad_hook(lambda weight: setattr(weight, "grad", None))


@pytest.mark.usefixtures("plain_attention")
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_rendering_holds_one_block_s_forward_pass(size: Dimensions) -> None:
    with torch.no_grad():
        kept, peak = follow(transformer(size, 2, None), backward=False)
    assert activations.forward_block_bytes(size, tokens()) == pytest.approx(peak - kept, rel=0.15)


@pytest.fixture(scope="module")
def autoencoder() -> AutoencoderKLWan:
    with torch.device("meta"):
        return AutoencoderKLWan().requires_grad_(False)


@pytest.mark.parametrize(("frames", "height", "width"), [(33, 480, 832), (17, 240, 240), (1, 480, 832)])
def test_the_autoencoder_holds_what_the_real_one_holds(
    autoencoder: AutoencoderKLWan, frames: int, height: int, width: int
) -> None:
    clip = torch.empty(1, 3, frames, height, width, device="meta")
    latents = torch.empty(1, 16, 1 + (frames - 1) // 4, height // 8, width // 8, device="meta")
    before = [*autoencoder.parameters(), *autoencoder.buffers()]
    with torch.no_grad(), Allocations(before) as encoding:
        autoencoder.encode(clip)
    with torch.no_grad(), Allocations(before) as decoding:
        autoencoder.decode(latents)  # pyright: ignore[reportArgumentType]
    shape = {"frames": frames, "height": height, "width": width}
    assert activations.encoded_clip_bytes(**shape) == pytest.approx(encoding.peak, rel=0.02)
    assert activations.decoded_clip_bytes(**shape) == pytest.approx(decoding.peak, rel=0.02)


def test_a_prompt_takes_what_it_takes_in_the_real_encoder() -> None:
    config = UMT5Config(d_model=4096, d_kv=64, d_ff=10240, num_layers=2, num_heads=64, feed_forward_proj="gated-gelu")
    with torch.device("meta"):
        encoder = UMT5EncoderModel(config).bfloat16().eval()
        words = torch.ones(1, 512, dtype=torch.long)
    with torch.no_grad(), Allocations([*encoder.parameters(), *encoder.buffers()]) as followed:
        encoder(words)
    assert activations.PROMPT_BYTES == pytest.approx(followed.peak, rel=0.25)


def test_the_base_weighs_two_bytes_a_weight_or_about_one() -> None:
    small, large = SIZES["1.3B"], SIZES["14B"]
    assert [f"{base_bytes(size) / GB:.1f}" for size in (small, large)] == ["2.8", "28.6"]
    assert base_bytes(small, Storage(precision="int8-quanto")) / GB == pytest.approx(1.45, rel=0.01)
    assert base_bytes(large, Storage(precision="int8-torchao")) / GB == pytest.approx(14.6, rel=0.01)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_the_base_weighs_what_the_real_one_weighs(size: Dimensions) -> None:
    made = transformer(size, size.layers, None)
    assert base_bytes(size) == sum(weight.nbytes for weight in made.parameters())
    assert base_bytes(size, Storage(value_bytes=4)) == 4 * sum(weight.numel() for weight in made.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("precision", ["int8-quanto", "fp8-quanto", "int8-torchao", "fp8-torchao"])
def test_a_quantized_base_weighs_what_the_libraries_store(precision: str, dtype: torch.dtype) -> None:
    pytest.importorskip("torchao")
    pytest.importorskip("optimum.quanto")
    from reeltune.quantize.apply import quantize_linears
    from reeltune.quantize.rules import quantized_names

    # Narrow, so that what each row keeps beside its weights counts for much.
    size = Dimensions(layers=2, heads=2, head_width=16, ffn=48, text_width=24)
    made = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, ffn_dim=48, text_dim=24, num_layers=2
    ).requires_grad_(False)
    for name, weight in made.named_parameters():
        weight.data = weight.data.to(torch.float32 if in_float32(name) else dtype)
    quantize_linears(made, precision, names=quantized_names(made, "blocks"))
    stored = sum(sum(stored_bytes(weight)) for weight in made.parameters())
    assert base_bytes(size, Storage(dtype.itemsize, precision)) == stored


def stored_bytes(tensor: torch.Tensor) -> Iterator[int]:
    """Yield the sizes of the plain tensors that a weight is made of."""
    if is_traceable_wrapper_subclass(tensor):
        for name in tensor.__tensor_flatten__()[0]:
            yield from stored_bytes(getattr(tensor, name))
    else:
        yield tensor.nbytes


@pytest.mark.parametrize(("precision", "gb"), [("no_change", 11.36), ("int8-quanto", 6.73)])
def test_the_text_encoder_s_table_is_not_quantized(precision: str, gb: float) -> None:
    # 1.05 billion of its 5.68 billion weights stay in two bytes.
    assert memory.text_encoder_bytes(Storage(precision=precision)) / GB == pytest.approx(gb, abs=0.01)


def test_training_the_whole_model_weighs_a_float32_copy_and_more() -> None:
    large = SIZES["14B"]
    # Masters, gradients, and Adam's two moments of 14.29 billion weights: 16 bytes for each.
    assert whole_model(large, value_bytes=2).size_bytes / GB == pytest.approx(228.6, abs=0.2)
    averaged = whole_model(large, value_bytes=2, average=4)
    assert averaged.size_bytes / GB == pytest.approx(228.6 + 57.2, abs=0.2)
    # In float32 the weights themselves are trained, and count with the base.
    assert whole_model(large, value_bytes=4).size_bytes / GB == pytest.approx(228.6 - 57.2, abs=0.2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_whole_model_in_training_weighs_what_is_really_there(dtype: torch.dtype) -> None:
    size = Dimensions(layers=2, heads=2, head_width=16, ffn=48, text_width=24)
    made = WanTransformer3DModel(num_attention_heads=2, attention_head_dim=16, ffn_dim=48, text_dim=24, num_layers=2)
    for name, weight in made.named_parameters():
        weight.data = weight.data.to(torch.float32 if in_float32(name) else dtype)
    masters = list(FullModel(made).trainable().values())
    for master in masters:
        master.grad = torch.zeros_like(master)
    optimizer = torch.optim.AdamW(masters)
    optimizer.step()
    states = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    kept = [*made.parameters(), *masters, *(master.grad for master in masters), *states]
    storages = {tensor.data_ptr(): tensor.nbytes for tensor in kept if tensor is not None}
    estimated = base_bytes(size, Storage(dtype.itemsize)) + whole_model(size, value_bytes=dtype.itemsize).size_bytes
    assert estimated == sum(storages.values())


def test_what_is_trained_weighs_its_gradients_and_states() -> None:
    # float32 weight, gradient, and Adam's two states.
    assert TrainedWeights(21_900_000).size_bytes / GB == pytest.approx(0.35, abs=0.005)
    assert TrainedWeights(76_700_000).size_bytes / GB == pytest.approx(1.23, abs=0.005)
    assert TrainedWeights(10, states=2, average=4).size_bytes == 10 * (4 + 4 + 2 + 4)


def test_a_stage_is_the_sum_of_its_parts() -> None:
    weights = TrainedWeights(11_796_480)
    step = memory.training(SIZES["1.3B"], 32_760, samples=2, weights=weights)
    parts = dict(step.parts)
    assert parts["saved activations"] == 2 * activations.saved_bytes(SIZES["1.3B"], 32_760)
    assert parts["block at work"] == 2 * activations.live_block_bytes(SIZES["1.3B"], 32_760)
    assert step.size_bytes == sum(parts.values())
    # 2.8 + 0.2 + 2 * 3.0 + 2 * 4.6 + 1.5.
    assert step.size_bytes / GB == pytest.approx(19.7, abs=0.1)
    assert Amount("x", (("a", 1), ("b", 2))).size_bytes == 3


def test_without_recomputation_no_block_is_at_work_twice() -> None:
    weights = TrainedWeights(1)
    step = memory.training(SIZES["1.3B"], 900, samples=1, weights=weights, recomputation="none")
    assert "block at work" not in dict(step.parts)


def test_rendering_counts_the_larger_of_denoising_and_decoding() -> None:
    def at_work(size: str, tokens: int, side: int) -> int:
        video = memory.rendering(
            SIZES[size],
            tokens,
            weights=TrainedWeights(0),
            frames=81,
            height=side,
            width=side,
        )
        return dict(video.parts)["block or frames at work"]

    assert at_work("1.3B", 18_900, 480) == activations.decoded_clip_bytes(frames=81, height=480, width=480)
    assert at_work("14B", 18_900, 64) == activations.forward_block_bytes(SIZES["14B"], 18_900)


def test_encoding_holds_one_encoder_at_a_time() -> None:
    # 5.68 billion weights of two bytes; 0.51 GB of float32 for the autoencoder.
    assert dict(memory.text_encoding().parts)["text encoder"] / GB == pytest.approx(11.36, abs=0.01)
    clip = memory.video_encoding(frames=81, height=480, width=832)
    assert dict(clip.parts)["autoencoder"] / GB == pytest.approx(0.51, abs=0.005)
    assert clip.size_bytes / GB == pytest.approx(7.5, abs=0.1)


def test_what_is_kept_is_a_part_of_the_later_stages() -> None:
    kept, weights, shape = (("encoder kept", 1000), ("other kept", 7)), TrainedWeights(1), (5, 64, 64)
    frames, height, width = shape
    size = SIZES["1.3B"]

    def stages(kept: tuple[tuple[str, int], ...]) -> list[Amount]:
        given: dict[str, Any] = {"frames": frames, "height": height, "width": width}
        return [
            memory.video_encoding(**given, kept=kept),
            memory.training(size, 32, samples=2, weights=weights, kept=kept),
            memory.rendering(size, 32, weights=weights, **given, kept=kept),
        ]

    for plain, larger in zip(stages(()), stages(kept), strict=True):
        assert larger.size_bytes == plain.size_bytes + 1007
        assert set(kept) == set(larger.parts) - set(plain.parts)

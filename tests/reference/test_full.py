"""Fine-tuning the whole transformer: masters against formulas written here, files against stock diffusers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from helpers.tiny import open_tiny, random_batch
from reeltune.adapters.about import About
from reeltune.adapters.full import FullModel
from reeltune.adapters.full_files import ModelPublisher, write_pipeline
from reeltune.adapters.transformer_files import save_single_file, save_transformer, split_in_shards
from reeltune.contracts.trained import Publisher, Trained
from reeltune.demo.model import make_transformer
from reeltune.errors import CheckpointError, TrainingError
from reeltune.families.wan.single_file import look_into, release_name
from reeltune.families.wan.transformer import load_transformer, number_type
from reeltune.train.optimizers import build_optimizer

CPU = torch.device("cpu")
BF16 = torch.bfloat16
ABOUT = About(base_model="tiny", base_fingerprint="abc", kind="full")
Spoil = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def transformer_in(dtype: torch.dtype, *, blocks: int = 1) -> WanTransformer3DModel:
    """Return a frozen transformer as the family loads it: the same random weights at each call."""
    torch.manual_seed(5)
    transformer = make_transformer(blocks).eval().requires_grad_(False)
    for name, weight in transformer.named_parameters():
        weight.data = weight.data.to(number_type(name, dtype))
    return transformer


def velocity(transformer: nn.Module, dtype: torch.dtype, *, seed: int = 0) -> Tensor:
    batch = random_batch(seed=seed)
    told = transformer(
        batch.latents[:, :, :2].to(dtype), torch.tensor([300.0, 800.0]), batch.text.to(dtype), return_dict=False
    )
    return told[0].float()


def backward(transformer: nn.Module, dtype: torch.dtype, *, seed: int = 0) -> None:
    velocity(transformer, dtype, seed=seed).square().mean().backward()


def moved_by(model: FullModel, amount: float) -> None:
    """Let every master move by so much, as an optimizer would."""
    with torch.no_grad():
        for master in model.trainable().values():
            master.add_(amount)
    model.moved()


def test_updates_that_bfloat16_alone_would_lose_add_up() -> None:
    layer = nn.Linear(4, 3, dtype=BF16)
    with torch.no_grad():
        layer.weight.fill_(1)
    model = FullModel(layer)
    for _ in range(100):
        moved_by(model, 1e-4)
    # Next to 1 the numbers of bfloat16 are 2**-7 apart: a ten-thousandth alone changes nothing.
    assert torch.equal(torch.ones((), dtype=BF16) + 1e-4, torch.ones((), dtype=BF16))
    assert torch.equal(layer.weight, torch.full((3, 4), 1 + 2**-7, dtype=BF16))
    torch.testing.assert_close(model.trainable()["weight"].data, torch.full((3, 4), 1.01))


def test_every_weight_is_trained_under_its_own_name_in_float32() -> None:
    transformer = transformer_in(BF16)
    model = FullModel(transformer)
    weights, trained = dict(transformer.named_parameters()), model.trainable()
    assert isinstance(model, Trained)
    assert list(trained) == list(weights)
    assert all(master.dtype == torch.float32 and master.requires_grad for master in trained.values())
    # What diffusers keeps in float32 is trained itself; the rest has masters, exact to begin with.
    assert {name for name in weights if trained[name] is weights[name]} == {
        name for name in weights if number_type(name, BF16) == torch.float32
    }
    assert all(torch.equal(trained[name], weight.float()) for name, weight in weights.items())
    assert model.fixed() == {}
    model.load_fixed({})


def test_a_float32_model_has_no_second_copy() -> None:
    transformer = transformer_in(torch.float32)
    weights = dict(transformer.named_parameters())
    assert all(master is weights[name] for name, master in FullModel(transformer).trainable().items())


@pytest.mark.parametrize("checkpointed", [False, True], ids=["plain", "recomputed"])
def test_gradients_of_micro_batches_add_up_in_float32(checkpointed: bool) -> None:
    transformer = transformer_in(BF16).train()
    if checkpointed:
        transformer.enable_gradient_checkpointing()
    model = FullModel(transformer)
    for seed in (1, 2, 3):
        backward(transformer, BF16, seed=seed)
    # The reference: one gradient at a time in the model's own number type, added up in float32.
    own = transformer_in(BF16).train().requires_grad_(True)
    sums: dict[str, Tensor] = {}
    for seed in (1, 2, 3):
        own.zero_grad()
        backward(own, BF16, seed=seed)
        for name, weight in own.named_parameters():
            assert weight.grad is not None, name
            sums[name] = sums.get(name, 0) + weight.grad.float()
    for name, master in model.trainable().items():
        assert master.grad is not None
        assert master.grad.dtype == torch.float32
        assert torch.equal(master.grad, sums[name]), name
    # No gradient stays beside the master's.
    assert all(weight.grad is None for weight in transformer.parameters() if weight.dtype == BF16)


def test_adamw_goes_where_float32_masters_lead() -> None:
    transformer = transformer_in(BF16).train()
    model = FullModel(transformer)
    optimizer = build_optimizer("torch-adamw", list(model.trainable().values()), learning_rate=1e-3)
    reference = transformer_in(BF16).train().requires_grad_(True)
    masters = {name: weight.detach().double() for name, weight in reference.named_parameters()}
    first = {name: torch.zeros_like(master) for name, master in masters.items()}
    second = {name: torch.zeros_like(master) for name, master in masters.items()}
    for step in range(1, 6):
        backward(transformer, BF16, seed=step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        model.moved()
        # Loshchilov and Hutter 2019, arXiv:1711.05101, with PyTorch's usual 0.9, 0.999, 1e-8 and decay of 0.01.
        reference.zero_grad()
        backward(reference, BF16, seed=step)
        for name, weight in reference.named_parameters():
            assert weight.grad is not None
            gradient = weight.grad.double()
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            mean, scale = first[name] / (1 - 0.9**step), (second[name] / (1 - 0.999**step)).sqrt()
            masters[name] = masters[name] * (1 - 1e-3 * 0.01) - 1e-3 * mean / (scale + 1e-8)
            # From the same weights at each step: a bfloat16 that falls to the other side would lead elsewhere.
            weight.data = dict(transformer.named_parameters())[name].detach().clone()
    for name, master in model.trainable().items():
        torch.testing.assert_close(master.data.double(), masters[name], rtol=1e-5, atol=1e-6, msg=name)
        acting = dict(transformer.named_parameters())[name]
        assert torch.equal(acting, master.to(acting.dtype))


def test_a_checkpoint_brings_masters_and_model_back_to_the_bit() -> None:
    model = FullModel(transformer := transformer_in(BF16))
    moved_by(model, 1e-4)
    saved = {name: master.detach().clone() for name, master in model.trainable().items()}
    answer = velocity(transformer, BF16)
    other = transformer_in(BF16)
    again = FullModel(other)
    again.load(saved)
    assert all(torch.equal(master, saved[name]) for name, master in again.trainable().items())
    assert torch.equal(velocity(other, BF16), answer)
    assert not torch.equal(answer, velocity(transformer_in(BF16), BF16))


def test_tensors_of_another_model_are_not_taken() -> None:
    model = FullModel(nn.Linear(4, 3))
    with pytest.raises(AssertionError, match="bias"):
        model.load({"weight": torch.zeros(3, 4)})
    with pytest.raises(AssertionError, match="weight"):
        model.load({"weight": torch.zeros(3, 1), "bias": torch.zeros(3)})


@pytest.mark.parametrize("dtype", [BF16, torch.float32])
def test_what_is_held_acts_for_a_while_and_leaves_no_trace(dtype: torch.dtype) -> None:
    transformer = transformer_in(dtype)
    model = FullModel(transformer)
    moved_by(model, 1e-3)
    other = {name: master.detach() + 0.01 for name, master in model.trainable().items()}
    before, places = velocity(transformer, dtype), [weight.data_ptr() for weight in transformer.parameters()]
    with model.holding(other):
        held = velocity(transformer, dtype)
        assert [weight.dtype for weight in transformer.parameters()] == [
            number_type(name, dtype) for name, _ in transformer.named_parameters()
        ]
    with pytest.raises(KeyboardInterrupt), model.holding(other):
        raise KeyboardInterrupt
    with model.holding({}):
        assert torch.equal(velocity(transformer, dtype), before)
    assert [weight.data_ptr() for weight in transformer.parameters()] == places
    assert torch.equal(velocity(transformer, dtype), before)
    expected = transformer_in(dtype)
    FullModel(expected).load(other)
    assert torch.equal(held, velocity(expected, dtype))
    assert not torch.equal(held, before)
    # Gradients still find their masters.
    backward(transformer.train(), dtype)
    assert all(master.grad is not None for master in model.trainable().values())


def test_the_base_can_be_asked_until_the_model_moves() -> None:
    transformer = transformer_in(BF16)
    model = FullModel(transformer)
    with model.disabled():
        assert torch.equal(velocity(transformer, BF16), velocity(transformer_in(BF16), BF16))
    moved_by(model, 1e-3)
    with pytest.raises(TrainingError, match="no copy of the base"), model.disabled():
        pass


def publisher(transformer: nn.Module, *, shard_bytes: int = 10**9) -> ModelPublisher:
    return ModelPublisher(transformer, release_name, lambda step: ABOUT, shard_bytes)


@pytest.fixture
def tuned() -> WanTransformer3DModel:
    """A transformer in bfloat16 that is no base any more."""
    model = FullModel(transformer := transformer_in(BF16, blocks=2))
    moved_by(model, 1e-2)
    return transformer.requires_grad_(False)


@pytest.mark.parametrize("shard_bytes", [10**9, 100_000], ids=["one file", "shards"])
def test_stock_diffusers_loads_the_folder_with_equal_output(
    tuned: WanTransformer3DModel, tmp_path: Path, shard_bytes: int
) -> None:
    publisher(tuned, shard_bytes=shard_bytes).write(tmp_path, "run", step=3)
    files = sorted(tmp_path.glob("transformer/*.safetensors"))
    assert (len(files) > 2) == (shard_bytes == 100_000)
    stock = WanTransformer3DModel.from_pretrained(tmp_path / "transformer", dtype=BF16)
    assert isinstance(stock, WanTransformer3DModel)
    assert torch.equal(velocity(stock, BF16), velocity(tuned, BF16))
    assert {name: weight.dtype for name, weight in stock.named_parameters()} == {
        name: weight.dtype for name, weight in tuned.named_parameters()
    }


@pytest.mark.parametrize("shard_bytes", [10**9, 100_000], ids=["one file", "shards"])
def test_our_own_loader_reads_both_layouts(tuned: WanTransformer3DModel, tmp_path: Path, shard_bytes: int) -> None:
    own = publisher(tuned, shard_bytes=shard_bytes)
    own.write(tmp_path, "run", step=3)
    assert isinstance(own, Publisher)
    folder, single = (tmp_path / place for place in own.places("run"))
    for place in (folder, look_into(single, tuned.config)):
        loaded = load_transformer(place, device=CPU, dtype=BF16)
        assert torch.equal(velocity(loaded, BF16), velocity(tuned, BF16))


def test_a_fine_tuned_model_is_the_base_of_another_run(
    tuned: WanTransformer3DModel, tiny_model: Path, tmp_path: Path
) -> None:
    own = publisher(tuned)
    own.write(tmp_path / "out", "run", step=3)
    base = tmp_path / "model"
    shutil.copytree(tiny_model, base)
    shutil.rmtree(base / "transformer")
    (tmp_path / "out/transformer").rename(base / "transformer")
    loaded = open_tiny(base, BF16).load_transformer(CPU)
    assert torch.equal(velocity(loaded, BF16), velocity(tuned, BF16))


def test_the_files_are_the_same_at_each_writing(tuned: WanTransformer3DModel, tmp_path: Path) -> None:
    for name in ("one", "two"):
        publisher(tuned, shard_bytes=200_000).write(tmp_path / name, "run", step=3)
    files = [path.relative_to(tmp_path / "one") for path in tmp_path.glob("one/**/*") if path.is_file()]
    assert len(files) > 4
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_the_files_say_what_they_are_and_not_where_they_came_from(tuned: WanTransformer3DModel, tmp_path: Path) -> None:
    save_transformer(tmp_path / "first", tuned, metadata={})
    loaded = WanTransformer3DModel.from_pretrained(tmp_path / "first")
    assert isinstance(loaded, WanTransformer3DModel)
    publisher(loaded).write(tmp_path / "second", "run", step=3)
    config = json.loads((tmp_path / "second/transformer/config.json").read_text())
    assert config == json.loads((tmp_path / "first/config.json").read_text())
    assert config["_class_name"] == "WanTransformer3DModel"
    assert str(tmp_path) not in json.dumps(config)
    for file in (tmp_path / "second").rglob("*.safetensors"):
        with safe_open(file, framework="pt") as opened:
            (told,) = opened.metadata().values()
        assert json.loads(told)["reeltune"]["base_fingerprint"] == "abc"


def test_the_single_file_has_the_release_s_names_behind_comfyui_s_prefix(
    tuned: WanTransformer3DModel, tmp_path: Path
) -> None:
    publisher(tuned).write(tmp_path, "run", step=3)
    names = set(load_file(tmp_path / "comfyui/run.safetensors"))
    assert all(name.startswith("model.diffusion_model.") for name in names)
    short = {name.removeprefix("model.diffusion_model.") for name in names}
    assert len(short) == len(tuned.state_dict())
    assert {
        "blocks.0.self_attn.q.weight",
        "blocks.1.cross_attn.o.bias",
        "blocks.0.self_attn.norm_q.weight",
        "blocks.0.ffn.2.weight",
        "blocks.0.norm3.weight",
        "blocks.0.modulation",
        "time_projection.1.weight",
        "head.head.weight",
        "head.modulation",
        "patch_embedding.weight",
    } <= short


def test_an_average_is_published_as_it_acts(tmp_path: Path) -> None:
    transformer = transformer_in(BF16)
    model = FullModel(transformer)
    average = {name: master.detach() + 0.01 for name, master in model.trainable().items()}
    with model.holding(average):
        publisher(transformer).write(tmp_path, "run", step=1)
    written = load_file(tmp_path / "transformer/diffusion_pytorch_model.safetensors")
    for name, tensor in written.items():
        assert torch.equal(tensor, average[name].to(number_type(name, BF16))), name


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda tensors: {**tensors, "proj_out.bias": tensors["proj_out.bias"] + 1}, "proj_out.bias has other numbers"),
        (lambda tensors: {**tensors, "proj_out.bias": tensors["proj_out.bias"].float()}, "is torch.float32 there"),
        (lambda tensors: {**tensors, "more": torch.zeros(1)}, "more is in one of them only"),
    ],
    ids=["numbers", "type", "names"],
)
def test_a_file_that_does_not_hold_what_acts_is_refused(
    tuned: WanTransformer3DModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Spoil, said: str
) -> None:
    def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(spoil({name: tensor.clone() for name, tensor in tensors.items()}), path)

    monkeypatch.setattr("reeltune.adapters.transformer_files.save_tensors", write)
    with pytest.raises(CheckpointError, match=said):
        save_transformer(tmp_path / "t", tuned, metadata={})
    if "numbers" in said:
        with pytest.raises(CheckpointError, match="proj_out"):
            save_single_file(tmp_path / "one.safetensors", tuned, lambda name: name, metadata={})


def test_shards_hold_no_more_than_they_may_but_for_one_large_tensor() -> None:
    tensors = {"b": torch.zeros(3), "a": torch.zeros(2), "c": torch.zeros(9), "d": torch.zeros(1)}
    assert [list(shard) for shard in split_in_shards(tensors, 20)] == [["a", "b"], ["c"], ["d"]]
    assert [list(shard) for shard in split_in_shards(tensors, 1)] == [["a"], ["b"], ["c"], ["d"]]


def test_a_whole_pipeline_is_put_together_around_it(
    tuned: WanTransformer3DModel, tiny_model: Path, tmp_path: Path
) -> None:
    publisher(tuned, shard_bytes=100_000).write(tmp_path, "run", step=3)
    parts = {name: tiny_model / name for name in ("vae", "text_encoder", "tokenizer", "scheduler")}
    for index in (tiny_model / "model_index.json", json.loads((tiny_model / "model_index.json").read_text())):
        write_pipeline(tmp_path / "pipeline", tmp_path / "transformer", parts, index)
    pipeline = WanPipeline.from_pretrained(tmp_path / "pipeline", dtype=BF16)
    assert isinstance(pipeline.transformer, WanTransformer3DModel)
    assert torch.equal(velocity(pipeline.transformer, BF16), velocity(tuned, BF16))
    # No second copy of large weights on one disk, small files that people edit apart, and nothing half-written.
    for name, together in (("vae/diffusion_pytorch_model.safetensors", True), ("vae/config.json", False)):
        if tmp_path.stat().st_dev == tiny_model.stat().st_dev:
            assert (tmp_path / "pipeline" / name).samefile(tiny_model / name) == together
    assert {path.name for path in tmp_path.iterdir()} == {"comfyui", "pipeline", "transformer"}

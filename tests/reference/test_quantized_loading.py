"""What is quantized while it is read is what the libraries make of the whole, and no second layer is ever whole."""

from __future__ import annotations

import copy
import functools
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers import UMT5EncoderModel

from reeltune.config.model import ModelOptions
from reeltune.contracts.dimensions import Dimensions
from reeltune.demo.model import TEXT_WIDTH, make_transformer
from reeltune.estimate.memory import Storage, base_bytes
from reeltune.families.opening import Opening
from reeltune.families.quantizing import Quantizing
from reeltune.families.rounding import random_samples
from reeltune.families.wan import encoders
from reeltune.families.wan.family import Wan, open_model
from reeltune.families.wan.single_file import release_name
from reeltune.families.wan.transformer import number_type
from reeltune.quantize.apply import PRECISIONS, quantize_linears
from reeltune.quantize.rules import encoder_names, quantized_names
from reeltune.quantize.stored import quantized_layers, stored_bytes

pytest.importorskip("torchao")
pytest.importorskip("optimum.quanto")

CPU = torch.device("cpu")
TOKENS = torch.tensor([[3, 7, 11, 25, 1, 0, 0]])


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with two blocks only."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("shallow") / "model")
    shutil.rmtree(folder / "transformer")
    torch.manual_seed(1)
    make_transformer(2).save_pretrained(folder / "transformer")
    return folder


def opened(model: Path, dtype: torch.dtype = torch.bfloat16, *, precision: str = "no_change", via: str = "cpu") -> Wan:
    options = ModelOptions(pretrained_model_name_or_path=str(model))
    return open_model(options, Opening(dtype, base_precision=precision, quantize_via=via))


def by_the_library(module: nn.Module, precision: str, names: list[str]) -> None:
    """Quantize the named layers as the libraries' own guides do: the whole module in one call."""
    kind, library = precision.split("-")
    if library == "quanto":
        from optimum import quanto

        weights = {"int8": quanto.qint8, "fp8": quanto.qfloat8_e4m3fn}[kind]
        quanto.quantize(module, weights=weights, include=names)
        quanto.freeze(module)
    else:
        from torchao import quantization

        configs = {"int8": quantization.Int8WeightOnlyConfig, "fp8": quantization.Float8WeightOnlyConfig}
        quantization.quantize_(module, configs[kind](), filter_fn=lambda layer, name: name in names)


def parts(module: nn.Module) -> dict[str, Tensor]:
    """Return the plain tensors that a module is made of, by name; numbers of 8 bits as they are stored."""
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]
    return {name: part for whole, tensor in named for name, part in inside(whole, tensor)}


def inside(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if is_traceable_wrapper_subclass(tensor):
        for inner in tensor.__tensor_flatten__()[0]:
            yield from inside(f"{name}.{inner}", getattr(tensor, inner))
    else:
        yield name, tensor.view(torch.uint8) if tensor.dtype == torch.float8_e4m3fn else tensor


def assert_same(result: nn.Module, expected: nn.Module) -> None:
    there, wanted = parts(result), parts(expected)
    assert there.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert there[name].dtype == tensor.dtype, name
        assert torch.equal(there[name], tensor), name


@pytest.mark.parametrize("via", ["cpu", "accelerator"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_layer_by_layer_gives_the_librarys_result_for_the_whole(model: Path, precision: str, via: str) -> None:
    result = opened(model, precision=precision, via=via).load_transformer(CPU)
    expected = opened(model).load_transformer(CPU)
    by_the_library(expected, precision, quantized_names(expected, "blocks"))
    assert_same(result, expected)
    assert not any(parameter.requires_grad for parameter in result.parameters())


def test_no_second_layer_is_whole_wherever_its_tensors_lie(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scattered = shutil.copytree(model, tmp_path / "model")
    scatter(scattered / "transformer")
    whole: list[list[str]] = []
    finish = Quantizing.finish

    def watched(own: Quantizing, module: nn.Module, layer: str, device: torch.device) -> None:
        done = quantized_layers(module)
        weights = {name: module.get_submodule(name).weight for name in quantized_names(module, "blocks")}
        whole.append([name for name, weight in weights.items() if name not in done and not weight.is_meta])
        finish(own, module, layer, device)

    monkeypatch.setattr(Quantizing, "finish", watched)
    transformer = opened(scattered, precision="int8-torchao").load_transformer(CPU)
    assert sorted(whole) == sorted([name] for name in quantized_names(transformer, "blocks"))


def scatter(folder: Path) -> None:
    """Put weights and biases into files of their own, so that no file has a whole layer."""
    (file,) = folder.glob("*.safetensors")
    tensors = load_file(file)
    file.unlink()
    names = {"1": [n for n in tensors if n.endswith("bias")], "2": [n for n in tensors if not n.endswith("bias")]}
    places = {number: f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in names}
    for number, place in places.items():
        save_file({name: tensors[name] for name in names[number]}, folder / place)
    index = {"weight_map": {name: places[number] for number in names for name in names[number]}}
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))


def other_name(tensors: dict[str, Tensor]) -> None:
    tensors["encoder.embed_tokens.weight"] = tensors.pop("shared.weight")


def both_names(tensors: dict[str, Tensor]) -> None:
    tensors["encoder.embed_tokens.weight"] = tensors["shared.weight"].clone()


def two_tables(tensors: dict[str, Tensor]) -> None:
    tensors["encoder.embed_tokens.weight"] = tensors["shared.weight"] + 1


@pytest.mark.parametrize(
    ("change", "dtype"),
    [
        *((lambda tensors: None, dtype) for dtype in (torch.float32, torch.bfloat16, torch.float16)),
        *((change, torch.bfloat16) for change in (other_name, both_names, two_tables)),
    ],
)
# transformers says that it does not tie two tables.
@pytest.mark.filterwarnings("ignore")
def test_the_text_encoder_is_that_of_from_pretrained(
    model: Path, tmp_path: Path, change: Callable[[dict[str, Tensor]], None], dtype: torch.dtype
) -> None:
    folder = shutil.copytree(model / "text_encoder", tmp_path / "text_encoder")
    (file,) = folder.glob("*.safetensors")
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    result = encoders.load_text_encoder(folder, CPU, dtype=dtype)
    expected = UMT5EncoderModel.from_pretrained(folder, dtype=dtype)
    assert_same(result, expected)
    assert not result.training
    tied = [module.shared.weight is module.encoder.embed_tokens.weight for module in (result, expected)]
    assert tied == [change is not two_tables] * 2
    mask = (TOKENS != 0).long()
    with torch.no_grad():
        assert torch.equal(result(TOKENS, mask).last_hidden_state, expected(TOKENS, mask).last_hidden_state)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_quantized_text_encoder_is_the_librarys(model: Path, precision: str) -> None:
    folder = model / "text_encoder"
    result = encoders.load_text_encoder(folder, CPU, dtype=torch.bfloat16, quantizing=Quantizing(precision))
    expected = UMT5EncoderModel.from_pretrained(folder, dtype=torch.bfloat16).eval()
    by_the_library(expected, precision, encoder_names(expected))
    assert_same(result, expected)
    assert result.shared.weight is result.encoder.embed_tokens.weight


WIDE = Dimensions(layers=1, heads=12, head_width=128, ffn=8960)
"""One block of the 1.3B transformer, with all that is around the blocks."""


@functools.cache
def wide_transformer() -> nn.Module:
    """Return a bfloat16 transformer of that size, with whatever values."""
    with init_empty_weights():
        transformer = WanTransformer3DModel(
            num_attention_heads=WIDE.heads, attention_head_dim=WIDE.head_width, ffn_dim=WIDE.ffn, num_layers=WIDE.layers
        )
    noise = torch.randn(1 << 20)
    for name, parameter in list(transformer.named_parameters()):
        layer, _, last = name.rpartition(".")
        values = noise.repeat(-(-parameter.numel() // noise.numel()))[: parameter.numel()].view(parameter.shape)
        weight = nn.Parameter(values.to(number_type(name, torch.bfloat16)), requires_grad=False)
        setattr(transformer.get_submodule(layer), last, weight)
    return transformer


def test_the_plans_figure_is_what_a_bfloat16_base_takes() -> None:
    assert base_bytes(WIDE, Storage()) == stored_bytes(wide_transformer())


@pytest.mark.parametrize("precision", PRECISIONS)
def test_quantized_linears_take_half_and_the_plan_says_so(precision: str) -> None:
    transformer = copy.deepcopy(wide_transformer())
    names = quantized_names(transformer, "blocks")
    before = sum(stored_bytes(transformer.get_submodule(name)) for name in names)
    quantize_linears(transformer, precision, names=names)
    after = sum(stored_bytes(transformer.get_submodule(name)) for name in names)
    # Beside a byte for each weight: the bias, and for each row, of 1536 or more, a scale and perhaps a zero.
    assert 0.5 < after / before < 0.503
    assert stored_bytes(transformer) == pytest.approx(base_bytes(WIDE, Storage(precision=precision)), rel=0.001)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_rounding_error_is_that_against_the_unquantized_base(model: Path, precision: str) -> None:
    wan, plain = opened(model, precision=precision), opened(model)
    transformer = wan.load_transformer(CPU).train()
    error = wan.rounding_error(transformer, CPU)
    assert error is not None
    # Int8 steps are finer than those of 4 significant bits.
    assert 1e-3 < error < (0.03 if precision.startswith("int8") else 0.1)
    assert transformer.training
    assert not any(module._forward_hooks for module in transformer.modules())
    # Against a whole bfloat16 base, to the last bit: the layers multiply with the same weights.
    noised, batch = random_samples(wan.facts.geometry, text_width=TEXT_WIDTH, device=CPU)
    with torch.no_grad():
        rounded = wan.predict(transformer.eval(), noised, batch).double()
        exact = plain.predict(plain.load_transformer(CPU), noised, batch).double()
    assert error == ((rounded - exact).norm() / exact.norm()).item()


def test_nothing_is_rounded_where_nothing_is_quantized(model: Path) -> None:
    wan = opened(model)
    assert wan.rounding_error(wan.load_transformer(CPU), CPU) is None


def test_the_original_weights_are_found_in_a_single_file_too(model: Path, tmp_path: Path) -> None:
    (shard,) = (model / "transformer").glob("*.safetensors")
    file = tmp_path / "wan.safetensors"
    save_file({f"model.diffusion_model.{release_name(name)}": t for name, t in load_file(shard).items()}, file)
    options = ModelOptions(
        pretrained_model_name_or_path=str(model), pretrained_transformer_model_name_or_path=str(file)
    )
    errors = []
    for wan in (
        opened(model, precision="int8-torchao"),
        open_model(options, Opening(torch.bfloat16, base_precision="int8-torchao")),
    ):
        errors.append(wan.rounding_error(wan.load_transformer(CPU), CPU))
    assert errors[0] == errors[1] is not None


PROBE = """
import sys, torch
from pathlib import Path
from torch import nn
from transformers import UMT5EncoderModel
from reeltune.families.opening import Opening
from reeltune.families.wan.family import Wan
from reeltune.families.wan.parts import WanParts
from reeltune.quantize.apply import quantize_linears
from reeltune.quantize.stored import stored_bytes

def bytes_of(key):
    return next(1024 * int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith(key))

folder, part, precision = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
wan = Wan(
    WanParts(folder, folder, folder, folder, folder),
    Opening(torch.bfloat16, base_precision=precision, text_precision=precision),
)
if precision != "no_change":
    quantize_linears(nn.Sequential(nn.Linear(64, 64)), precision, names=["0"])  # imports the library
before = bytes_of("VmRSS")
load = {"transformer": wan.load_transformer, "text encoder": wan._load_text_encoder}[part]
module = load(torch.device("cpu"))
print(bytes_of("VmHWM") - before, stored_bytes(module))
"""


def write_random(folder: Path, module: nn.Module, dtype: torch.dtype, prefix: str) -> None:
    """Write a checkpoint of random numbers, one tensor after the other, in one file."""
    state, position, header = module.state_dict(), 0, {}
    for name, tensor in state.items():
        size = tensor.numel() * dtype.itemsize
        kind = {torch.float32: "F32", torch.bfloat16: "BF16"}[dtype]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [position, position + size]}
        position += size
    text = json.dumps(header).encode()
    largest = max(tensor.numel() for tensor in state.values())
    noise = memoryview((0.02 * torch.randn(largest)).to(dtype).view(torch.uint8).numpy())  # pyright: ignore[reportArgumentType]
    with (folder / f"{prefix}.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for tensor in state.values():
            stream.write(noise[: tensor.numel() * dtype.itemsize])


def peak_ratio(folder: Path, part: str, precision: str) -> float:
    """Return by how many times its final size the memory of a process grows at most while it loads a part."""
    words = [sys.executable, "-c", PROBE, str(folder), part, precision]
    outcome = subprocess.run(words, check=True, text=True, capture_output=True)
    grown, kept = map(int, outcome.stdout.split())
    return grown / kept


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from Linux's /proc")
def test_loading_13b_takes_little_more_memory_than_what_stays(tmp_path: Path) -> None:
    with init_empty_weights():
        transformer = WanTransformer3DModel(num_attention_heads=12, attention_head_dim=128, ffn_dim=8960, num_layers=30)
    transformer.save_config(tmp_path)
    write_random(tmp_path, transformer, torch.bfloat16, "diffusion_pytorch_model")
    try:
        ratios = {name: peak_ratio(tmp_path, "transformer", name) for name in ("no_change", "int8-torchao")}
    finally:
        shutil.rmtree(tmp_path)
    # Pages of the files that are mapped count as well. int8: one layer in bfloat16, and float32 while it is rounded.
    assert all(1 < ratio < 1.2 for ratio in ratios.values()), ratios


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from Linux's /proc")
def test_loading_a_text_encoder_takes_little_more_memory_than_what_stays(tmp_path: Path) -> None:
    # An eighth of UMT5-XXL's layers and vocabulary at its full width: 0.7 B.
    config = {"vocab_size": 32000, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 3, "num_heads": 64}
    with init_empty_weights():
        encoder = encoders.blank_text_encoder(config | {"feed_forward_proj": "gated-gelu"})
    encoder.config.save_pretrained(tmp_path)
    encoder.tie_weights()
    del encoder.encoder.embed_tokens  # as the real file has it: under one name
    write_random(tmp_path, encoder, torch.bfloat16, "model")
    try:
        ratios = {name: peak_ratio(tmp_path, "text encoder", name) for name in ("no_change", "int8-quanto")}
    finally:
        shutil.rmtree(tmp_path)
    assert ratios["no_change"] < 1.2, ratios
    # One layer of 42 M weights in bfloat16 and in float32 is a third of this small encoder, and 5 % of the real one.
    assert ratios["int8-quanto"] < 1.6, ratios

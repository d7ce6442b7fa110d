"""How many numbers a LyCORIS adapter trains, counted from sizes alone.

Equal to what lycoris' own modules hold, layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from reeltune.config.lycoris import LayerSettings
from reeltune.config.lycoris_choice import LycorisLayer
from reeltune.config.lycoris_keys import DECOMPOSABLE, READ_BY
from reeltune.config.lycoris_sizes import split, split_in_powers, stages
from reeltune.contracts.layers import LinearLayer


def lycoris_parameters(chosen: Iterable[LycorisLayer]) -> int:
    """Return the numbers that an adapter of these layers trains."""
    return sum(layer_parameters(one) for one in chosen)


def layer_parameters(one: LycorisLayer) -> int:
    """Return the numbers that are trained for one layer."""
    layer, settings = one.layer, one.settings
    assert settings.algo is not None
    total = COUNTS[settings.algo](layer, settings)
    if settings.use_scalar and settings.algo in READ_BY["use_scalar"]:
        total += 1
    if settings.weight_decompose and settings.algo in DECOMPOSABLE:
        total += layer.outputs if settings.wd_on_output else layer.inputs
    return total


def _dim(settings: LayerSettings) -> int:
    assert settings.dim is not None
    return settings.dim


def _lora(layer: LinearLayer, settings: LayerSettings) -> int:
    return _dim(settings) * (layer.inputs + layer.outputs)


def _loha(layer: LinearLayer, settings: LayerSettings) -> int:
    return 2 * _lora(layer, settings)


def _lokr(layer: LinearLayer, settings: LayerSettings) -> int:
    factor, dim = settings.factor, _dim(settings)
    assert factor is not None
    (left_in, right_in), (left_out, right_out) = split(layer.inputs, factor), split(layer.outputs, factor)
    if settings.unbalanced_factorization:
        left_out, right_out = right_out, left_out
    return sum(
        dim * (rows + columns) if may_be_product and 2 * dim < max(rows, columns) else rows * columns
        for rows, columns, may_be_product in (
            (left_out, left_in, settings.decompose_both and not settings.full_matrix),
            (right_out, right_in, not settings.full_matrix),
        )
    )


def _full(layer: LinearLayer, _: LayerSettings) -> int:
    return layer.weights + (layer.outputs if layer.has_bias else 0)


def _ia3(layer: LinearLayer, settings: LayerSettings) -> int:
    return layer.inputs if settings.train_on_input else layer.outputs


def _diag_oft(layer: LinearLayer, settings: LayerSettings) -> int:
    size, count = split(layer.outputs, _dim(settings))
    return count * size**2 + _rescale(layer, settings)


def _boft(layer: LinearLayer, settings: LayerSettings) -> int:
    cut = split_in_powers(layer.outputs, _dim(settings))
    assert cut is not None, layer
    size, count = cut
    return stages(count) * count * size**2 + _rescale(layer, settings)


def _rescale(layer: LinearLayer, settings: LayerSettings) -> int:
    return layer.outputs if settings.rescaled else 0


def _glora(layer: LinearLayer, settings: LayerSettings) -> int:
    return _dim(settings) * (3 * layer.inputs + layer.outputs)


COUNTS: Mapping[str, Callable[[LinearLayer, LayerSettings], int]] = {
    "lora": _lora,
    "dylora": _lora,
    "loha": _loha,
    "lokr": _lokr,
    "full": _full,
    "ia3": _ia3,
    "diag-oft": _diag_oft,
    "boft": _boft,
    "glora": _glora,
}
"""By algorithm, the numbers that are trained for one layer, without scalar and lengths."""

"""What `reeltune doctor` looks at beyond the bare machine: codecs, the hub's folder, and a configuration."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from reeltune.config.datasets import ClipDataset, SourceKind
from reeltune.config.load import Loaded
from reeltune.config.root import Config
from reeltune.errors import ConfigError, ModelError, ShortageError
from reeltune.machine import packages
from reeltune.machine.check import Check

REINSTALL_CODECS = "pip install --force-reinstall av"


def codec_check() -> Check:
    """Write a small H.264 video and read it again."""
    try:
        import av
        import numpy as np

        from reeltune.media import write_mp4

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "video.mp4"
            write_mp4(path, np.zeros((3, 32, 32, 3), np.uint8), fps=16.0)
            with av.open(str(path)) as container:
                frames = sum(1 for _ in container.decode(video=0))
    # All of them: a codec that is missing or broken is what is looked for, and says so in its own ways.
    except Exception as error:
        return Check("video codecs", "fail", f"H.264 cannot be written and read: {error}", REINSTALL_CODECS)
    if frames != 3:
        return Check("video codecs", "fail", f"of 3 frames of H.264, {frames} came back", REINSTALL_CODECS)
    return Check("video codecs", "ok", f"H.264 is written and read, PyAV {av.__version__}")


def hub_cache_check() -> Check:
    """See whether what is fetched from the hub can be kept."""
    from huggingface_hub import constants

    from reeltune.run.preflight import require_writable

    folder = Path(constants.HF_HUB_CACHE)
    try:
        require_writable(folder, "HF_HUB_CACHE")
    except ShortageError as error:
        return Check("hub cache", "fail", str(error), "export HF_HOME=/a/folder/of/your/own")
    return Check("hub cache", "ok", f"{folder} can be written")


def configuration_checks(loaded: Loaded, *, bfloat16: bool, made: bool = False) -> Iterator[Check]:
    """Return whether this configuration can run here.

    bfloat16: whether the device computes in it. made: the data and the model are yet to be made, as an example's are.
    """
    yield from _precision(loaded.config, bfloat16=bfloat16)
    yield from _means(loaded.config)
    yield from _folders(loaded)
    if not made:
        yield _model(loaded.config)
        yield from _clips(loaded)


def _precision(config: Config, *, bfloat16: bool) -> Iterator[Check]:
    if config.model.compute_type != "bf16" or bfloat16:
        return
    quantized = config.model.base_model_precision != "no_change"
    fix = "base_model_default_dtype=fp32" if quantized else "mixed_precision=no"
    yield Check("precision", "fail", "bf16 was chosen, and this GPU does not compute in it; float32 it can", fix)


def _means(config: Config) -> Iterator[Check]:
    """Packages and logins that options need; what can be done without is a warning."""
    from reeltune.run.means import find_means

    try:
        notes = find_means(config).notes
    except ConfigError as error:
        yield Check("packages", "fail", str(error))
        return
    yield from (Check(note.about, "warn", note.text) for note in notes if note.kind == "fallback")


def _folders(loaded: Loaded) -> Iterator[Check]:
    """Each folder that is written to."""
    from reeltune.run.preflight import require_writable

    datasets = loaded.datasets
    places = [
        ("output_dir", loaded.config.reporting.run_folder),
        *(("cache_dir_vae", Path(dataset.cache_dir_vae)) for dataset in datasets.clips),
        ("cache_dir", Path(datasets.text.cache_dir)),
    ]
    problems = []
    for option, folder in places:
        try:
            require_writable(folder.expanduser(), option)
        except ShortageError as error:
            problems.append(Check("folders", "fail", str(error)))
    yield from problems or [Check("folders", "ok", "results and caches can be written")]


def _model(config: Config) -> Check:
    from reeltune.families import check_family, family_locations

    try:
        check_family(config.model)
        parts = family_locations(config.model)
    except ModelError as error:
        return Check("model", "fail", str(error))
    to_fetch = sorted({part.place for part in parts if part.state == "hub"})
    if not to_fetch:
        return Check("model", "ok", f"{config.model.base_model} is here")
    return Check("model", "ok", f"will be fetched from the hub: {', '.join(to_fetch)}")


def _clips(loaded: Loaded) -> Iterator[Check]:
    """Whether what can be seen without the network of each dataset is there."""
    for dataset in loaded.datasets.clips:
        yield _SOURCES[dataset.type](dataset)
        if dataset.parquet and "parquet" in (dataset.caption_strategy, dataset.metadata_backend):
            yield _file(f"captions {dataset.id}", dataset.parquet.path, "parquet.path in the dataset file")


def _folder(dataset: ClipDataset) -> Check:
    folder = Path(dataset.place).expanduser()
    if folder.is_dir():
        return Check(f"clips {dataset.id}", "ok", str(folder))
    return Check(f"clips {dataset.id}", "fail", f"{folder} is no folder", "instance_data_dir in the dataset file")


def _table(dataset: ClipDataset) -> Check:
    return _file(f"clips {dataset.id}", dataset.place, "csv_file in the dataset file")


def _file(name: str, place: str, fix: str) -> Check:
    path = Path(place).expanduser()
    return Check(name, "ok", str(path)) if path.is_file() else Check(name, "fail", f"{path} is no file", fix)


def _bucket(dataset: ClipDataset) -> Check:
    if missing := packages.missing("s3fs"):
        fix = packages.PACKAGES["s3fs"].install
        return Check(f"clips {dataset.id}", "fail", f"{dataset.place} is read with s3fs: {missing}", fix)
    return Check(f"clips {dataset.id}", "ok", f"{dataset.place} will be listed; nothing was asked over the network")


def _hub_dataset(dataset: ClipDataset) -> Check:
    folder = Path(dataset.place).expanduser()
    if folder.is_dir():
        return Check(f"clips {dataset.id}", "ok", str(folder))
    text = f"{dataset.place} will be read from the hub; nothing was asked over the network"
    return Check(f"clips {dataset.id}", "ok", text)


_SOURCES: Mapping[SourceKind, Callable[[ClipDataset], Check]] = {
    "local": _folder,
    "csv": _table,
    "aws": _bucket,
    "huggingface": _hub_dataset,
}

"""What the whole model learns when it trains with token routing: the loss on held-out clips, where nothing is routed.

The tiny model is trained in full from random weights on 20 of the example's clips, by the command that users type, and
measured on 4 others at fixed noise; once for each share that is dropped, with the same seed, clips and noise.

    python benchmarks/tread_learning.py --draw docs/tread-learning.svg
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from reeltune.demo.example import make_example

SHARES = (0.0, 0.1, 0.5)
COLORS = ("#555", "#0a7", "#c40")
HELD_OUT = 4

Curve = dict[int, float]
"""Loss by step."""


def prepare(place: Path) -> None:
    """Make model and clips, and set some clips aside."""
    make_example(place / "output/tiny")
    clips, aside = place / "output/tiny/clips", place / "held"
    aside.mkdir()
    for clip in sorted(clips.glob("*.mp4"))[:HELD_OUT]:
        for file in (clip, clip.with_suffix(".txt")):
            shutil.move(file, aside)
    entries = [
        _dataset("clips", "video", clips.relative_to(place)),
        _dataset("held", "eval", aside.relative_to(place)),
        {"id": "text-embeds", "dataset_type": "text_embeds", "cache_dir": "cache/text"},
    ]
    (place / "data.json").write_text(json.dumps(entries), encoding="utf-8")


def _dataset(name: str, kind: str, folder: Path) -> dict[str, object]:
    return {
        "id": name,
        "dataset_type": kind,
        "instance_data_dir": str(folder),
        "cache_dir_vae": f"cache/{name}",
        "video": {"num_frames": 17},
    }


def learn(place: Path, share: float, arguments: argparse.Namespace) -> tuple[Curve, Curve]:
    """Train once; return the loss of training, and that on the held-out clips."""
    folder = f"output/dropped-{share}"
    words = [
        *("train", "--example", "tiny", "data_backend_config=data.json", "model_type=full", f"output_dir={folder}"),
        *("validation_disable=true", f"max_train_steps={arguments.steps}", f"checkpointing_steps={arguments.steps}"),
        *(f"eval_steps_interval={arguments.interval}", "eval_timesteps=8", "use_ema=false", "lr_scheduler=constant"),
        *(f"learning_rate={arguments.rate}", "mixed_precision=no", "report_to=none", "max_grad_norm=1"),
        "grad_clip_method=norm",
    ]
    if share:
        route = {"selection_ratio": share, "start_layer_idx": 2, "end_layer_idx": -2}
        words.append(f"tread_config={json.dumps({'routes': [route]})}")
    subprocess.run([sys.executable, "-m", "reeltune", *words], cwd=place, check=True, capture_output=True)
    (journal,) = (place / folder).rglob("events.jsonl")
    events = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    trained = {event["step"]: event["loss"] for event in events if event["event"] == "StepDone"}
    held_out = {event["step"]: event["loss"] for event in events if event["event"] == "Evaluated"}
    return trained, held_out


def table(curves: dict[float, tuple[Curve, Curve]]) -> str:
    """Return the losses as a table: of the first ten steps of training, then on the held-out clips by step."""
    steps = list(curves[SHARES[0]][1])
    head = ["dropped", "first 10 steps, training", *(f"held out, step {step}" for step in steps)]
    lines = [head, ["---"] * len(head)]
    for share, (trained, held_out) in curves.items():
        start = statistics.fmean(list(trained.values())[:10])
        lines.append([f"{share:g}", f"{start:.3f}", *(f"{held_out[step]:.4f}" for step in steps)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(curves: dict[float, tuple[Curve, Curve]]) -> str:
    """Return the held-out losses as an SVG: steps to the right, loss upward from 0."""
    width, height, left, below = 640, 320, 60, 40
    last = max(max(held_out) for _, held_out in curves.values())
    top = 1.1 * max(max(held_out.values()) for _, held_out in curves.values())

    def at(step: float, loss: float) -> str:
        return f"{left + (width - left - 20) * step / last:.1f},{(height - below) * (1 - loss / top) + 10:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 20}" font-family="sans-serif" '
        'font-size="13">',
        f'<rect width="{width}" height="{height + 20}" fill="#fff"/>',
        f'<polyline fill="none" stroke="#999" points="{at(0, top)} {at(0, 0)} {at(last, 0)}"/>',
    ]
    for tick in range(5):
        x, y = at(last * tick / 4, 0).split(",")
        parts.append(f'<text x="{x}" y="{float(y) + 18}" text-anchor="middle">{last * tick // 4}</text>')
        x, y = at(0, top * tick / 4).split(",")
        parts.append(f'<text x="{float(x) - 8}" y="{y}" text-anchor="end">{top * tick / 4:.2f}</text>')
    for number, ((share, (_, held_out)), color) in enumerate(zip(curves.items(), COLORS, strict=True)):
        points = " ".join(at(step, loss) for step, loss in held_out.items())
        parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{points}"/>')
        parts.append(f'<text x="{width - 180}" y="{30 + 18 * number}" fill="{color}">{share:.0%} dropped</text>')
    parts.append(f'<text x="{width / 2}" y="{height + 12}" text-anchor="middle">step</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--interval", type=int, default=50)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--draw", type=Path, help="SVG file that the curves are drawn in")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        prepare(place)
        curves = {share: learn(place, share, arguments) for share in SHARES}
    print(table(curves))
    if arguments.draw:
        arguments.draw.write_text(picture(curves), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The last screen of a run: how it ended, where everything is, what to do next."""

from __future__ import annotations

from reeltune.contracts.outcome import Outcome


def last_screen(outcome: Outcome) -> str:
    """Return what a person should know when the command ends."""
    folder = outcome.folder
    videos = sorted((folder / "validation").glob("*.mp4"), key=lambda path: path.stat().st_mtime)
    places = {
        "adapter for diffusers": outcome.result,
        "adapter for ComfyUI": next(iter(sorted((folder / "comfyui").glob("*.safetensors"))), None),
        "newest video": videos[-1] if videos else None,
        "checkpoints": folder / "checkpoint-*",
        "what was trained, file by file": folder / "manifest.jsonl",
        "losses and events": folder / "events.jsonl",
    }
    lines = [f"  {name + ':':<32}{place}" for name, place in places.items() if place is not None]
    return "\n".join(["", _ending(outcome), *lines, "", _next_step(outcome)])


def _ending(outcome: Outcome) -> str:
    if outcome.nothing_to_do:
        return f"Nothing to do: all {outcome.total_steps} steps are done."
    if outcome.stopped:
        return f"Stopped on request after step {outcome.step} of {outcome.total_steps}; everything is saved."
    return f"Finished: {outcome.total_steps} steps."


def _next_step(outcome: Outcome) -> str:
    if outcome.stopped:
        return "Run the same command again to go on from here."
    return (
        f"Next: watch the video; train on with max_train_steps={2 * outcome.total_steps}; or use the adapter:\n"
        f'  pipeline.load_lora_weights("{outcome.folder}")'
    )

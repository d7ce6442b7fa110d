"""The quickstart's run as `plan` would see it on a machine with one RTX 4090 and no logins. The figures are made up,
yet of the right size.
"""

from __future__ import annotations

import math

from reeltune.contracts.notes import Note
from reeltune.contracts.outlook import (
    BucketOutlook,
    Card,
    Component,
    Cost,
    DatasetOutlook,
    DiskNeed,
    EvaluationOutlook,
    LeftOut,
    Length,
    MemoryNeed,
    NoiseLevels,
    Outlook,
    Rate,
    RateCurve,
    RenderOutlook,
    Routed,
    Routing,
    StepBound,
    Trained,
)

BASE = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
STEPS = 400_000


def cosine(share: float) -> float:
    return 5e-5 * (1 + math.cos(math.pi * share)) / 2


def density(sigma: float, shift: float = 3.0) -> float:
    """How often a noise level is drawn: a sigmoid of a normal number, shifted."""
    before = sigma / (shift - (shift - 1) * sigma)
    logit = math.log(before / (1 - before))
    slope = shift / (shift - (shift - 1) * sigma) ** 2
    return math.exp(-(logit**2) / 2) / math.sqrt(2 * math.pi) / (before * (1 - before)) * slope


TRAPS = (
    Note(
        "trap",
        "disney-black-and-white.video.num_frames",
        "75 -> 73 frames = 4.56 s at 16 frames per second: the autoencoder takes lengths of the form 4k+1; "
        "min_frames, which is the same number, follows",
    ),
    Note(
        "trap",
        "lr_warmup_steps",
        "400000 is not below the 400000 steps of the run: no warm-up, full rate at once, and decay over the whole "
        "run: 5e-05 at 0 %, 5e-05 at 1 %, 4.88e-05 at 10 %, 2.5e-05 at 50 %, 7.71e-16 at 100 %",
    ),
    Note(
        "trap",
        "max_grad_norm",
        "0.01 is a limit for each element of the gradient (grad_clip_method value), not for its norm; Lion uses "
        "signs, so it only evens out what single large elements add to the momentum",
    ),
    Note(
        "trap",
        "delete_problematic_images",
        "no file is ever deleted; clips that cannot be read are skipped and listed in quarantine.jsonl",
    ),
    Note("trap", "validation_resolution", "videos are 832x480; what is trained is 640x352"),
    Note("trap", "validation_num_video_frames", "videos have 81 frames; what is trained has 73"),
    Note(
        "trap",
        "ema_validation",
        "videos show the average alone, which follows about 10000 steps behind: early ones look like the base model; "
        "the result file holds the average too",
    ),
    Note("trap", "lycoris_config", "is not used: lora_type is standard, so a plain LoRA is trained"),
    Note(
        "trap",
        "push_to_hub, push_checkpoints_to_hub, delete_problematic_images",
        'are texts ("true" in quotes); read as true or false',
    ),
)

OTHERS = (
    Note(
        "fallback",
        "attention_mechanism",
        "it is for videos only, and sageattention is not installed; they are made with PyTorch's own attention",
    ),
    Note(
        "fallback",
        "report_to",
        'wandb is not installed (pip install "reeltune[wandb]"); losses go to metrics.csv in the run folder',
    ),
    Note(
        "fallback",
        "webhook_config",
        "config/wan/webhook.json does not exist, so no webhook is told; docs/options.md says what such a file holds",
    ),
    Note(
        "fallback",
        "push_to_hub, push_checkpoints_to_hub",
        "no login to the hub was found (hf auth login, or HF_TOKEN); the adapter stays in the run folder",
    ),
    Note("inert", "quantize_via", "nothing is quantized (base_model_precision is no_change)"),
    Note("inert", "ignore_final_epochs", "num_train_epochs is 0, so max_train_steps alone ends the run"),
    *(
        Note("inert", name, "every dataset sets its own")
        for name in ("resolution", "resolution_type", "minimum_image_size")
    ),
    *(
        Note(
            "inert",
            f"disney-black-and-white.{name}",
            "it is about what crop: true crops from, and crop is false",
        )
        for name in ("maximum_image_size", "target_downsample_size")
    ),
    Note("inert", "text-embeds.write_batch_size", "entries are written one by one, each whole"),
    Note("fact", "resume_from_checkpoint", "there is no checkpoint in output/wan yet: the run starts at step 0"),
)


def quickstart() -> Outlook:
    """Return the sample. Nothing in it is None but what the quickstart does not have: token routing."""
    return Outlook(
        run="output/wan",
        components=(
            Component("transformer", BASE, "in the hub's cache"),
            Component("autoencoder", BASE, "in the hub's cache"),
            Component("tokenizer", BASE, "to be fetched"),
            Component("text encoder", BASE, "to be fetched"),
        ),
        trained=Trained(
            kind="LoRA of rank 16",
            layers=240,
            parameters=11_796_480,
            base=BASE,
            base_parameters=1_418_996_800,
            precision="bf16, with the LoRA in float32",
            quantized="",
            optimizer="optimi-lion, each element of the gradient clipped to 0.01",
            average="EMA with a decay of 0.9999, every 2 steps",
            where="attention of all blocks",
        ),
        datasets=(
            DatasetOutlook(
                id="disney-black-and-white",
                folder="datasets/disney-black-and-white",
                held_out=False,
                found=69,
                used=57,
                windows=57,
                repeats=0,
                captions=57,
                left_out=(
                    LeftOut(
                        11,
                        "too short",
                        "videos/clip_0012.mp4: 60 frames at 16 fps, 73 are needed; lower num_frames to 57",
                    ),
                    LeftOut(1, "no caption", "videos/clip_0040.mp4: videos/clip_0040.txt is not there"),
                ),
                rates=(
                    "55 clips: 24.0 -> 16.0 fps: 73 frames = 4.56 s of source",
                    "2 clips: 15.0 fps, taken one to one at 16.0: 73 frames = 4.87 s of source",
                ),
            ),
            DatasetOutlook(
                id="disney-held-out",
                folder="datasets/disney-held-out",
                held_out=True,
                found=4,
                used=4,
                windows=4,
                repeats=0,
                captions=4,
                left_out=(),
                rates=("4 clips: 24.0 -> 16.0 fps: 73 frames = 4.56 s of source",),
            ),
        ),
        buckets=(
            BucketOutlook(640, 352, 73, samples=51, batches=26, tokens=16_720),
            BucketOutlook(480, 480, 73, samples=6, batches=3, tokens=17_100),
        ),
        length=Length(
            total_steps=STEPS,
            ended_by="max_train_steps",
            done=0,
            samples=57,
            batch_size=2,
            accumulation=1,
            batches_per_epoch=29,
            epochs=STEPS / 29,
            checkpoints=400,
        ),
        rates=RateCurve(
            name="cosine: full rate at once, then decay over the whole run",
            rates=tuple(
                Rate(percent, step, cosine(step / STEPS))
                for percent, step in ((0, 0), (1, 4000), (10, 40_000), (50, 200_000), (100, STEPS - 1))
            ),
            values=tuple(cosine(index / 119) for index in range(120)),
        ),
        noise=NoiseLevels(
            shift="shift 3",
            median=0.75,
            density=tuple(density((index + 0.5) / 120) for index in range(120)),
            rendered_shift="3, the model's own",
        ),
        routing=None,
        cost=Cost(
            step_tflop=641.7,
            render_tflop=23_283.4,
            evaluation_tflop=22_050.0,
            bounds=(
                StepBound("RTX 3090", 9.04, 327.9, 342.0, 5_475_000.0),
                StepBound("RTX 4090", 3.88, 141.1, 150.0, 2_356_000.0),
                StepBound("L40S", 1.77, 64.3, 67.0, 1_072_000.0),
                StepBound("A100", 2.06, 74.6, 78.0, 1_247_000.0),
                StepBound("H100", 0.649, 23.5, 31.4, 404_000.0),
            ),
            render_share=0.24,
        ),
        renders=RenderOutlook(
            prompts=1, videos=1, times=4001, sizes=((832, 480),), frames=81, steps=40, scheduler="UniPC"
        ),
        evaluation=EvaluationOutlook(
            ("disney-held-out",), clips=4, held_out=4, pooled=False, levels=28, passes=224, times=1600
        ),
        disk=(
            DiskNeed(
                "encoded clips", "cache/vae/wan/disney-black-and-white", 203_776_512, 212_600_000_000, "cache_dir_vae"
            ),
            DiskNeed("encoded texts", "cache/text/wan", 31_457_280, 212_600_000_000, "cache_dir"),
            DiskNeed("checkpoints", "output/wan", 1_179_648_000, 212_600_000_000, "output_dir"),
            DiskNeed("videos", "output/wan/validation", 8_402_100_000, 212_600_000_000, "output_dir"),
            DiskNeed("model files", "~/.cache/huggingface/hub", 11_361_920_418, 212_600_000_000, "HF_HOME"),
        ),
        memory=(
            MemoryNeed(
                "encoding texts",
                11_700_000_000,
                (("text encoder", 11_361_920_418), ("its work", 338_079_582)),
                "text_encoder_1_precision=int8-quanto",
            ),
            MemoryNeed(
                "encoding clips",
                6_300_000_000,
                (("autoencoder", 507_591_892), ("its work", 5_792_408_108)),
                "resolution",
            ),
            MemoryNeed(
                "training",
                11_900_000_000,
                (
                    ("transformer", 2_838_000_000),
                    ("LoRA", 47_185_920),
                    ("gradients", 47_185_920),
                    ("optimizer", 47_185_920),
                    ("average", 47_185_920),
                    ("kept for the backward pass", 8_873_256_320),
                ),
                "train_batch_size, resolution",
            ),
            MemoryNeed(
                "rendering",
                9_300_000_000,
                (("transformer", 2_838_000_000), ("autoencoder", 507_591_892), ("its work", 5_954_408_108)),
                "validation_resolution",
            ),
        ),
        card=Card("NVIDIA GeForce RTX 4090", 25_757_220_864, 24_900_000_000),
        notes=TRAPS + OTHERS,
    )


def with_routing() -> Routing:
    """Return the quickstart's simple route: 10 % of the tokens skip the blocks 2 to 28."""
    return Routing((Routed(0, 1, 17_100), Routed(2, 28, 15_390), Routed(29, 29, 17_100)), 17_100, 0.118)

"""Who listens to a run: the console and the journal always, others as the configuration asks and the machine has."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

from reeltune.config.root import Config
from reeltune.contracts.events import EventSink
from reeltune.families import family_facts
from reeltune.report.console import TrainingConsole
from reeltune.report.curves import Curves
from reeltune.report.hub import HubSink
from reeltune.report.journal import JOURNAL, Journal
from reeltune.report.model_card import model_card
from reeltune.report.trackers import open_tracker
from reeltune.report.webhook import WebhookSink
from reeltune.run.card import card_facts
from reeltune.run.means import Means


def listeners(config: Config, means: Means, folder: Path) -> list[EventSink]:
    """Return the sinks of a run. folder: of the run."""
    reporting = config.reporting
    trackers = [
        open_tracker(
            tracker.name,
            project=reporting.tracker_project_name,
            run=reporting.run_name,
            folder=folder,
            config=config.flat(),
            offline=tracker.offline,
        )
        for tracker in means.trackers
    ]
    webhooks = [
        WebhookSink(webhook, project=reporting.tracker_project_name, run=reporting.run_name)
        for webhook in means.webhooks
    ]
    return [
        TrainingConsole(),
        Journal(folder / JOURNAL),
        Curves(folder, weights=_result_weights(config)),
        *trackers,
        *webhooks,
        *_hub(config, means, folder),
    ]


def _result_weights(config: Config) -> Literal["raw", "ema"]:
    """Return of which weights the result of a run is."""
    return "ema" if config.average.use_ema and config.rendering.ema_validation == "ema_only" else "raw"


def _hub(config: Config, means: Means, folder: Path) -> Iterator[EventSink]:
    if means.hub is None:
        return
    reporting = config.reporting
    yield HubSink(
        means.hub,
        folder=folder,
        push_checkpoints=reporting.push_checkpoints_to_hub,
        push_results=reporting.push_to_hub,
        private=reporting.model_card_private,
        write_card=partial(model_card, card_facts(config, family_facts(config.model))),
    )

"""Steps and their figures -> a line each in `metrics.jsonl`, and TensorBoard's event file beside it."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter


class Journal:
    """Writes what training reports into a folder; one that does not lead writes nothing."""

    def __init__(self, folder: Path, leads: bool = True) -> None:
        self.lines, self.board = None, None
        if leads:
            folder.mkdir(parents=True, exist_ok=True)
            self.lines = (folder / "metrics.jsonl").open("a", buffering=1)
            self.board = SummaryWriter(str(folder / "tensorboard"))

    def log(self, step: int, figures: dict[str, float]) -> None:
        """One step's figures."""
        if self.lines is None or self.board is None:
            return
        self.lines.write(json.dumps({"step": step} | {name: round(value, 6) for name, value in figures.items()}) + "\n")
        for name, value in figures.items():
            self.board.add_scalar(name, value, step)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.lines is not None and self.board is not None:
            self.lines.close()
            self.board.close()

"""The figures of a run: rows in `RUN/log.csv`, curves in `RUN/tensorboard` where TensorBoard is installed.

A row has the step in its first column; columns may appear while the run goes on. Pictures are in `RUN/validation` and
TensorBoard. A row that a kill cut short, and rows and pictures after the step that a run resumes at, are dropped.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from jaxtyping import Float64, UInt8

from anyview.errors import FormatError
from anyview.formats.files import atomic_write, explain_os_error
from anyview.formats.images import write_image

TIME_COLUMNS = ("seconds",)
"""What differs between two runs of the same seed."""

_Row = dict[str, float]

_PICTURE = re.compile(r"(\d{8,})\.png")


class TrainingLog:
    """A run's log, open for more rows.

    Args:
        run: the run's folder.
        step: the last one that is done; later rows and pictures are dropped.

    Raises:
        WorkspaceError: the disk is full or the folder is not writable.
    """

    def __init__(self, run: Path, step: int = 0) -> None:
        self._path = run / "log.csv"
        self._columns, rows, whole = _read(self._path)
        kept = [row for row in rows if row["step"] <= step]
        self._last = kept[-1] if kept else None
        if len(kept) < len(rows) or not whole:
            self._rewrite(kept)
        self._pictures = run / "validation"
        _drop_pictures(self._pictures, step)
        self._board = _tensorboard(run / "tensorboard", step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write a row, or more columns of the last row where it is of the same step.

        Raises:
            WorkspaceError: the disk is full or the folder is not writable.
        """
        row: _Row = {"step": step} | {name: float(value) for name, value in values.items()}
        again = self._last is not None and self._last["step"] == step
        new = [name for name in row if name not in self._columns]
        if again or new:
            _, rows, _ = _read(self._path)
            self._columns += new
            self._last = (rows.pop() | row) if again else row
            self._rewrite([*rows, self._last])
        else:
            self._last = row
            try:
                with self._path.open("a", newline="") as stream:
                    stream.write(_lines(self._columns, [row]))
            except OSError as error:
                raise explain_os_error(error, self._path) from error
        if self._board is not None:
            try:
                for name, value in values.items():
                    self._board.add_scalar(name, float(value), step)
            except OSError as error:
                raise explain_os_error(error, self._path.parent / "tensorboard") from error

    def add_picture(self, step: int, picture: UInt8[np.ndarray, "H W 3"]) -> None:
        """Write `RUN/validation/STEP.png`; TensorBoard gets the picture as well.

        Raises:
            WorkspaceError: the disk is full or the folder is not writable.
        """
        with atomic_write(self._pictures / f"{step:08d}.png") as temporary:
            write_image(temporary, picture)
        if self._board is not None:
            try:
                self._board.add_image("validation/picture", picture, step, dataformats="HWC")
            except OSError as error:
                raise explain_os_error(error, self._path.parent / "tensorboard") from error

    def close(self) -> None:
        """Write what TensorBoard still holds back."""
        if self._board is not None:
            self._board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rewrite(self, rows: list[_Row]) -> None:
        with atomic_write(self._path) as temporary:
            temporary.write_text(",".join(self._columns) + "\n" * bool(self._columns) + _lines(self._columns, rows))


def read_log(run: Path) -> dict[str, Float64[np.ndarray, "N"]]:
    """The columns of a run's log; NaN where a row has no value.

    Raises:
        FormatError: the run has no log.
    """
    columns, rows, _ = _read(run / "log.csv")
    if not columns:
        raise FormatError("no log", where=run / "log.csv", hint="has this run been trained?")
    return {name: np.array([row.get(name, np.nan) for row in rows], np.float64) for name in columns}


def _read(path: Path) -> tuple[list[str], list[_Row], bool]:
    """Columns, whole rows, and whether the file has nothing else."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return [], [], True
    except OSError as error:
        raise explain_os_error(error, path) from error
    whole = text[: text.rfind("\n") + 1]  # the last line of a killed run has no end
    columns, *lines = list(csv.reader(io.StringIO(whole))) or [[]]
    if columns[:1] != ["step"]:
        return [], [], not text
    rows = []
    for line in lines:
        try:
            row = {name: float(word) for name, word in zip(columns, line, strict=True) if word}
        except ValueError:
            continue
        if "step" in row:
            rows.append(row)
    return columns, rows, len(rows) == len(lines) and whole == text


def _lines(columns: list[str], rows: list[_Row]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    for row in rows:
        writer.writerow({**row, "step": int(row["step"])})
    return stream.getvalue()


def _drop_pictures(folder: Path, step: int) -> None:
    """Remove those of later steps: they are from a past that this run has not had."""
    try:
        for path in [*folder.glob("*.png")]:
            name = _PICTURE.fullmatch(path.name)
            if name and int(name[1]) > step:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise explain_os_error(error, folder) from error


def _tensorboard(folder: Path, step: int) -> Any:
    """Its writer, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    try:
        return SummaryWriter(str(folder), purge_step=step + 1)
    except OSError as error:
        raise explain_os_error(error, folder) from error

"""DIV2K (Agustsson and Timofte, CVPRW 2017): 800 photographs to learn from, 100 to validate on, and small ones of each.

| track | scales | folder | file |
|---|---|---|---|
| large | | `DIV2K_train_HR` | `0001.png` |
| bicubic | 2, 3, 4 | `DIV2K_train_LR_bicubic/X4` | `0001x4.png` |
| bicubic | 8 | `DIV2K_train_LR_x8` | `0001x8.png` |
| unknown | 2, 3, 4 | `DIV2K_train_LR_unknown/X4` | `0001x4.png` |
| mild, difficult | 4 | `DIV2K_train_LR_mild` | `0001x4m.png`, `0001x4d.png` |

The same with `valid` and 0801 to 0900. It is for research only (see its page), so nothing of it ships with anyview.
"""

from __future__ import annotations

import json
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal, TypeAlias

from anyview.errors import FormatError, OptionError
from anyview.formats.download import Digest, download, file_digest
from anyview.formats.files import atomic_write, explain_os_error
from anyview.progress import SILENT, Progress

Track: TypeAlias = Literal["bicubic", "unknown", "mild", "difficult"]
Div2kSplit: TypeAlias = Literal["train", "val"]

HOST = "https://data.vision.ee.ethz.ch/cvl/DIV2K/"
"""Of the authors."""

SCALES: Final[dict[Track, tuple[int, ...]]] = {
    "bicubic": (2, 3, 4, 8), "unknown": (2, 3, 4), "mild": (4,), "difficult": (4,),
}  # fmt: skip

_WORD: Final[dict[Div2kSplit, str]] = {"train": "train", "val": "valid"}
_NUMBERS: Final[dict[Div2kSplit, range]] = {"train": range(1, 801), "val": range(801, 901)}

# The authors publish no digests. These MD5 are the ones that several public loaders agree on.
MD5: Final[Mapping[str, str]] = {
    "DIV2K_train_HR.zip": "bdc2d9338d4e574fe81bf7d158758658",
    "DIV2K_train_LR_bicubic_X2.zip": "9a637d2ef4db0d0a81182be37fb00692",
    "DIV2K_train_LR_bicubic_X3.zip": "ad80b9fe40c049a07a8a6c51bfab3b6d",
    "DIV2K_train_LR_bicubic_X4.zip": "76c43ec4155851901ebbe8339846d93d",
    "DIV2K_train_LR_unknown_X2.zip": "1396d023072c9aaeb999c28b81315233",
    "DIV2K_train_LR_unknown_X3.zip": "4e651308aaa54d917fb1264395b7f6fa",
    "DIV2K_train_LR_unknown_X4.zip": "e3c7febb1b3f78bd30f9ba15fe8e3956",
    "DIV2K_train_LR_x8.zip": "613db1b855721b3d2b26f4194a1d22a6",
    "DIV2K_train_LR_mild.zip": "807b3e3a5156f35bd3a86c5bbfb674bc",
    "DIV2K_train_LR_difficult.zip": "5a8f2b9e0c5f5ed0dac271c1293662f4",
    "DIV2K_valid_HR.zip": "9fcdda83005c5e5997799b69f955ff88",
    "DIV2K_valid_LR_bicubic_X2.zip": "1512c9a3f7bde2a1a21a73044e46b9cb",
    "DIV2K_valid_LR_bicubic_X3.zip": "18b1d310f9f88c13618c287927b29898",
    "DIV2K_valid_LR_bicubic_X4.zip": "21962de700c8d368c6ff83314480eff0",
    "DIV2K_valid_LR_unknown_X2.zip": "d319bd9033573d21de5395e6454f34f8",
    "DIV2K_valid_LR_unknown_X3.zip": "05184168e3608b5c539fbfb46bcade4f",
    "DIV2K_valid_LR_unknown_X4.zip": "8ac3413102bb3d0adc67012efb8a6c94",
    "DIV2K_valid_LR_x8.zip": "c5aeea2004e297e9ff3abfbe143576a5",
    "DIV2K_valid_LR_mild.zip": "8c433f812ca532eed62c11ec0de08370",
    "DIV2K_valid_LR_difficult.zip": "1620af11bf82996bc94df655cb6490fe",
}


@dataclass(frozen=True)
class Part:
    """One archive of the data.

    Attributes:
        archive: its name at the host.
        folder: where its images lie, below the root and in the archive alike.
        files: the names of all its images, in their order.
    """

    archive: str
    folder: str
    files: tuple[str, ...]

    def paths(self, root: Path) -> list[Path]:
        """Of all images.

        Raises:
            FormatError: one is missing.
        """
        found = [root / self.folder / name for name in self.files]
        missing = [path for path in found if not path.is_file()]
        if missing:
            raise FormatError(
                f"{len(missing)} of {len(found)} images of DIV2K are missing", where=root, expected=missing[0],
                hint=f"download {HOST}{self.archive} again, and unpack it there",
            )  # fmt: skip
        return found


def large(split: Div2kSplit) -> Part:
    """The large pictures of a split."""
    name = f"DIV2K_{_WORD[split]}_HR"
    return Part(f"{name}.zip", name, tuple(f"{number:04}.png" for number in _NUMBERS[split]))


def small(split: Div2kSplit, scale: int, track: Track = "bicubic") -> Part:
    """The small pictures of a split.

    Raises:
        OptionError: the track has no such scale.
    """
    if scale not in SCALES[track]:
        expected = " or ".join(str(one) for one in SCALES[track])
        raise OptionError(f"DIV2K's track {track} has no such scale", expected=expected, actual=scale)
    base, mark = f"DIV2K_{_WORD[split]}_LR_", track[0] if track in ("mild", "difficult") else ""
    files = tuple(f"{number:04}x{scale}{mark}.png" for number in _NUMBERS[split])
    if mark or scale == 8:
        name = f"{base}{track}" if mark else f"{base}x8"
        return Part(f"{name}.zip", name, files)
    return Part(f"{base}{track}_X{scale}.zip", f"{base}{track}/X{scale}", files)


def is_div2k(root: Path) -> bool:
    """Whether a folder holds one of DIV2K's splits."""
    return any((root / large(split).folder).is_dir() for split in _WORD)


def fetch(
    root: Path,
    part: Part,
    progress: Progress = SILENT,
    *,
    host: str = HOST,
    md5: Mapping[str, str] = MD5,
    pause: float = 2.0,
) -> list[Path]:
    """Download and unpack a part, unless it is there; the archive is removed then. A killed call goes on from there.

    `ROOT/.ARCHIVE.json` keeps the archive's SHA-256 and the size of every image, by which a later call knows whether
    all is as it was unpacked.

    Args:
        root: the folder that holds `DIV2K_train_HR` and the others.
        part: see `large` and `small`.
        progress: told of what comes.
        host: what the archive's name is appended to.
        md5: of archives, by name; one that is not in it is taken as it comes.
        pause: seconds before another try.

    Returns:
        All images.

    Raises:
        OptionError, FormatError, WorkspaceError: see `download`; or the archive is damaged or not what it should be.
    """
    record = root / f".{part.archive}.json"
    if _is_whole(root, part, record):
        return part.paths(root)
    archive = root / part.archive
    digest = Digest("md5", md5[part.archive]) if part.archive in md5 else None
    download(host + part.archive, archive, digest, progress, pause)
    sizes = _unpack(archive, root, part, progress)
    note = {"archive": part.archive, "sha256": file_digest(archive), "sizes": sizes}
    with atomic_write(record) as temporary:
        temporary.write_text(json.dumps(note))
    archive.unlink()
    return part.paths(root)


def _is_whole(root: Path, part: Part, record: Path) -> bool:
    """Whether all images are there as they were unpacked; without a record, someone else's are taken as they are."""
    found = [root / part.folder / name for name in part.files]
    if not all(path.is_file() for path in found):
        return False
    try:
        sizes = json.loads(record.read_text())["sizes"]
    except (OSError, ValueError, KeyError):
        return not (root / part.archive).exists()
    return all(path.stat().st_size == sizes.get(path.name) for path in found)


def _unpack(archive: Path, root: Path, part: Part, progress: Progress) -> dict[str, int]:
    """Every image into a folder of another name, which then takes its place; gives their sizes."""
    goal = root / part.folder
    temporary = root / f".{part.folder.replace('/', '_')}.{secrets.token_hex(4)}.tmp"
    sizes = {}
    try:
        with zipfile.ZipFile(archive) as packed:
            # by name alone: whatever path an archive claims, nothing is written elsewhere
            members = {PurePosixPath(info.filename).name: info for info in packed.infolist() if not info.is_dir()}
            missing = [name for name in part.files if name not in members]
            if missing:
                raise FormatError("an image is missing", where=archive, expected=missing[0], hint="remove the archive")
            temporary.mkdir(parents=True)
            with progress.stage(f"unpacking {part.archive}", len(part.files)) as advance:
                for name in part.files:
                    with packed.open(members[name]) as source, (temporary / name).open("wb") as sink:
                        shutil.copyfileobj(source, sink, 1 << 20)
                    sizes[name] = members[name].file_size
                    advance()
        goal.parent.mkdir(parents=True, exist_ok=True)
        if goal.exists():
            shutil.rmtree(goal)
        temporary.replace(goal)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise FormatError("the archive is damaged", where=archive, actual=str(error), hint="remove it") from error
    except OSError as error:
        raise explain_os_error(error, goal) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return sizes

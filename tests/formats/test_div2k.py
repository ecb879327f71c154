"""DIV2K: names and places, and its archives fetched from a server that is not always kind."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from anyview.errors import FormatError, OptionError
from anyview.formats import div2k
from anyview.formats.div2k import Part, fetch, large, small
from anyview.formats.download import Digest, download, file_digest

PART = Part("DIV2K_train_LR_bicubic_X4.zip", "DIV2K_train_LR_bicubic/X4", ("0001x4.png", "0002x4.png"))


def _archive(files: dict[str, bytes] | None = None) -> bytes:
    """Two images that do not compress, as PNG does not."""
    names = (f"{PART.folder}/{name}" for name in PART.files)
    files = files or {name: hashlib.shake_128(name.encode()).digest(40_000) for name in names}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return stream.getvalue()


class Server(ThreadingHTTPServer):
    """One file under every name ending in .zip; what was asked is kept."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.ranges, self.etag = _archive(), True, '"one"'
        self.breaks: list[int] = []  # replies end after so many bytes, one after the other
        self.failures: list[int] = []  # status codes of the replies to come
        self.asked: list[str | None] = []
        self.sent = 0

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.failures or not self.path.endswith(".zip"):
            self.send_error(server.failures.pop(0) if server.failures else 404)
            return
        begin = 0
        if wanted and server.ranges and self.headers.get("If-Range", server.etag) == server.etag:
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
            if begin >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        rest = server.content[begin:]
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        sent = rest[: server.breaks.pop(0)] if server.breaks else rest
        server.sent += len(sent)
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def _fetch(server: Server, root: Path, content: bytes | None = None) -> list[Path]:
    md5 = {} if content is None else {PART.archive: hashlib.md5(content).hexdigest()}
    return fetch(root, PART, host=server.host, md5=md5, pause=0)


def _litter(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name not in ("DIV2K_train_LR_bicubic",))


def test_names_are_the_authors() -> None:
    assert (large("val").folder, large("val").files[0], len(large("val").files)) == ("DIV2K_valid_HR", "0801.png", 100)
    assert large("train").files[-1] == "0800.png"
    for scale, track, archive, folder, file in (
        (2, "bicubic", "DIV2K_train_LR_bicubic_X2.zip", "DIV2K_train_LR_bicubic/X2", "0001x2.png"),
        (8, "bicubic", "DIV2K_train_LR_x8.zip", "DIV2K_train_LR_x8", "0001x8.png"),
        (3, "unknown", "DIV2K_train_LR_unknown_X3.zip", "DIV2K_train_LR_unknown/X3", "0001x3.png"),
        (4, "mild", "DIV2K_train_LR_mild.zip", "DIV2K_train_LR_mild", "0001x4m.png"),
        (4, "difficult", "DIV2K_train_LR_difficult.zip", "DIV2K_train_LR_difficult", "0001x4d.png"),
    ):
        part = small("train", scale, track)  # type: ignore[arg-type]
        assert (part.archive, part.folder, part.files[0]) == (archive, folder, file)
        assert len(part.files) == 800
    parts = [
        small(split, scale, track) for split in ("train", "val") for track, s in div2k.SCALES.items() for scale in s
    ]
    assert {part.archive for part in parts} | {large(s).archive for s in ("train", "val")} == set(div2k.MD5)


def test_a_scale_that_a_track_has_not() -> None:
    with pytest.raises(OptionError, match="track mild has no such scale: expected 4, found 2"):
        small("train", 2, "mild")


def test_missing_images_are_told(tmp_path: Path) -> None:
    (tmp_path / "DIV2K_valid_HR").mkdir()
    assert div2k.is_div2k(tmp_path)
    with pytest.raises(FormatError, match=r"100 of 100 images .* expected .*0801.png; download https://data.vision"):
        large("val").paths(tmp_path)


def test_a_part_is_fetched_once(tmp_path: Path, server: Server) -> None:
    paths = _fetch(server, tmp_path, server.content)
    assert [path.name for path in paths] == list(PART.files)
    assert paths[0].read_bytes() == hashlib.shake_128(f"{PART.folder}/{PART.files[0]}".encode()).digest(40_000)
    record = json.loads((tmp_path / f".{PART.archive}.json").read_text())
    assert record["sha256"] == hashlib.sha256(server.content).hexdigest()
    assert _litter(tmp_path) == [f".{PART.archive}.json"]
    assert _fetch(server, tmp_path, server.content) == paths
    assert server.asked == [None]
    paths[1].write_bytes(b"cut")  # known by its size
    assert _fetch(server, tmp_path)[1].stat().st_size == 40_000
    assert len(server.asked) == 2


def test_a_broken_connection_is_resumed(tmp_path: Path, server: Server) -> None:
    server.breaks = [30_000, 0, 20_000]
    _fetch(server, tmp_path, server.content)
    assert server.asked == [None, "bytes=30000-", "bytes=30000-", "bytes=50000-"]
    assert server.sent == len(server.content)


def test_a_later_call_goes_on(tmp_path: Path, server: Server) -> None:
    server.breaks = [30_000, 0, 0, 0, 0, 0]
    with pytest.raises(OptionError, match=r"cannot be downloaded in http.*broke off; run the same command again"):
        _fetch(server, tmp_path, server.content)
    assert not (tmp_path / PART.archive).exists()
    _fetch(server, tmp_path, server.content)
    assert server.sent == len(server.content)


def test_a_whole_part_is_not_fetched_again(tmp_path: Path, server: Server) -> None:
    (tmp_path / ".a.zip.part").write_bytes(server.content)
    (tmp_path / ".a.zip.part.json").write_text(json.dumps({"version": server.etag}))
    path = download(server.host + "a.zip", tmp_path / "a.zip", Digest("sha256", file_digest(tmp_path / ".a.zip.part")))
    assert path.read_bytes() == server.content
    assert server.sent == 0
    assert _litter(tmp_path) == ["a.zip"]


def test_a_server_without_ranges_begins_again(tmp_path: Path, server: Server) -> None:
    server.ranges, server.breaks = False, [30_000]
    _fetch(server, tmp_path, server.content)
    assert server.sent == len(server.content) + 30_000


def test_halves_of_two_versions_are_not_joined(tmp_path: Path, server: Server) -> None:
    server.breaks = [30_000, 0, 0, 0, 0, 0]
    with pytest.raises(OptionError):
        download(server.host + "a.zip", tmp_path / "a.zip", pause=0)
    server.content, server.etag = _archive({"other": b"x" * 90_000}), '"two"'
    assert download(server.host + "a.zip", tmp_path / "a.zip").read_bytes() == server.content


def test_a_wrong_digest_is_told_and_leaves_nothing(tmp_path: Path, server: Server) -> None:
    with pytest.raises(FormatError, match=r"is not what was published \(md5\) in .*expected 900150983c"):
        _fetch(server, tmp_path, b"abc")
    assert _litter(tmp_path) == []


def test_what_an_earlier_run_left_may_be_wrong(tmp_path: Path, server: Server) -> None:
    (tmp_path / f".{PART.archive}.part").write_bytes(b"rubbish")
    (tmp_path / f".{PART.archive}.part.json").write_text(json.dumps({"version": server.etag}))
    assert len(_fetch(server, tmp_path, server.content)) == 2
    assert server.asked == ["bytes=7-", None]


def test_failing_servers(tmp_path: Path, server: Server) -> None:
    server.failures = [503, 500]
    assert len(_fetch(server, tmp_path)) == 2
    with pytest.raises(OptionError, match=r"cannot be downloaded in .*nothing: found 404"):
        download(server.host + "nothing", tmp_path / "nothing", pause=0)
    with pytest.raises(OptionError, match=r"cannot be downloaded in http://127.0.0.1:1/.*refused"):
        download("http://127.0.0.1:1/a.zip", tmp_path / "a.zip", pause=0)


def test_a_damaged_archive_leaves_no_folder(tmp_path: Path, server: Server) -> None:
    server.content = server.content[:20_000] + b"!" + server.content[20_001:]
    with pytest.raises(FormatError, match="the archive is damaged"):
        _fetch(server, tmp_path)
    server.content = b"no archive"
    (tmp_path / PART.archive).unlink()
    with pytest.raises(FormatError, match="the archive is damaged"):
        _fetch(server, tmp_path)
    assert _litter(tmp_path) == [PART.archive]
    assert not (tmp_path / "DIV2K_train_LR_bicubic").exists()


def test_an_archive_of_other_files_writes_nothing_elsewhere(tmp_path: Path, server: Server) -> None:
    server.content = _archive({"../../0001x4.png": b"a", "/0003x4.png": b"b"})
    with pytest.raises(FormatError, match=r"an image is missing .*expected 0002x4.png"):
        _fetch(server, tmp_path / "root")
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == []


def test_a_killed_unpacking_is_done_again(tmp_path: Path, server: Server) -> None:
    (tmp_path / PART.archive).write_bytes(server.content)  # downloaded, and killed before the record was written
    folder = tmp_path / PART.folder
    folder.mkdir(parents=True)
    for name in PART.files:
        (folder / name).write_bytes(b"old")
    assert [path.stat().st_size for path in _fetch(server, tmp_path, server.content)] == [40_000, 40_000]
    assert server.asked == []


def test_images_that_someone_else_unpacked_are_taken(tmp_path: Path, server: Server) -> None:
    folder = tmp_path / PART.folder
    folder.mkdir(parents=True)
    for name in PART.files:
        (folder / name).write_bytes(b"own")
    assert len(_fetch(server, tmp_path)) == 2
    assert server.asked == []

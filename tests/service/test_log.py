"""The prediction log: complete, readable, rotated, and never a reason for a failed request."""

import errno
import os
from pathlib import Path

import msgspec
import pytest

from delivery.core.errors import Failure
from delivery.service import log as log_module
from delivery.service.log import Event, Log, read


def event(number: int = 0, body: bytes = b'{"a": 1}', answer: bytes = b"[0.25]") -> Event:
    return Event(float(number), 0.001, b"id-%d" % number, body, answer, [(1,)], [0.25], b"")


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    log = Log(tmp_path, 'v"1%')
    log.write([event(1), event(2, b' [{"a": 1},\r\n {"a": "x\\ny"}]\n', b"[0.25,0.5]"), event(3, b'\n{"a": 2}')])
    log.close()
    first, second, third = read(tmp_path)
    assert (first.id, first.version, first.rows, first.scores) == ("id-1", 'v"1%', [{"a": 1}], [0.25])
    assert (second.rows, second.scores) == ([{"a": 1}, {"a": "x\ny"}], [0.25, 0.5])
    assert third.rows == [{"a": 2}]
    assert second.time - first.time == pytest.approx(1, abs=1e-3)


def test_files_rotate_and_the_oldest_goes(tmp_path: Path) -> None:
    log = Log(tmp_path, "v1", file_bytes=300, files=3)
    for number in range(40):
        log.write([event(number)])
    log.close()
    assert len(list(tmp_path.iterdir())) == 3
    ids = [line.id for line in read(tmp_path)]
    assert ids == [f"id-{number}" for number in range(40 - len(ids), 40)]
    assert all(path.stat().st_size < 500 for path in tmp_path.iterdir())


def test_a_full_disk_drops_whole_lines_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log(tmp_path, "v1")
    log.write([event(1)])
    real = os.write
    with monkeypatch.context() as full:

        def half(descriptor: int, data: memoryview) -> int:
            if len(data) > 20:
                return real(descriptor, data[:20])
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr(log_module.os, "write", half)
        log.write([event(2), event(3)])
        log.write([event(4)])
    log.write([event(5)])
    log.close()
    assert [line.id for line in read(tmp_path)] == ["id-1", "id-5"]
    assert (log.written, log.dropped) == (2, 3)
    assert caplog.text.count("lines dropped") == 1


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="prediction log cannot be written"):
        Log(tmp_path / "file" / "log", "v1")


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    log = Log(tmp_path, "v1")
    log.write([event(1), event(2)])
    log.close()
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:-7])
    assert [line.id for line in read(tmp_path)] == ["id-1"]


def test_each_line_is_one_json_document(tmp_path: Path) -> None:
    log = Log(tmp_path, "v1")
    log.write([event(number) for number in range(3)])
    log.close()
    lines = next(tmp_path.iterdir()).read_bytes().splitlines()
    assert [msgspec.json.decode(line)["id"] for line in lines] == ["id-0", "id-1", "id-2"]

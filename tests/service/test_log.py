"""The prediction log: complete, readable, rotated, and never a reason for a failed request."""

import errno
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from live import command
from sample import ROOT

from delivery.core.errors import Failure
from delivery.service import log as log_module
from delivery.service.log import DAY, Event, Log, Retention, read


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


SMALL = Retention(file_bytes=300, total_bytes=900)


def test_files_rotate_and_the_oldest_goes(tmp_path: Path) -> None:
    log = Log(tmp_path, "v1", SMALL)
    for number in range(40):
        log.write([event(number)])
        for age, path in enumerate(sorted(tmp_path.iterdir(), reverse=True)):
            os.utime(path, (time.time() - age,) * 2)  # some file systems count in whole seconds
    log.close()
    assert 2 <= len(list(tmp_path.iterdir())) <= 4
    ids = [line.id for line in read(tmp_path)]
    assert ids == [f"id-{number}" for number in range(40 - len(ids), 40)]
    assert all(path.stat().st_size < 500 for path in tmp_path.iterdir())
    assert log.deleted == log.serial - len(list(tmp_path.iterdir()))


def test_a_file_goes_with_its_age(tmp_path: Path) -> None:
    old = Log(tmp_path, "v1")
    old.write([event(1)])
    old.close()
    (path,) = tmp_path.iterdir()
    os.utime(path, (time.time() - 9 * DAY,) * 2)
    Log(tmp_path, "v1", Retention(days=10)).open()
    assert path.exists()
    log = Log(tmp_path, "v1", Retention(days=8))
    log.open()
    assert not path.exists()
    assert log.deleted == 1


def test_the_file_of_a_running_service_is_never_deleted(tmp_path: Path) -> None:
    """Neither by its age nor by the log's size; 16 further services deleted it once."""
    live = Log(tmp_path, "v1")
    live.write([event(number) for number in range(1500)])
    os.utime(live.path, (1, 1))
    for _ in range(20):
        other = Log(tmp_path, "v2", SMALL)
        other.write([event(0)] * 10)
        other.close()
    live.write([event(1500)])
    assert [line.id for line in read(tmp_path) if line.version == "v1"] == [f"id-{number}" for number in range(1501)]
    live.close()
    os.utime(live.path, (1, 1))
    Log(tmp_path, "v2", SMALL).open()
    assert not live.path.exists()
    assert live.dropped == 0


def test_a_start_that_fails_leaves_the_log_alone(exported: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [*command(exported, "--log", str(tmp_path / "log")), "--port", str(taken.getsockname()[1])]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "cannot listen" in done.stderr
    assert not (tmp_path / "log").exists()


def test_two_services_of_one_second_write_to_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In containers they have the same process id, too."""
    monkeypatch.setattr(log_module.time, "strftime", lambda *_: "20260101T000000Z")
    monkeypatch.setattr(log_module.os, "getpid", lambda: 1)
    one, two = Log(tmp_path, "v1"), Log(tmp_path, "v1")
    one.write([event(1)])
    two.write([event(2)])
    assert one.path != two.path
    assert {line.id for line in read(tmp_path)} == {"id-1", "id-2"}


def test_a_clock_that_is_set_back_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new file's name comes first, so that it was taken for the oldest and deleted while it was written."""
    now = time.time
    log = Log(tmp_path, "v1", SMALL)
    for number in range(10):
        log.write([event(number)])
    with monkeypatch.context() as back:
        back.setattr(log_module.time, "time", lambda: now() - 400 * DAY)
        back.setattr(log_module.time, "gmtime", lambda: time.localtime(now() - 400 * DAY))
        before = log.serial
        while log.serial < before + 1:
            log.write([event(10)])
        log.write([event(11)])
    assert log.path.exists()
    assert "id-11" in [line.id for line in read(tmp_path)]
    assert log.dropped == 0


@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
def test_a_log_that_was_removed_is_counted_and_begun_again(tmp_path: Path, whole: bool, caplog: Any) -> None:
    folder = tmp_path / "log"
    log = Log(folder, "v1")
    log.write([event(1), event(2)])
    if whole:
        shutil.rmtree(folder)
    else:
        log.path.unlink()
    log.write([event(3)])
    assert [line.id for line in read(folder)] == ["id-3"]
    assert (log.written, log.dropped) == (3, 2)
    assert "was removed" in caplog.text
    shutil.rmtree(folder)
    log.close()
    assert log.dropped == 3


def test_a_file_that_was_replaced_is_not_mistaken_for_the_log(tmp_path: Path) -> None:
    log = Log(tmp_path, "v1")
    log.write([event(1)])
    log.path.unlink()
    log.path.write_text("")
    log.write([event(2)])
    assert [line.id for line in read(tmp_path)] == ["id-2"]
    assert (log.written, log.dropped) == (2, 1)


def test_a_log_without_lines_leaves_no_file(tmp_path: Path) -> None:
    log = Log(tmp_path, "v1")
    log.open()
    assert len(list(tmp_path.iterdir())) == 1
    log.close()
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_deleted_while_the_log_is_read_is_passed_over(tmp_path: Path) -> None:
    for number in range(3):
        log = Log(tmp_path, "v1")
        log.write([event(number)])
        log.close()
    lines = read(tmp_path)
    next(lines)
    for path in tmp_path.iterdir():
        path.unlink()
    assert list(lines) == []


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
        Log(tmp_path / "file" / "log", "v1").open()


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

"""A killed conversion goes on where it stopped and ends with the same bytes."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest

from data_tools import DataCompiler, KittiExtractor, partial, store_writer
from data_tools.journal import Journal
from run_tools.errors import InputError

# The same conversion with a slow disk, so that it can be killed in the middle.
SLOW = textwrap.dedent(
    """
    import signal, sys, time
    from data_tools import DataCompiler, KittiExtractor

    # A process started in the background inherits that Ctrl-C is ignored; this one stands for one in a terminal.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    class Slow(KittiExtractor):
        def read_image(self, sample):
            time.sleep(0.05)
            return super().read_image(sample)

        def image_size(self, sample):
            return KittiExtractor.read_image(self, sample).shape[:2]

    root, out, encoded = sys.argv[1:]
    DataCompiler(Slow(root), (32, 64), workers=2, encoded=encoded == "1", progress=False).compile(out)
    """
)
COUNT = 60


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def compile_into(root, out, encoded=False):
    return DataCompiler(KittiExtractor(root), (32, 64), encoded=encoded, progress=False, workers=2).compile(out)


def kill_midway(root, out, encoded, how, noted):
    """Run the slow conversion, kill it once its journal has `noted` images, return how many it has in the end."""
    journal = out.with_name(out.name + ".partial.journal")
    command = [sys.executable, "-c", SLOW, str(root), str(out), "1" if encoded else "0"]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        deadline = time.monotonic() + 60
        while not journal.exists() or len(journal.read_bytes().splitlines()) <= noted:
            assert process.poll() is None, "the conversion ended before it could be killed"
            assert time.monotonic() < deadline, "the conversion never wrote an image"
            time.sleep(0.01)
        process.send_signal(how)
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    return len(journal.read_bytes().splitlines()) - 1


@pytest.mark.skipif(os.name != "posix", reason="kills by POSIX signals")
@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_kill_in_the_middle_changes_no_byte(make_kitti, tmp_path, encoded, how):
    root = make_kitti(COUNT, drives=9)
    out, whole = tmp_path / "killed.h5", tmp_path / "whole.h5"
    noted = kill_midway(root, out, encoded, how, 5)
    assert 5 <= noted < COUNT and not out.exists()
    noted = kill_midway(root, out, encoded, how, noted + 5)  # and once more, while it resumes
    result = compile_into(root, out, encoded)
    assert 10 <= noted <= result["resumed"] < COUNT
    assert compile_into(root, whole, encoded)["resumed"] == 0
    assert digest(out) == digest(whole)
    assert sorted(path.name for path in tmp_path.glob("*.h5*")) == ["killed.h5", "whole.h5"]


@pytest.fixture
def stopped(make_kitti, tmp_path, monkeypatch):
    """A conversion of 12 images that a full disk stopped before its 8th image: (root, output)."""
    root, out = make_kitti(12), tmp_path / "a.h5"
    put, calls = partial.Sink.put, []

    def full(self, key, image):
        calls.append(key)
        if len(calls) >= 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        return put(self, key, image)

    with monkeypatch.context() as patch:
        patch.setattr(partial.Sink, "put", full)
        with pytest.raises(InputError, match="a full disk while writing .*resumes from a.h5.partial"):
            compile_into(root, out)
    assert sorted(path.name for path in tmp_path.glob("a.h5*")) == ["a.h5.partial", "a.h5.partial.journal"]
    return root, out


def test_a_full_disk_is_said_and_resumed(stopped, tmp_path):
    root, out = stopped
    assert 1 <= compile_into(root, out)["resumed"] <= 7
    compile_into(root, tmp_path / "b.h5")
    assert digest(out) == digest(tmp_path / "b.h5")


def test_a_damaged_image_in_the_partial_file_is_made_again(stopped, tmp_path):
    root, out = stopped
    journal = out.with_name("a.h5.partial.journal")
    lines = journal.read_text().splitlines()
    offset = int(lines[1].split()[2])
    with open(out.with_name("a.h5.partial"), "r+b") as file:
        file.seek(offset + 17)
        file.write(b"damage")
    assert compile_into(root, out)["resumed"] == len(lines) - 2
    compile_into(root, tmp_path / "b.h5")
    assert digest(out) == digest(tmp_path / "b.h5")


@pytest.mark.parametrize("tail", [b"train 1", b"train 0 x 6144 1\n", b"\0\0\0\0\n", b"train 0 99999999999 6144 1\n"])
def test_a_torn_journal_is_read_as_far_as_it_goes(stopped, tmp_path, tail):
    root, out = stopped
    with open(out.with_name("a.h5.partial.journal"), "ab") as file:
        file.write(tail)
    compile_into(root, out)
    compile_into(root, tmp_path / "b.h5")
    assert digest(out) == digest(tmp_path / "b.h5")


def test_a_damaged_layout_starts_anew(stopped, tmp_path):
    root, out = stopped
    with open(out.with_name("a.h5.partial"), "r+b") as file:
        file.write(bytes(600))
    compile_into(root, out)
    compile_into(root, tmp_path / "b.h5")
    assert digest(out) == digest(tmp_path / "b.h5")


def test_a_changed_source_or_option_does_not_resume(stopped, tmp_path):
    root, out = stopped
    image = root / "training" / "image_2" / "000000.png"
    other = root / "training" / "image_2" / "000001.png"
    image.write_bytes(other.read_bytes())
    assert compile_into(root, out)["resumed"] == 0
    compile_into(root, tmp_path / "b.h5")
    assert digest(out) == digest(tmp_path / "b.h5")


def test_a_disk_that_loses_what_was_written_is_noticed(make_kitti, tmp_path, monkeypatch):
    root, put = make_kitti(6), partial.Sink.put

    def lossy(self, key, image):
        entry = put(self, key, image)
        return entry._replace(crc=entry.crc ^ 1) if key == ("val", 0) else entry

    monkeypatch.setattr(partial.Sink, "put", lossy)
    with pytest.raises(InputError, match=r"1 images that read back differently .*val 0"):
        compile_into(root, tmp_path / "a.h5")
    assert not list(tmp_path.glob("a.h5*"))


def test_too_small_a_disk_is_refused_before_the_first_byte(make_kitti, tmp_path, monkeypatch):
    root = make_kitti(6)
    monkeypatch.setattr(store_writer.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match="0.00 GB free"):
        compile_into(root, tmp_path / "a.h5")
    assert not list(tmp_path.glob("a.h5*"))


def test_room_that_cannot_be_claimed_leaves_nothing(make_kitti, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_writer.os, "posix_fallocate", refuse, raising=False)
    with pytest.raises(InputError, match="a disk too full for"):
        compile_into(make_kitti(6), tmp_path / "a.h5")
    assert not list(tmp_path.glob("a.h5*"))


def test_a_file_system_that_cannot_claim_room_is_no_obstacle(make_kitti, tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(store_writer.os, "posix_fallocate", unsupported, raising=False)
    assert compile_into(make_kitti(6), tmp_path / "a.h5")["splits"]["train"]["images"] == 4


@pytest.mark.skipif(os.name != "posix", reason="files are locked by POSIX means")
def test_two_conversions_cannot_write_one_file(make_kitti, tmp_path):
    root = make_kitti(6)
    with Journal(tmp_path / "a.h5.partial.journal"), pytest.raises(InputError, match="in use by another process"):
        compile_into(root, tmp_path / "a.h5")
    compile_into(root, tmp_path / "a.h5")

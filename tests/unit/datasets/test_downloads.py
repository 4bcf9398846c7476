"""Downloads: resumed, checked, and nothing under its name that is not whole."""

import gzip
import hashlib
import io
import random
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile

import pytest

from layerwise.datasets.archives import check_archive, unpack
from layerwise.datasets.download import CHUNK, Expected, download
from layerwise.errors import InputError
from tests.conftest import REPOSITORY
from tests.faults.reliability import fault
from tests.mirror import serving, tarred, zipped

# Bytes that no archive format shrinks, several reads long.
NOISE = random.Random(0).randbytes(6 * CHUNK + 123)
PATH = "/zips/noise.zip"
ARCHIVE = zipped({"noise/a.bin": NOISE, "noise/b.bin": NOISE[:1000]})
KNOWN = Expected(size=len(ARCHIVE), md5=hashlib.md5(ARCHIVE).hexdigest())


@pytest.fixture
def mirror():
    with serving() as mirror:
        mirror.files[PATH] = ARCHIVE
        yield mirror


@pytest.fixture
def fetch(mirror, tmp_path):
    """Download the archive, with little patience."""

    def fetch(expected=KNOWN, path=PATH, **options):
        return download(mirror.address + path, tmp_path / "noise.zip", expected, first_wait=0.01, **options)

    return fetch


def leftovers(folder) -> set[str]:
    return {file.name for file in folder.iterdir() if not file.name.endswith(".lock")}


def test_a_whole_file(fetch, mirror, tmp_path):
    receipt = fetch()
    assert (tmp_path / "noise.zip").read_bytes() == ARCHIVE
    digest = hashlib.sha256(ARCHIVE).hexdigest()
    assert receipt == {"file": "noise.zip", "bytes": len(ARCHIVE), "sha256": digest}
    assert leftovers(tmp_path) == {"noise.zip"}
    # A second job finds it there, and believes it no more than the first.
    assert fetch() == receipt
    assert len(mirror.requests) == 1


def test_a_server_that_dies_is_asked_for_the_rest(fetch, mirror, tmp_path):
    mirror.breaks = [2 * CHUNK + 5, CHUNK, 3 * CHUNK]
    # A try that brings something new does not count against the server.
    fetch(attempts=2)
    assert (tmp_path / "noise.zip").read_bytes() == ARCHIVE
    starts = [int(span.removeprefix("bytes=").removesuffix("-")) if span else 0 for span in mirror.asked_for(PATH)]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert len(starts) == 4


def test_a_later_job_goes_on_where_the_failed_one_stopped(fetch, mirror, tmp_path):
    mirror.breaks = [3 * CHUNK] + [0] * 3
    with pytest.raises(InputError, match=r"kept in .*noise.zip.partial, and the same command goes on"):
        fetch(attempts=3)
    kept = (tmp_path / "noise.zip.partial").stat().st_size
    assert 0 < kept <= 3 * CHUNK
    assert leftovers(tmp_path) == {"noise.zip.partial"}
    mirror.requests.clear()
    mirror.breaks = []
    fetch()
    assert mirror.asked_for(PATH) == [f"bytes={kept}-"]
    assert (tmp_path / "noise.zip").read_bytes() == ARCHIVE
    assert leftovers(tmp_path) == {"noise.zip"}


@pytest.mark.parametrize("lengths", [True, False])
def test_a_server_without_ranges_sends_all_of_it_again(fetch, mirror, tmp_path, lengths):
    mirror.ranges, mirror.lengths = False, lengths
    (tmp_path / "noise.zip.partial").write_bytes(b"x" * 1000)
    fetch()
    assert mirror.asked_for(PATH) == ["bytes=1000-"]
    assert (tmp_path / "noise.zip").read_bytes() == ARCHIVE


def test_more_bytes_than_the_file_has_are_of_no_use(fetch, mirror, tmp_path):
    (tmp_path / "noise.zip.partial").write_bytes(ARCHIVE + b"more")
    fetch()
    assert mirror.asked_for(PATH) == [f"bytes={len(ARCHIVE) + 4}-", None]
    assert (tmp_path / "noise.zip").read_bytes() == ARCHIVE


def test_other_bytes_than_those_asked_for_are_not_appended(fetch, mirror, tmp_path):
    mirror.shift = 10
    (tmp_path / "noise.zip.partial").write_bytes(ARCHIVE[:1000])
    # Without a checksum, and with a server that never does better: what is wrong must be seen in the answer itself.
    fetch(Expected())
    assert mirror.asked_for(PATH) == ["bytes=1000-", None]
    assert (tmp_path / "noise.zip").read_bytes() == ARCHIVE


@pytest.mark.parametrize("expected", [KNOWN, Expected()], ids=["size known", "nothing known"])
def test_all_bytes_were_there_but_the_name(fetch, mirror, tmp_path, expected):
    (tmp_path / "noise.zip.partial").write_bytes(ARCHIVE)
    fetch(expected)
    assert (tmp_path / "noise.zip").read_bytes() == ARCHIVE
    assert mirror.asked_for(PATH) == ([] if expected.size else [f"bytes={len(ARCHIVE)}-"])


def test_halves_of_two_files_are_found_out_and_fetched_anew(fetch, mirror, tmp_path):
    (tmp_path / "noise.zip.partial").write_bytes(b"x" * CHUNK)
    fetch()
    assert mirror.asked_for(PATH) == [f"bytes={CHUNK}-", None]
    assert (tmp_path / "noise.zip").read_bytes() == ARCHIVE


def test_a_wrong_file_is_not_fetched_for_ever(fetch, mirror, tmp_path):
    """Not even from a server whose every answer breaks off, so that every try looks like one of two halves."""
    mirror.breaks = [2 * CHUNK, len(ARCHIVE)] * 5
    with pytest.raises(InputError, match=r"its md5 is"):
        fetch(Expected(md5="0" * 32))
    assert len(mirror.requests) == 4
    assert leftovers(tmp_path) == set()


def test_a_server_that_does_not_say_how_much_it_sends(fetch, mirror, tmp_path):
    """Its early end looks like a regular one; the size in the config tells them apart."""
    mirror.lengths, mirror.breaks = False, [2 * CHUNK]
    fetch()
    assert mirror.asked_for(PATH) == [None, f"bytes={2 * CHUNK}-"]
    assert (tmp_path / "noise.zip").read_bytes() == ARCHIVE
    (tmp_path / "noise.zip").unlink()
    mirror.files[PATH] = ARCHIVE + bytes(100 * CHUNK)
    with pytest.raises(InputError, match=r"it has (\d+) bytes, but .* says") as error:
        fetch()
    assert f"it has {len(mirror.files[PATH])} bytes" not in str(error.value)


def test_no_address_at_all(tmp_path):
    with pytest.raises(InputError, match=r"ftp://x/y.zip: not an address .*; correct sources.x"):
        download("ftp://x/y.zip", tmp_path / "y.zip", Expected(), key="sources.x")


def test_a_busy_server_is_asked_again(fetch, mirror, tmp_path):
    mirror.answers = [503, 429, 500]
    fetch()
    assert (tmp_path / "noise.zip").read_bytes() == ARCHIVE
    mirror.answers = [503] * 9
    (tmp_path / "noise.zip").unlink()
    with pytest.raises(InputError, match=r"503 Service Unavailable \(3 tries\)"):
        fetch(attempts=3)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"path": "/gone.zip"}, r"answers 404 Not Found; correct the address in sources.s.files.noise.zip"),
        ({"expected": Expected(md5="0" * 32)}, r"its md5 is \w{32}, but sources.s.files.noise.zip says 0{32}"),
        ({"expected": Expected(sha256="0" * 64)}, r"its sha256 is \w{64}, but .* it came from http.* and was removed"),
        ({"expected": Expected(size=7)}, rf"the file there has {len(ARCHIVE)} bytes, but .* says 7"),
    ],
)
def test_what_is_not_the_file_leaves_nothing(fetch, tmp_path, change, complaint):
    with pytest.raises(InputError, match=complaint):
        fetch(key="sources.s.files.noise.zip", **change)
    assert leftovers(tmp_path) == set()


def test_no_server_at_all(tmp_path):
    with serving() as mirror:
        address = mirror.address
    with pytest.raises(InputError, match=r"Connection refused.* \(2 tries\)"):
        download(f"{address}/x.zip", tmp_path / "x.zip", Expected(), attempts=2, first_wait=0.01)
    assert leftovers(tmp_path) == set()


def test_another_file_under_its_name_is_never_overwritten(fetch, tmp_path):
    (tmp_path / "noise.zip").write_text("mine")
    with pytest.raises(InputError, match=r"it has 4 bytes.*delete the file to download it"):
        fetch()
    assert (tmp_path / "noise.zip").read_text() == "mine"


def test_two_studies_at_once_download_once(fetch, mirror):
    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mirror.requests) == 1


def linked(kind: str) -> bytes:
    """An archive with a symbolic link to a file outside."""
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            info = zipfile.ZipInfo("noise/a.bin")
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
    else:
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            info = tarfile.TarInfo("noise/a.bin")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return packed.getvalue()


BOMB = zipped({"noise/a.bin": bytes(1 << 25)})
TARRED = tarred({"noise/a.bin": NOISE})
BAD_ARCHIVES = {
    "cut.zip": (ARCHIVE[:-2000], "damaged or cut short"),
    "flipped.zip": (ARCHIVE[:5000] + bytes([ARCHIVE[5000] ^ 1]) + ARCHIVE[5001:], "a.bin is damaged or cut short"),
    "page.zip": (b"<html>Please log in</html>", "damaged or cut short"),
    "empty.zip": (b"", "the file is empty"),
    "parent.zip": (zipped({"noise/a.bin": b"a", "noise/../../b.bin": b"b"}), r"'noise/../../b.bin' would leave"),
    "absolute.zip": (zipped({"/tmp/a.bin": b"a"}), "'/tmp/a.bin' would leave"),
    "link.zip": (linked("zip"), "is a link or device"),
    "bomb.zip": (BOMB, "is to unpack from"),
    "cut.tar.gz": (TARRED[:-2000], "damaged or cut short"),
    "sum.tar.gz": (TARRED[:-8] + bytes([TARRED[-8] ^ 1]) + TARRED[-7:], "damaged or cut short"),
    "parent.tar.gz": (tarred({"../a.bin": b"a"}), r"'../a.bin' would leave"),
    "link.tar.gz": (linked("tar"), "is a link, device"),
    "cut.txt.gz": (gzip.compress(NOISE)[:-2000], "damaged or cut short"),
    "bomb.txt.gz": (gzip.compress(bytes(1 << 25)), "unpacks to more than"),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_bad_archives_are_refused_when_they_come(mirror, tmp_path, name):
    content, complaint = BAD_ARCHIVES[name]
    mirror.files["/bad"] = content
    with pytest.raises(InputError, match=f"{name}.*{complaint}"):
        download(f"{mirror.address}/bad", tmp_path / name, Expected(), first_wait=0.01)
    assert leftovers(tmp_path) == set()


@fault(
    "an archive is damaged, unpacks to far too much, or writes outside its folder (`../`, absolute names, links)",
    sees="one error that names archive and member",
    kept="all files outside the folder; nothing is unpacked",
)
# The checksum of a whole tar.gz lies behind all its members.
@pytest.mark.parametrize("name", [name for name in BAD_ARCHIVES if name not in ("page.zip", "empty.zip", "sum.tar.gz")])
def test_bad_archives_unpack_to_nothing(tmp_path, name):
    """Also where someone put them there by hand."""
    (tmp_path / name).write_bytes(BAD_ARCHIVES[name][0])
    member = "a.bin" if ".txt" not in name else name.removesuffix(".gz")
    with pytest.raises(InputError, match=BAD_ARCHIVES[name][1]):
        unpack(tmp_path / name, {member: tmp_path / "out" / member})
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and file.name != name]


def test_a_damaged_member_does_not_stop_those_before_it(tmp_path):
    """But the checksum of the archive does; here none is known, and only one member is wanted."""
    file = tmp_path / "flipped.zip"
    file.write_bytes(BAD_ARCHIVES["flipped.zip"][0])
    assert unpack(file, {"b.bin": tmp_path / "b.bin"}) == []
    assert (tmp_path / "b.bin").read_bytes() == NOISE[:1000]
    check_archive(file, file.name, thorough=False)
    with pytest.raises(InputError, match=r"a.bin is damaged"):
        check_archive(file, file.name, thorough=True)


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_only_what_is_wanted_is_unpacked(tmp_path, name):
    members = {"d/a.jpg": b"a", "d/b.jpg": b"bb", "__MACOSX/d/._a.jpg": b"?", "d/c.jpg": b"c"}
    (tmp_path / name).write_bytes(zipped(members) if name.endswith("zip") else tarred(members))
    out = tmp_path / "out"
    wanted = {n: out / "part" / n for n in ("b.jpg", "a.jpg", "z.jpg")}
    assert unpack(tmp_path / name, wanted) == ["z.jpg"]
    assert {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*.*")} == {
        "part/a.jpg": b"a",
        "part/b.jpg": b"bb",
    }
    # Again: what is whole stays as it is, what is not is made whole.
    (out / "part/a.jpg").write_bytes(b"")
    untouched = (out / "part/b.jpg").stat().st_mtime_ns
    unpack(tmp_path / name, wanted)
    assert (out / "part/a.jpg").read_bytes() == b"a"
    assert (out / "part/b.jpg").stat().st_mtime_ns == untouched


def test_two_members_of_one_name_are_not_guessed_between(tmp_path):
    (tmp_path / "x.zip").write_bytes(zipped({"d/a.jpg": b"a", "e/a.jpg": b"b"}))
    with pytest.raises(InputError, match=r"e/a.jpg is not the only member called a.jpg"):
        unpack(tmp_path / "x.zip", {"a.jpg": tmp_path / "a.jpg"})
    # With their folders they are two.
    wanted = {name: tmp_path / "out" / name for name in ("e/a.jpg", "d/a.jpg", "f/a.jpg")}
    assert unpack(tmp_path / "x.zip", wanted) == ["f/a.jpg"]
    assert (tmp_path / "out/d/a.jpg").read_bytes() == b"a"
    assert (tmp_path / "out/e/a.jpg").read_bytes() == b"b"


def test_a_disk_too_small_is_seen_before_the_first_byte(mirror, small_disk):
    with pytest.raises(InputError, match=r"noise.zip needs \d+.\d kB, but \d+.\d kB are free; make room"):
        download(mirror.address + PATH, small_disk / "noise.zip", KNOWN)
    assert leftovers(small_disk) == set()


@fault(
    "the disk fills up during a download",
    sees="one error that names the folder and the part that is kept",
    kept="every byte that arrived",
)
def test_a_disk_that_fills_up_on_the_way(mirror, small_disk):
    """Its room was not known to be too little: the server does not say how much it sends."""
    mirror.lengths = False
    with pytest.raises(InputError, match=r"the disk .* is full; what was written is kept in .*noise.zip.partial"):
        download(mirror.address + PATH, small_disk / "noise.zip", Expected())
    assert leftovers(small_disk) == {"noise.zip.partial"}
    # With more room it goes on.
    kept = (small_disk / "noise.zip.partial").stat().st_size
    subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)
    download(mirror.address + PATH, small_disk / "noise.zip", Expected())
    assert mirror.asked_for(PATH) == [None, f"bytes={kept}-"]
    assert (small_disk / "noise.zip").read_bytes() == ARCHIVE


@fault(
    "the disk is too small for the content of an archive",
    sees="one error that names archive and folder, before or while it is unpacked",
    kept="the archive, and the files that were completely unpacked",
)
@pytest.mark.parametrize(("name", "complaint"), [("x.zip", "needs .* are free"), ("x.tar.gz", "the disk .* is full")])
def test_unpacking_onto_a_full_disk(tmp_path, small_disk, name, complaint):
    members = {"d/a.jpg": NOISE[:100_000], "d/b.jpg": NOISE[:300_000]}
    (tmp_path / name).write_bytes(zipped(members) if name.endswith("zip") else tarred(members))
    with pytest.raises(InputError, match=complaint):
        unpack(tmp_path / name, {n: small_disk / n for n in ("a.jpg", "b.jpg")})
    assert leftovers(small_disk) <= {"a.jpg"}
    for file in small_disk.glob("*.jpg"):
        assert file.read_bytes() == NOISE[:100_000]


def test_a_gz_stays_a_gz(mirror, tmp_path):
    """Some servers call it a coding of the transfer, which a client then takes off."""
    content = gzip.compress(b'{"a": 1}\n' * 100)
    mirror.files["/x.jsonl.gz"] = content
    mirror.headers = {"Content-Encoding": "gzip"}
    download(f"{mirror.address}/x.jsonl.gz", tmp_path / "x.jsonl.gz", Expected())
    assert (tmp_path / "x.jsonl.gz").read_bytes() == content


def test_an_archive_that_was_deleted_is_not_needed_for_files_that_are_there(tmp_path):
    (tmp_path / "names.txt").write_text("a.jpg\nb.jpg\n")
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()
    command = [sys.executable, REPOSITORY / "scripts/unpack.py", "--receipts", tmp_path / "images.zip.json"]
    command += ["--list", tmp_path / "names.txt", "--out", tmp_path]
    subprocess.run(list(map(str, command)), check=True)
    (tmp_path / "b.jpg").unlink()
    said = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False).stderr
    assert "images.zip was deleted; delete" in said

import json
import os
from pathlib import Path

import pytest
from pictures import bmp, encode, folder, jpeg, picture, put

from zoo.core import settings
from zoo.data import guard
from zoo.data.scan import scan


def look(root, **options):
    tree = scan(root)
    return tree, guard.check(tree.files(), tree.root, max_pixels=options.pop("max_pixels", 10**6))


def cache_files():
    return list((settings.cache_dir() / "guard").glob("*.json"))


def test_findings_say_what_each_file_is(tmp_path):
    root = folder(tmp_path / "set", each=2)
    put(root / "cat" / "bad.jpg", jpeg()[:100])
    _, found = look(root)
    assert found[str(root / "cat" / "0.jpg")].header.width == 32
    assert "truncated" in found[str(root / "cat" / "bad.jpg")].reason


def test_a_second_look_opens_no_file(tmp_path, monkeypatch):
    root = folder(tmp_path / "set", each=3)
    put(root / "cat" / "bad.jpg", jpeg()[:100])
    _, first = look(root)
    monkeypatch.setattr(guard, "inspect", lambda *a, **k: pytest.fail("looked again"))
    _, second = look(root)
    assert first == second


def test_a_changed_or_new_file_is_looked_at_again(tmp_path):
    root = folder(tmp_path / "set", each=2)
    look(root)
    put(root / "cat" / "0.jpg", jpeg(9)[:50])
    put(root / "cat" / "new.jpg", b"")
    _, found = look(root)
    assert found[str(root / "cat" / "0.jpg")].header is None
    assert found[str(root / "cat" / "new.jpg")].reason == "empty file (0 bytes)"


def test_files_that_change_places_are_looked_at_again(tmp_path):
    root = folder(tmp_path / "set", each=1, make=bmp)
    one, other = root / "cat" / "0.bmp", root / "dog" / "0.bmp"
    assert one.stat().st_size == other.stat().st_size
    tree, found = look(root)
    before = guard.fingerprint({"train": tree}, found)
    one.rename(root / "t")
    other.rename(one)
    (root / "t").rename(other)
    tree, after = look(root)
    assert after[str(one)].crc == found[str(other)].crc
    assert guard.fingerprint({"train": tree}, after) != before


def test_what_is_written_anew_under_the_old_date_is_looked_at_again(tmp_path):
    root = folder(tmp_path / "set", each=1, make=bmp)
    _, found = look(root)
    put(root / "cat" / "0.bmp", bmp(9))  # in place, and dated as before
    _, after = look(root)
    assert after[str(root / "cat" / "0.bmp")].crc != found[str(root / "cat" / "0.bmp")].crc


def test_findings_of_an_older_zoo_are_let_go(tmp_path):
    root = folder(tmp_path / "set", each=1)
    _, first = look(root)
    (stored,) = cache_files()
    rows = json.loads(stored.read_text())["files"]
    rows = {key: [*row[:2], *row[-3:]] for key, row in rows.items()}
    for version in (1, 2):
        stored.write_text(json.dumps({"version": version, "files": rows}))
        assert look(root)[1] == first


def test_a_file_that_changed_a_moment_ago_is_not_remembered(tmp_path):
    root = folder(tmp_path / "set", each=1)
    os.utime(root / "cat" / "0.jpg")
    look(root)
    (stored,) = cache_files()
    assert list(json.loads(stored.read_text())["files"]) == ["dog/0.jpg"]


def test_a_spoilt_or_unwritable_cache_costs_nothing_but_time(tmp_path, monkeypatch):
    root = folder(tmp_path / "set", each=1)
    _, first = look(root)
    (stored,) = cache_files()
    for text in ("", "[]", '{"version": 0}', '{"version": 1, "files": {"cat/0.jpg": []}}'):
        stored.write_text(text)
        assert look(root)[1] == first
    put(tmp_path / "file", b"")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    assert look(root)[1] == first


def test_the_pixel_limit_is_applied_to_remembered_findings(tmp_path):
    root = folder(tmp_path / "set", each=1)
    look(root)
    _, found = look(root, max_pixels=100)
    assert all("32 x 24 = 768 pixels" in f.reason for f in found.values())


def test_the_fingerprint_knows_content_and_names_but_not_place_and_date(tmp_path):
    def mark(root):
        tree, found = look(root)
        return guard.fingerprint({"train": tree}, found)

    one, other = folder(tmp_path / "a"), folder(tmp_path / "b")
    os.utime(other / "cat" / "0.jpg", ns=(5, 5))
    assert mark(one) == mark(other)
    assert len(mark(one)) == 32
    swapped = bytearray((other / "cat" / "0.jpg").read_bytes())
    swapped[-20] ^= 1
    put(other / "cat" / "0.jpg", bytes(swapped))
    os.utime(other / "cat" / "0.jpg", ns=(6, 6))
    assert mark(one) != mark(other)
    other = folder(tmp_path / "c")
    (other / "cat" / "0.jpg").rename(other / "cat" / "z.jpg")
    assert mark(one) != mark(other)


def test_images_that_test_are_not_those_that_validate(tmp_path):
    train, found = look(folder(tmp_path / "train"))
    other, more = look(folder(tmp_path / "other", start=20))
    found |= more
    marks = {guard.fingerprint({"train": train, role: other}, found) for role in ("val", "test")}
    assert len(marks) == 2


def test_the_limit_of_pixels_is_said_of_files_that_pillow_would_not_open(tmp_path):
    root = folder(tmp_path, ["a"])
    huge = b"GIF89a" + (20_000).to_bytes(2, "little") * 2 + b"\0\0\0"
    frame = b"," + b"\0" * 4 + (20_000).to_bytes(2, "little") * 2 + b"\0\2\0;"
    put(root / "a" / "huge.gif", huge + frame)
    _, found = look(root, max_pixels=1000)
    (reason,) = [f.reason for path, f in found.items() if path.endswith("gif")]
    assert reason == "20000 x 20000 = 400,000,000 pixels, more than the limit of 1,000"


def test_long_lists_are_cut_and_counted():
    error = guard.refuse({f"x/{n}.jpg": "empty" for n in range(33)}, 40, "do this")
    lines = error.message.splitlines()
    assert lines[0] == "33 of 40 files cannot be used:"
    assert len(lines) == 22
    assert "13 more" in lines[-1]


def test_progress_is_reported(tmp_path):
    seen = []
    files = list(scan(folder(tmp_path / "set", each=1)).files()) * 300
    guard.check(files, Path(tmp_path), max_pixels=10**6, progress=seen.append)
    assert seen == [256, 512]


def test_notes_count_what_is_converted(tmp_path):
    root = tmp_path / "set"
    put(root / "a" / "1.png", encode(picture().convert("RGBA"), "PNG"))
    put(root / "a" / "2.jpg", encode(picture().convert("CMYK"), "JPEG"))
    _, found = look(root)
    assert guard.notes(found.values()) == (
        "transparency laid over white: 1 image",
        "CMYK converted to RGB: 1 image",
    )


def test_groups_are_part_of_the_fingerprint_where_they_decide_who_validates(tmp_path):
    tree, found = look(folder(tmp_path / "set"))
    before = guard.fingerprint({"train": tree}, found)
    stated = guard.fingerprint({"train": tree, "val": tree}, found)
    tree.groups = {"cat/0.jpg": "p1", "cat/1.jpg": ""}
    assert guard.fingerprint({"train": tree, "val": tree}, found) == stated
    grouped = guard.fingerprint({"train": tree}, found)
    assert grouped != before
    assert guard.fingerprint({"": tree}, found) == grouped  # as an evaluation looks at them
    tree.groups = {"cat/0.jpg": "p2", "cat/1.jpg": ""}
    assert guard.fingerprint({"train": tree}, found) not in (before, grouped)
    tree.groups = {"cat/0.jpg": ""}
    assert guard.fingerprint({"train": tree}, found) == before

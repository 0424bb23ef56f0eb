import pytest
from pictures import encode, folder, jpeg, picture, png, put

from zoo.core.recipe import DataPart
from zoo.data import guard
from zoo.data.doctor import duplicates, examine
from zoo.data.scan import scan


@pytest.fixture
def look(known):
    def call(source, classes=None, **options):
        threads = options.pop("threads", 2)
        progress = options.pop("progress", None)
        data = DataPart(source=str(source), **options)
        return examine(data, registry=known, classes=classes, threads=threads, progress=progress)

    return call


def test_a_sound_folder_is_counted_and_measured(tmp_path, look):
    seen = []
    folder(tmp_path / "set" / "train", each=3)
    folder(tmp_path / "set" / "val", each=1, start=30, make=png)
    found = look(tmp_path / "set", progress=lambda *state: seen.append(state))
    assert found.ok
    assert found.counts == {"train": {"cat": 3, "dog": 3}, "val": {"cat": 1, "dog": 1}}
    assert found.formats == {"jpeg rgb": 6, "png rgb": 2}
    assert found.sizes == {"height": (24, 24), "width": (32, 32)}
    assert len(found.fingerprint) == 32
    assert seen[-1][0] == "decoding"
    assert found.to_dict()["ok"] is True


def test_everything_wrong_is_reported_at_once(tmp_path, look):
    folder(tmp_path / "set" / "train", ["a", "b", "c"])
    folder(tmp_path / "set" / "val", ["a", "b", "d"], start=40)
    (tmp_path / "set" / "train" / "empty").mkdir()
    put(tmp_path / "set" / "train" / "a" / "bad.jpg", b"")
    (tmp_path / "set" / "val" / "a" / "gone.jpg").symlink_to("nowhere.jpg")
    found = look(tmp_path / "set", classes=9)
    assert not found.ok
    said = "\n".join(f"{where}: {what}" for where, what in found.problems.items())
    for words in (
        "train/a/bad.jpg: empty file",
        "val/a/gone.jpg: broken link",
        "'empty'",
        "only in val: d",
        "--classes 9",
    ):
        assert words in said
    assert any("--allow-empty" in hint for hint in found.hints)
    own = {"number of classes", "folders of train", "classes of val"}
    assert {where for where in found.problems if "/" not in where} == own


def test_too_large_images_are_allowed_by_its_own_flag(tmp_path, look):
    folder(tmp_path / "set")
    hints = look(tmp_path / "set", max_pixels=100).hints
    assert any(hint.endswith("--max-pixels N allows larger ones") for hint in hints)
    (tmp_path / "set" / "cat" / "bad.jpg").write_bytes(b"")
    assert not any("--max-pixels" in hint for hint in look(tmp_path / "set").hints)


def test_a_run_that_could_hold_nothing_out_is_a_problem(tmp_path, look):
    root = folder(tmp_path / "set", each=1)
    found = look(root)
    assert list(found.problems) == ["validation images"]
    assert found.hints == ["add images, or --val FOLDER"]
    assert look(root, val=str(folder(tmp_path / "other", each=1, start=5))).ok
    put(root / "cat" / "again.jpg", (root / "cat" / "0.jpg").read_bytes())
    assert not look(root).ok
    put(root / "cat" / "more.jpg", jpeg(9))
    assert look(root).ok


def test_damage_that_only_decoding_shows_is_found(tmp_path, look, monkeypatch):
    root = folder(tmp_path / "set")
    whole = jpeg(0, height=200, width=200)
    (root / "cat" / "odd.jpg").write_bytes(whole[:1200] + b"\0" * 4)
    real = guard.inspect
    monkeypatch.setattr(
        guard, "inspect", lambda data, **k: real(whole if len(data) == 1204 else data, **k)
    )
    found = look(root)
    assert list(found.problems) == ["train/cat/odd.jpg"]


def test_what_is_no_data_set_is_a_problem_with_a_hint(tmp_path, look):
    found = look(tmp_path / "none" / "at" / "all")
    assert not found.ok
    assert found.hints == ["zoo doctor FOLDER, or zoo doctor demo"]


def test_named_sets_are_examined_too(look):
    found = look("digits")
    assert found.ok
    assert sum(found.counts["train"].values()) == 1400
    assert found.notes == ["validated on the test split: it has no other"]


def test_duplicates_are_compared_by_content(tmp_path):
    root = folder(tmp_path / "set", each=3)
    put(root / "dog" / "copy.jpg", jpeg(0))
    tree = scan(root)
    findings = guard.check(tree.files(), root, max_pixels=10**6)
    assert duplicates({"train": tree}, findings) == [("train/cat/0.jpg", "train/dog/copy.jpg")]
    liars = {path: guard.Finding(7, None) for path in findings}
    assert duplicates({"train": tree}, liars) == [("train/cat/0.jpg", "train/dog/copy.jpg")]


def test_a_picture_whose_stream_breaks_off_is_a_problem(tmp_path, look):
    root = folder(tmp_path / "set")
    data = bytearray(encode(picture(3, height=200, width=200), "TIFF", compression="tiff_lzw"))
    data[100:-600] = b"\xff" * (len(data) - 700)
    put(root / "cat" / "odd.tiff", bytes(data))
    assert list(look(root).problems) == ["train/cat/odd.tiff"]


def test_groups_are_looked_at(tmp_path, look):
    folder(tmp_path / "set", each=4)
    rows = [f"set/{c}/{n}.jpg,{c},p{n // 2}" for c in ("cat", "dog") for n in range(4)]
    put(tmp_path / "set.csv", "\n".join(["path,label,group", *rows]).encode())
    found = look(tmp_path / "set.csv")
    assert found.ok
    assert any("groups are kept together (column group): 1 of 2" in note for note in found.notes)
    alone = [row.rpartition(",")[0] + ",p" + row.split(",")[1] for row in rows]
    put(tmp_path / "set.csv", "\n".join(["path,label,group", *alone]).encode())
    found = look(tmp_path / "set.csv")
    assert "no class has images of two groups" in found.problems["validation images"]
    torn = [f"{row},{'train' if n % 4 else 'val'}" for n, row in enumerate(rows)]
    put(tmp_path / "set.csv", "\n".join(["path,label,group,split", *torn]).encode())
    assert any(
        "1 group is in more than one split" in w for w in look(tmp_path / "set.csv").warnings
    )

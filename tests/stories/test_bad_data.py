"""Bad images, bad folders, bad labels: each through ``open_data``, a sample through the command.

The numbers are those of the list of bad inputs in docs/how-to/data.md.
"""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from pictures import encode, folder, jpeg, picture, pixels, png, put
from PIL import Image

from zoo.core import registry
from zoo.core.recipe import DataPart
from zoo.core.specs import DatasetSpec
from zoo.data.doctor import examine
from zoo.data.loaders import make_loader
from zoo.data.sources import open_data
from zoo.errors import DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def known():
    return registry.load()


@pytest.fixture
def opened(known, tmp_path):
    def call(**options):
        wanted = {k: options.pop(k) for k in ("classes", "channels", "seed") if k in options}
        source = str(options.pop("source", tmp_path / "set"))
        return open_data(DataPart(source=source, **options), registry=known, **wanted)

    return call


def lfs():
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


def flipped(data, at):
    changed = bytearray(data)
    changed[at] ^= 0x10
    return bytes(changed)


def float_tiff():
    return encode(Image.fromarray(pixels()[..., 0].astype(np.float32) / 255), "TIFF")


def noise(size):
    return np.random.default_rng(0).bytes(size)


DAMAGED = {  # name -> bytes, part of the reason
    "01-empty.jpg": (b"", "0 bytes"),
    "02-half.jpg": (jpeg(1)[: len(jpeg(1)) // 2], "truncated JPEG"),
    "02-half.png": (png(1)[: len(png(1)) // 2], "truncated PNG"),
    "03-tail.jpg": (jpeg(2)[:-7], "truncated JPEG"),
    "03-tail.png": (png(2)[:-7], "truncated PNG"),
    "04-random.jpg": (noise(900), "no image"),
    "05-page.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
    "05-pointer.jpg": (lfs(), "git-lfs"),
    "06-crc.png": (flipped(png(3), 40), "checksum"),
    "07-flip.png": (flipped(png(4), len(png(4)) // 2), "checksum"),
    "07-flip.jpg": (flipped(jpeg(4), jpeg(4).index(b"\xff\xc4") + 5), "Huffman"),
    "17-float.tiff": (float_tiff(), "floating-point"),
}


def test_1_to_7_and_17_all_damaged_files_are_listed_at_once_before_the_run(tmp_path, opened):
    root = folder(tmp_path / "set")
    for name, (data, _) in DAMAGED.items():
        put(root / "cat" / name, data)
    with pytest.raises(DataError) as raised:
        opened()
    message = raised.value.message
    assert message.startswith(f"{len(DAMAGED)} of {len(DAMAGED) + 8} files cannot be used")
    for name, (_, reason) in DAMAGED.items():
        (line,) = [line for line in message.splitlines() if name in line]
        assert reason in line
    assert "--on-bad-image skip" in raised.value.hint
    assert raised.value.exit_code == 3


@pytest.mark.parametrize("name", DAMAGED)
def test_1_to_7_and_17_each_alone_is_refused_and_can_be_left_out(name, tmp_path, opened):
    root = folder(tmp_path / "set")
    data, reason = DAMAGED[name]
    put(root / "dog" / name, data)
    with pytest.raises(DataError, match=reason) as raised:
        opened()
    assert f"dog/{name}" in raised.value.message
    splits = opened(on_bad_image="skip")
    assert len(splits.train) + len(splits.val) == 8
    assert any(f"dog/{name}" in note for note in splits.notes)


def test_7_a_flip_that_only_the_decoder_sees_names_the_file_and_can_be_left_out(tmp_path, opened):
    root = folder(tmp_path / "set", each=6)
    splits = opened()
    victim = splits.train.keys[0]
    put(root / victim, jpeg(0)[:300] + b"\x00" * 10)  # damaged after the check
    with pytest.raises(DataError, match="decoded") as raised:
        list(make_loader(splits.train, batch_size=4).epoch(0))
    assert victim in raised.value.message
    put(root / victim, jpeg(0))
    splits = opened(on_bad_image="skip")
    put(root / victim, jpeg(0)[:300] + b"\x00" * 10)
    loader = make_loader(splits.train, batch_size=4)
    seen = torch.cat([batch.indices for batch in loader.epoch(0)])
    assert len(seen) == len(splits.train) - 1
    assert list(loader.skipped) == [victim]


def test_8_macos_forks_are_ignored_with_a_count(tmp_path, opened):
    root = folder(tmp_path / "set")
    put(root / "cat" / "._0.jpg", b"\0\5\x16\7")
    put(root / "._cat", b"\0\5\x16\7")
    splits = opened()
    assert len(splits.train) + len(splits.val) == 8
    assert any("macOS forks ._* (2)" in note for note in splits.notes)


def only(root, name, data):
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            put(root / split / label / name, data)
    return root


def alpha_picture():
    plane = np.concatenate([pixels(5), np.zeros((24, 32, 1), np.uint8)], -1)
    plane[:12, :, 3] = 255
    return plane


KINDS = {
    "09-cmyk.jpg": encode(picture(5).convert("CMYK"), "JPEG"),
    "10-grey.jpg": encode(picture(5).convert("L"), "JPEG"),
    "10-grey.png": encode(picture(5).convert("L"), "PNG"),
    "11-la.png": encode(picture(5).convert("LA"), "PNG"),
    "12-rgba.png": encode(picture(5).convert("RGBA"), "PNG"),
    "13-palette.png": encode(picture(5).convert("P"), "PNG"),
    "14-palette-transparent.png": encode(picture(5).convert("P"), "PNG", transparency=3),
    "15-bilevel.png": encode(picture(5).convert("1"), "PNG"),
    "bmp.bmp": encode(picture(5), "BMP"),
    "webp.webp": encode(picture(5), "WEBP", lossless=True),
    "tiff.tif": encode(picture(5), "TIFF"),
    "gif.gif": encode(picture(5), "GIF"),
    "ppm.ppm": encode(picture(5), "PPM"),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_9_to_15_every_kind_of_picture_gives_bytes_of_the_channels_asked_for(
    name, channels, tmp_path, opened
):
    only(tmp_path / "set", name, KINDS[name])
    splits = opened(channels=channels)
    image = splits.train.load(0)
    assert image.dtype == torch.uint8
    assert image.shape == (channels, 24, 32)
    truth = Image.open(io.BytesIO(KINDS[name]))
    if "transparent" not in name:
        wanted = np.asarray(truth.convert("RGB").convert("L" if channels == 1 else "RGB"), int)
        shown = image[0] if channels == 1 else image.permute(1, 2, 0)
        assert np.abs(shown.numpy() - wanted).max() <= 1


def test_12_alpha_is_laid_over_white_and_said(tmp_path, opened):
    only(tmp_path / "set", "a.png", encode(Image.fromarray(alpha_picture()), "PNG"))
    splits = opened()
    image = splits.train.load(0)
    assert torch.equal(image[:, :12], torch.from_numpy(pixels(5)).permute(2, 0, 1)[:, :12])
    assert bool((image[:, 12:] == 255).all())
    assert any("over white: 4 images" in note for note in splits.notes)


def test_16_sixteen_bits_are_scaled_never_clipped(tmp_path, opened):
    deep = pixels(6)[..., 0].astype(np.uint16) * 257
    only(tmp_path / "set", "deep.png", encode(Image.fromarray(deep), "PNG"))
    splits = opened()
    image = splits.train.load(0)
    assert np.array_equal(image[0].numpy(), pixels(6)[..., 0])
    assert torch.equal(image[0], image[2])
    assert any("16 bits scaled to 8" in note for note in splits.notes)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_18_and_19_of_an_animation_the_first_frame_is_used_and_it_is_said(form, tmp_path, opened):
    first, second = picture(7), picture(8)
    options = {"save_all": True, "append_images": [second], "duration": 40}
    options |= {"lossless": True} if form == "WEBP" else {}
    only(tmp_path / "set", f"move.{form.lower()}", encode(first, form, **options))
    splits = opened()
    seen = splits.train.load(0).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(seen - pixels(7)).mean() < np.abs(seen - pixels(8)).mean() / 4
    assert any("first frame of animations used: 4 images" in note for note in splits.notes)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_20_the_exif_orientation_is_applied(form, tmp_path, opened):
    exif = Image.Exif()
    exif[0x112] = 6
    only(tmp_path / "set", f"turned.{form.lower()}", encode(picture(9), form, exif=exif))
    assert opened().train.load(0).shape == (3, 32, 24)


def test_21_damaged_exif_and_colour_profiles_do_not_matter(tmp_path, opened):
    options = {"exif": b"Exif\0\0" + noise(60), "icc_profile": noise(200)}
    only(tmp_path / "set", "odd.jpg", encode(picture(9), "JPEG", **options))
    for label in ("cat", "dog"):
        broken = encode(picture(3), "PNG", exif=b"II*\0\xff\xff\xff\xff" + noise(20))
        put(tmp_path / "set" / "train" / label / "odd.png", broken)
    splits = opened()
    assert splits.train.load(0).shape == (3, 24, 32)
    assert examine(DataPart(source=str(tmp_path / "set")), registry=registry.load()).ok


def test_22_and_23_too_many_pixels_are_an_error_with_both_numbers(tmp_path, opened):
    root = folder(tmp_path / "set")
    put(root / "cat" / "huge.png", encode(Image.new("1", (12000, 12000)), "PNG"))
    put(root / "cat" / "bomb.png", encode(Image.new("1", (20000, 20000)), "PNG"))
    put(root / "cat" / "huge.gif", encode(Image.new("L", (10000, 10000)), "GIF"))
    with pytest.raises(DataError) as raised:
        opened()
    assert "12000 x 12000 = 144,000,000 pixels" in raised.value.message
    assert "20000 x 20000 = 400,000,000 pixels" in raised.value.message
    assert "huge.gif" in raised.value.message
    assert "89,000,000" in raised.value.message
    with pytest.raises(DataError, match="more than the limit of 100") as raised:
        opened(max_pixels=100)
    assert "--set data.max_pixels=N allows larger ones" in raised.value.hint


def test_24_tiny_and_thin_pictures_work(tmp_path, opened, known):
    from zoo.plugin import InputSpec

    root = tmp_path / "set"
    for label in ("cat", "dog"):
        put(root / label / "dot.png", encode(picture(1, height=1, width=1), "PNG"))
        put(root / label / "strip.png", encode(picture(1, height=4000, width=1), "PNG"))
    splits = opened()
    for name in ("standard", "center-crop"):
        transform = known.build("transform", name, InputSpec(size=(3, 32, 32)))
        loader = make_loader(splits.train, transform, batch_size=2)
        assert [b.images.shape for b in loader.epoch(0)] == [(2, 3, 32, 32)]


def test_26_names_and_suffixes_do_not_matter(tmp_path, opened):
    root = tmp_path / "set"
    names = [
        "wrong.png",
        "UPPER.JPG",
        "with space.jpg",
        "猫の写真.jpg",
        "line\nbreak.jpg",
        "x" * 236 + ".jpg",
        "no-suffix",
    ]
    for number, name in enumerate(names):
        put(root / "cat" / name, jpeg(number))
        put(root / "犬\n" / name, jpeg(number + 50))
    splits = opened()
    assert len(splits.train) + len(splits.val) == 2 * len(names)
    for images in (splits.train, splits.val):
        for index in range(len(images)):
            assert images.load(index).shape == (3, 24, 32)
    put(root / "cat" / "new\nline.png", b"")
    with pytest.raises(DataError, match=r"'cat/new\\nline.png'"):
        opened()


def test_27_to_30_what_is_no_data_set_says_what_one_looks_like(tmp_path, opened):
    with pytest.raises(DataError, match="no folder"):
        opened(source=tmp_path / "missing")
    put(tmp_path / "file.jpg", jpeg())
    with pytest.raises(DataError, match="is a file, not a folder") as raised:
        opened(source=tmp_path / "file.jpg")
    assert "FOLDER/<class>/<image>" in raised.value.hint
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no class folders") as raised:
        opened(source=tmp_path / "empty")
    assert "FOLDER/<class>/<image>" in raised.value.hint
    put(tmp_path / "flat" / "1.jpg", jpeg())
    with pytest.raises(DataError, match="1 images but no class folders"):
        opened(source=tmp_path / "flat")


def test_27_a_name_that_is_neither_folder_nor_data_set(opened):
    with pytest.raises(DataError, match="no folder and no data set called 'digit'") as raised:
        opened(source="digit")
    assert "digits" in raised.value.hint


def test_31_an_empty_class_is_named(tmp_path, opened):
    root = folder(tmp_path / "set")
    (root / "emu").mkdir()
    with pytest.raises(DataError, match="1 of 3 classes: 'emu'") as raised:
        opened()
    assert "--allow-empty" in raised.value.hint
    assert opened(allow_empty=True).classes == ("cat", "dog", "emu")


def test_32_a_single_class_is_warned_about(tmp_path, opened):
    folder(tmp_path / "set", ["cat"])
    assert any("single class" in warning for warning in opened().warnings)


def test_33_splits_with_different_classes_name_both_differences(tmp_path, opened):
    folder(tmp_path / "set" / "train", ["cat", "dog", "emu"])
    folder(tmp_path / "set" / "val", ["cat", "emu", "yak"], start=50)
    with pytest.raises(DataError) as raised:
        opened()
    assert "only in train: dog" in raised.value.message
    assert "only in val: yak" in raised.value.message


def test_34_system_folders_are_no_classes(tmp_path, opened):
    root = folder(tmp_path / "set")
    put(root / ".ipynb_checkpoints" / "0.jpg", jpeg(70))
    put(root / "__MACOSX" / "cat" / "0.jpg", jpeg(71))
    put(root / "cat" / ".ipynb_checkpoints" / "0.jpg", jpeg(72))
    splits = opened()
    assert splits.classes == ("cat", "dog")
    assert len(splits.train) + len(splits.val) == 8


def test_35_each_real_file_counts_once_however_many_links_lead_to_it(tmp_path, opened):
    root = folder(tmp_path / "set", each=3)
    (root / "cat" / "again").symlink_to(root / "cat", target_is_directory=True)
    (root / "cat" / "up").symlink_to(root, target_is_directory=True)
    (root / "dog" / "copy.jpg").symlink_to(root / "dog" / "0.jpg")
    splits = opened()
    assert len(splits.train) + len(splits.val) == 6
    assert any("links to folders" in note for note in splits.notes)


def test_36_classes_are_in_text_order_and_it_is_said(tmp_path, opened):
    folder(tmp_path / "set", ["1", "10", "2"])
    splits = opened()
    assert splits.classes == ("1", "10", "2")
    assert any("text order" in note and "1, 10, 2" in note for note in splits.notes)


def test_37_names_that_differ_in_case_only_are_warned_about(tmp_path, opened):
    folder(tmp_path / "set", ["Cat", "cat", "dog"])
    assert any("'Cat' and 'cat'" in warning for warning in opened().warnings)


def test_38_unreadable_files_and_broken_links_are_listed(tmp_path, opened):
    root = folder(tmp_path / "set")
    (root / "cat" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.raises(DataError, match=r"'cat/gone.jpg': broken link"):
        opened()
    assert len(opened(on_bad_image="skip").train) > 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_38_files_without_permission_are_listed(tmp_path, opened):
    root = folder(tmp_path / "set")
    (root / "cat" / "0.jpg").chmod(0)
    with pytest.raises(DataError, match=r"'cat/0.jpg': cannot be read \(permission denied\)"):
        opened()


def test_39_the_same_bytes_in_train_and_val_are_warned_about(tmp_path, opened):
    folder(tmp_path / "set" / "train")
    folder(tmp_path / "set" / "val", start=50)
    put(tmp_path / "set" / "val" / "cat" / "copy.jpg", jpeg(0))
    assert any(
        "1 image is in more than one split" in warning and "cat/copy.jpg" in warning
        for warning in opened().warnings
    )


def test_40_fewer_images_than_a_dropped_batch_is_an_error(tmp_path, opened):
    folder(tmp_path / "set")
    splits = opened()
    with pytest.raises(DataError, match="do not fill one batch of 32") as raised:
        make_loader(splits.train, batch_size=32, drop_last=True)
    assert "--batch-size" in raised.value.hint


def test_41_a_last_batch_of_one_joins_the_one_before(tmp_path, opened):
    folder(tmp_path / "set", each=5)
    images = opened(val_fraction=0.1).train
    assert len(images) == 8
    loader = make_loader(images, batch_size=7)
    sizes = [len(batch.labels) for batch in loader.epoch(0)]
    assert sizes == [8]
    assert loader.batches_per_epoch == 1
    assert loader.notes == (
        "the last batch of an epoch would have 1 image: joined to the one before",
    )
    assert [len(b.labels) for b in make_loader(images, batch_size=7, train=False).epoch(0)] == [
        7,
        1,
    ]


class Shelf:
    """A registry of one data set, which is all that ``open_data`` asks of one."""

    def __init__(self, dataset, classes):
        self._dataset, self._classes = dataset, classes

    def find(self, kind, name):
        return DatasetSpec(name=name, target="x:y", classes=self._classes)

    def build(self, kind, name, **options):
        return self._dataset


class Labelled:
    def __init__(self, labels):
        self.targets = labels

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return picture(index), self.targets[index]


def test_42_and_43_labels_out_of_range_are_found_before_the_first_step():
    for labels, words in (([0, 1, 5], "5 \\(1 times\\)"), ([0, -100, 1], "-100 .*ignore -100")):
        with pytest.raises(DataError, match=words):
            open_data(DataPart(source="odd"), registry=Shelf(Labelled(labels), 3))


def test_43_a_table_with_ignored_labels_is_refused(tmp_path, opened):
    put(tmp_path / "a.jpg", jpeg())
    put(tmp_path / "set.csv", b"path,label\na.jpg,-100\n")
    with pytest.raises(DataError, match="-100"):
        opened(source=tmp_path / "set.csv")


def test_44_the_number_of_classes_is_compared_before_anything_expensive(tmp_path, opened):
    folder(tmp_path / "set")
    with pytest.raises(DataError, match=r"--classes 300, but .* has 2") as raised:
        opened(classes=300)
    assert "--classes 2" in raised.value.hint
    with pytest.raises(DataError, match="--classes 300, but digits has 10"):
        opened(source="digits", classes=300)


def hostile_tar(path):
    with tarfile.open(path, "w") as tar:
        for name in ("../escaped.jpg", "/tmp/escaped.jpg", "cat/0.jpg"):
            info = tarfile.TarInfo(name)
            data = jpeg()
            info.size, info.mode = len(data), 0o4755
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("cat/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
        device = tarfile.TarInfo("cat/null")
        device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
        tar.addfile(device)


def test_45_and_46_archives_are_refused_and_nothing_is_unpacked(tmp_path, opened):
    hostile_tar(tmp_path / "set.tar")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("cat/0.png", b"\0" * 50_000_000)
    for name in ("set.tar", "bomb.zip"):
        with pytest.raises(DataError, match="is an archive") as raised:
            opened(source=tmp_path / name)
        assert raised.value.exit_code == 3
    assert sorted(os.listdir(tmp_path)) == ["bomb.zip", "set.tar"]


def test_the_doctor_lists_everything_of_a_sick_folder(tmp_path, zoo):
    root = folder(tmp_path / "set")
    for name, (data, _) in DAMAGED.items():
        put(root / "cat" / name, data)
    (root / "emu").mkdir()
    put(root / "dog" / "copy.jpg", jpeg(0))
    code, out, err = zoo("doctor", root)
    assert code == 3
    assert not err
    for name, (_, reason) in DAMAGED.items():
        (line,) = [line for line in out.splitlines() if name in line]
        assert reason in line
    assert "'emu'" in out
    assert "same: train/cat/0.jpg = train/dog/copy.jpg" in out
    assert "more than one class" in out


def test_the_doctor_is_content_with_a_sound_folder(tmp_path, zoo):
    code, out, _ = zoo("doctor", folder(tmp_path / "set"))
    assert code == 0
    assert "train: 8 images in 2 classes, 4 to 4 each" in out
    assert "fit to train on" in out


@pytest.mark.parametrize("verb", ["finetune", "train"])
def test_the_command_refuses_before_it_builds_anything(verb, tmp_path, zoo):
    root = folder(tmp_path / "set")
    put(root / "cat" / "bad.jpg", b"")
    code, out, err = zoo(verb, "resnet18", "--data", root, "--out", tmp_path / "runs")
    assert code == 3
    assert "error: 1 of 9 files cannot be used:" in err
    assert "'cat/bad.jpg': empty file (0 bytes)" in err
    assert "hint: remove or repair them, or --on-bad-image skip" in err
    assert not out
    assert not (tmp_path / "runs").exists()


def test_the_command_refuses_wrong_trees_with_the_same_code(tmp_path, zoo):
    folder(tmp_path / "a" / "train", ["cat", "dog"])
    folder(tmp_path / "a" / "val", ["cat", "emu"], start=40)
    put(tmp_path / "flat" / "0.jpg", jpeg())
    hostile_tar(tmp_path / "set.tar")
    for source, words in (
        (tmp_path / "a", "only in val: emu"),
        (tmp_path / "flat", "no class folders"),
        (tmp_path / "nothing", "no folder"),
        (tmp_path / "set.tar", "is an archive"),
    ):
        code, _, err = zoo("finetune", "resnet18", "--data", source, "--dry-run")
        assert code == 3
        assert words in err
        assert "hint: " in err
    code, _, err = zoo("finetune", "resnet18", "--data", "digits", "--classes", 300, "--dry-run")
    assert code == 3
    assert "--classes 300, but digits has 10" in err


@pytest.mark.slow
def test_the_command_trains_without_the_bad_images_if_told_to(tmp_path, zoo):
    root = folder(tmp_path / "set", each=5)
    put(root / "cat" / "bad.jpg", b"")
    small = ("--size", 32, "--epochs", 1, "--batch-size", 4, "--device", "cpu")
    where = ("--data", root, "--out", tmp_path / "runs")
    code, out, err = zoo("train", "shufflenet_v2_x0_5", *where, *small, "--on-bad-image", "skip")
    assert code == 0
    assert "left out 1 of 11 files: 'cat/bad.jpg'" in out + err
    assert list((tmp_path / "runs").glob("*/model.safetensors"))

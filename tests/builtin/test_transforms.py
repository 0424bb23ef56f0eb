import itertools

import pytest
import torch
from torchvision.transforms import v2

from zoo.builtin.parts import NUMBERS, STRIDES, random_part
from zoo.builtin.transforms import CenterCrop, Letterbox, Mix, RandomCrop, Shift, Squash, Standard
from zoo.core import registry
from zoo.data.views import all_even, first_numbers
from zoo.plugin import InputSpec, UsageError

SMALL = InputSpec(size=(3, 32, 48), resize=40, crop=32)
PHOTO = torch.randint(
    0, 256, (3, 60, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def catalogue(*stages):
    shelf = registry.load().shelf("transform").values()
    return [spec.name for spec in shelf if spec.stage in stages and spec.plugin == "zoo"]


@pytest.mark.parametrize("name", catalogue("train", "eval"))
@pytest.mark.parametrize(
    "shape", [(3, 60, 80), (1, 8, 8), (3, 8, 8), (3, 1, 1), (3, 1, 300), (1, 300, 2), (3, 32, 48)]
)
def test_every_named_transform_gives_bytes_of_the_inputs_size(name, shape):
    transform = registry.load().build("transform", name, SMALL)
    image = torch.randint(0, 256, shape, dtype=torch.uint8)
    kept = image.clone()
    for _ in range(5):
        out = transform(image)
        assert out.shape == (shape[0], 32, 48)
        assert out.dtype == torch.uint8
    assert torch.equal(image, kept)


@pytest.mark.parametrize("name", catalogue("train"))
def test_training_transforms_follow_torchs_generator(name):
    transform = registry.load().build("transform", name, SMALL)

    def draw(seed):
        torch.manual_seed(seed)
        return [transform(PHOTO) for _ in range(4)]

    assert all(map(torch.equal, draw(1), draw(1)))
    assert not all(map(torch.equal, draw(1), draw(2)))


@pytest.mark.parametrize("name", catalogue("train"))
def test_training_transforms_take_their_first_numbers_instead_of_drawing_them(name):
    transform = registry.load().build("transform", name, SMALL)
    count = len(transform.strides)
    assert count == (getattr(transform, "numbers", 0) or getattr(transform, "draws", 0) or count)
    torch.manual_seed(3)
    drawn = transform(PHOTO)
    torch.manual_seed(3)
    numbers = torch.rand(count)
    torch.manual_seed(3)
    assert torch.equal(transform(PHOTO, numbers), drawn)
    torch.manual_seed(3)
    assert not torch.equal(transform(PHOTO, (numbers + 0.4) % 1), drawn)
    assert type(transform)(SMALL, even=False).strides == ()
    assert all_even(transform) is (getattr(transform, "after", None) is None)
    assert not all_even(type(transform)(SMALL, even=False))


def test_parts_of_an_image_are_spread_over_the_epochs():
    keys = [(epoch, 0) for epoch in range(8)]
    parts = [
        random_part(600, 800, (0.08, 1.0), (3 / 4, 4 / 3), numbers.tolist())
        for numbers in first_numbers(keys, NUMBERS, 5, Standard(SMALL).strides)
    ]
    assert sorted(mirror < 0.5 for *_, mirror in parts) == [False] * 4 + [True] * 4
    areas = sorted(numbers[0].item() for numbers in first_numbers(keys, NUMBERS, 5, STRIDES))
    gaps = [b - a for a, b in itertools.pairwise(areas)]
    assert max(gaps) < 0.25  # of 8 drawn anew seldom less than this


@pytest.mark.parametrize("name", catalogue("eval"))
def test_evaluation_transforms_are_fixed_and_take_batches(name):
    transform = registry.load().build("transform", name, SMALL)
    assert transform.deterministic
    assert transform.batched
    batch = torch.stack([PHOTO, PHOTO.flip(-1)])
    state = torch.get_rng_state()
    assert torch.equal(transform(batch), torch.stack([transform(i) for i in batch]))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_centre_crops_are_torchvisions(interpolation):
    spec = InputSpec(size=(3, 32, 32), resize=40, crop=32, interpolation=interpolation)
    mode = v2.InterpolationMode(interpolation)
    theirs = v2.Compose(
        [v2.Resize(40, mode, antialias=interpolation != "nearest"), v2.CenterCrop(32)]
    )
    for image in (PHOTO, PHOTO.transpose(1, 2), PHOTO[:, :60, :60], PHOTO[:, :41, :77]):
        assert torch.equal(CenterCrop(spec)(image), theirs(image))


def test_another_input_size_keeps_the_proportion_of_the_crop():
    imagenet = InputSpec(size=(3, 64, 64), resize=256, crop=224)
    assert CenterCrop(imagenet).zoom == 256 / 224
    inner = CenterCrop(imagenet)(_rings(280))
    assert inner.shape == (3, 64, 64)
    assert CenterCrop(InputSpec(size=(3, 64, 64))).zoom == 1


def _rings(size):
    line = torch.linspace(-1, 1, size)
    return (
        ((line[None] ** 2 + line[:, None] ** 2) * 127)
        .clamp(0, 255)
        .to(torch.uint8)
        .expand(3, -1, -1)
    )


def test_squash_keeps_everything_and_letterbox_keeps_proportions():
    white = torch.full((3, 20, 80), 255, dtype=torch.uint8)
    assert bool((Squash(SMALL)(white) == 255).all())
    boxed = Letterbox(SMALL, fill=7)(white)
    assert bool((boxed[:, 10:22] == 255).all())
    assert boxed[:, :10].unique().tolist() == [7]
    assert boxed[:, 22:].unique().tolist() == [7]


def test_weights_that_were_judged_squashed_or_bordered_are_shown_that_way():
    white = torch.full((3, 20, 80), 255, dtype=torch.uint8)
    said = {"size": (3, 32, 32), "resize": 40, "crop": 32, "mean": (0.2, 0.4, 0.6)}
    boxed = Letterbox(InputSpec(**said, crop_mode="border"))(white)
    assert boxed[:, 0, 0].tolist() == [51, 102, 153]
    assert bool((boxed[:, 11:21] == 255).all())
    assert bool((boxed[:, 9] == boxed[:, :1, 0]).all())
    ramp = torch.arange(80, dtype=torch.uint8).mul(3).expand(3, 20, 80)
    cut = Squash(InputSpec(**said, crop_mode="squash"))(ramp)
    whole = Squash(InputSpec(**said))(ramp)
    assert (cut[0, 0, 0].item(), whole[0, 0, 0].item()) == (pytest.approx(24, abs=4), 3)


def part_of(high, wide, scale, ratio):
    return random_part(high, wide, scale, ratio, torch.rand(NUMBERS).tolist())[:4]


def test_crops_cover_the_scales_and_ratios_that_were_asked_for():
    torch.manual_seed(0)
    areas, ratios = [], []
    for _ in range(400):
        top, left, high, wide = part_of(200, 200, (0.2, 0.5), (0.5, 2.0))
        assert 0 <= top <= 200 - high
        assert 0 <= left <= 200 - wide
        areas.append(high * wide / 40000)
        ratios.append(wide / high)
    assert 0.19 < min(areas) < 0.23
    assert 0.47 < max(areas) < 0.51
    assert min(ratios) < 0.6
    assert max(ratios) > 1.7
    assert sum(ratio > 1 for ratio in ratios) == pytest.approx(200, abs=50)


@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.5, 1.0), (0.3, 0.3)])
def test_how_much_a_random_crop_magnifies_is_the_mean_of_what_it_cuts(scale):
    transform = Standard(InputSpec(size=(3, 8, 8)), scale=scale, ratio=(1.0, 1.0))
    torch.manual_seed(0)
    edges = []
    for _ in range(3000):
        *_, high, wide = part_of(1000, 1000, transform.scale, transform.ratio)
        assert high == wide
        edges.append(1000 / high)
    assert transform.magnifies == pytest.approx(sum(edges) / len(edges), rel=0.02)


def test_thin_images_fall_back_to_the_largest_allowed_part():
    torch.manual_seed(0)
    for high, wide in ((1, 300), (300, 1), (2, 100)):
        top, left, h, w = part_of(high, wide, (0.9, 1.0), (0.75, 1.33))
        assert 1 <= h <= high
        assert 1 <= w <= wide
        assert abs((high - h) // 2 - top) <= 1
        assert abs((wide - w) // 2 - left) <= 1


def test_flips_happen_as_often_as_asked_and_shift_never_flips():
    ramp = torch.arange(48, dtype=torch.uint8).mul(5).expand(3, 32, 48)
    torch.manual_seed(1)
    for kind, options, low, high in (
        (Standard, {"flip": 0.0}, 0, 0),
        (Standard, {"flip": 1.0}, 100, 100),
        (Standard, {}, 30, 70),
        (RandomCrop, {"mode": "edge"}, 30, 70),
        (Shift, {}, 0, 0),
    ):
        transform = kind(SMALL, **options)
        turned = 0
        for _ in range(100):
            out = transform(ramp).float()
            turned += bool(out[..., 20:23].mean() > out[..., 25:28].mean())
        assert low <= turned <= high


def test_random_crop_shows_its_padding():
    torch.manual_seed(0)
    white = torch.full((3, 32, 48), 255, dtype=torch.uint8)
    black = [bool((RandomCrop(SMALL, padding=4)(white) == 0).any()) for _ in range(20)]
    assert sum(black) > 15
    for mode in ("reflect", "edge"):
        assert not (RandomCrop(SMALL, padding=4, mode=mode)(white) == 0).any()
    assert RandomCrop(SMALL).padding == 4


@pytest.mark.parametrize("method", ["mixup", "cutmix"])
def test_mixed_labels_are_shares_that_sum_to_one(method):
    torch.manual_seed(0)
    mix = registry.load().build("transform", method, SMALL, classes=5)
    images = torch.rand(6, 3, 16, 16)
    mixed, soft = mix(images, torch.tensor([0, 1, 2, 3, 4, 0]))
    assert mixed.shape == images.shape
    assert soft.shape == (6, 5)
    assert torch.allclose(soft.sum(1), torch.ones(6))
    again, softer = mix(mixed, soft)
    assert again.shape == images.shape
    assert torch.allclose(softer.sum(1), torch.ones(6))


def test_mixup_blends_labels_as_it_blends_images():
    torch.manual_seed(3)
    images = torch.eye(4).view(4, 1, 2, 2)
    mixed, soft = Mix(SMALL, classes=4, alpha=1.0)(images, torch.arange(4))
    assert torch.allclose(mixed.view(4, 4), soft, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (Standard, {"policy": "magic"}, "policy 'magic'"),
        (Standard, {"flip": 1.5}, "flip must be"),
        (Standard, {"even": "no"}, "even must be true or false, not 'no'"),
        (RandomCrop, {"even": 0}, "even must be true or false"),
        (Shift, {"even": None}, "even must be true or false"),
        (Standard, {"scale": [0.5]}, "scale must be"),
        (Standard, {"ratio": [2.0, 1.0]}, "ratio must be"),
        (Standard, {"erase": -1}, "erase must be"),
        (RandomCrop, {"mode": "wrap"}, "mode 'wrap'"),
        (Shift, {"fraction": 2}, "fraction must be"),
        (Mix, {"classes": 3, "method": "blend"}, "method 'blend'"),
        (Mix, {"classes": 3, "alpha": 0}, "alpha must be"),
    ],
)
def test_options_out_of_range_are_refused(kind, options, words):
    with pytest.raises(UsageError, match=words):
        kind(SMALL, **options)


@pytest.mark.parametrize("name", ["shift", "random-crop"])
def test_a_batch_is_what_its_images_are_one_by_one(name):
    transform = registry.load().build("transform", name, SMALL)
    images = torch.stack([PHOTO, PHOTO.flip(-1), PHOTO.flip(-2)])
    draws = torch.rand(3, transform.draws)
    together = transform.many(images, draws)
    for row in range(3):
        assert torch.equal(
            together[row], transform.many(images[row : row + 1], draws[row : row + 1])[0]
        )


@pytest.mark.parametrize(
    "draws",
    [[0.9, 0.2, 0.5, 0.5], [0.5, 0.5, 0.9, 0.5], [0.5, 0.5, 0.5, 0.1], [0.7, 0.4, 0.2, 0.8]],
)
def test_shift_moves_turns_and_zooms_as_torchvision_does(draws):
    shift = Shift(SMALL, fraction=0.2, turn=30, zoom=0.3)
    smooth = _rings(64)[:, :32, :48]
    down, right, turn, zoom = (2 * value - 1 for value in draws)
    theirs = v2.functional.affine(
        smooth,
        angle=turn * 30,
        translate=[right * 0.2 * 48, down * 0.2 * 32],
        scale=1 + zoom * 0.3,
        shear=[0.0, 0.0],
        interpolation=v2.InterpolationMode.BILINEAR,
    )
    ours = shift.many(smooth[None], torch.tensor([draws]))[0]
    inner = (slice(None), slice(10, 22), slice(14, 34))
    assert (ours[inner].int() - theirs[inner].int()).abs().float().mean() < 1.5


def test_random_crop_moves_by_up_to_its_padding_and_mirrors():
    ramp = torch.arange(48).add(torch.arange(32)[:, None] * 3).to(torch.uint8).expand(3, 32, 48)
    crop = RandomCrop(SMALL, padding=2, mode="edge")
    for draws, shift, turned in (
        ([0.5, 0.5, 0.9], (0, 0), False),
        ([0.5, 0.5, 0.1], (0, 0), True),
        ([0.0, 0.999, 0.9], (-2, 2), False),
    ):
        out = crop.many(ramp[None], torch.tensor([draws]))[0]
        wanted = ramp.roll((-shift[0], -shift[1]), (1, 2))
        wanted = wanted.flip(-1) if turned else wanted
        assert torch.equal(out[:, 4:28, 4:44], wanted[:, 4:28, 4:44])

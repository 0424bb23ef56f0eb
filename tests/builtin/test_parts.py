import numpy as np
import pytest
import torch

from zoo.builtin.parts import NUMBERS, random_part, random_parts

SCALES = [((0.08, 1.0), (3 / 4, 4 / 3)), ((0.9, 1.0), (2.0, 3.0)), ((0.5, 0.5), (1.0, 1.0))]


@pytest.mark.parametrize(("scale", "ratio"), SCALES)
def test_many_parts_are_those_of_one_image_after_the_other(scale, ratio):
    draw = np.random.default_rng(0)
    sizes = np.concatenate([draw.integers(1, 400, (200, 2)), [[1, 300], [300, 1], [1, 1]]])
    numbers, expected, mirrored = [], [], []
    for seed, (high, wide) in enumerate(sizes):
        numbers.append(torch.rand(NUMBERS, generator=torch.Generator().manual_seed(seed)))
        *part, mirror = random_part(int(high), int(wide), scale, ratio, numbers[-1].tolist())
        expected.append(tuple(part))
        mirrored.append(mirror < 0.5)
    parts, turned = random_parts(sizes, torch.stack(numbers).numpy(), scale, ratio, 0.5)
    assert [tuple(row) for row in parts.tolist()] == expected
    assert turned.bool().tolist() == mirrored


def test_a_part_lies_inside_and_has_the_share_it_may_have():
    torch.manual_seed(0)
    for _ in range(200):
        numbers = torch.rand(NUMBERS).tolist()
        top, left, high, wide, _ = random_part(90, 120, (0.25, 0.5), (3 / 4, 4 / 3), numbers)
        assert 0 <= top <= 90 - high
        assert 0 <= left <= 120 - wide
        assert 0.24 < high * wide / (90 * 120) < 0.51

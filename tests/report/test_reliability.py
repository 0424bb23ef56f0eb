"""zoo.report.reliability: bars as high as the share that is right."""

from xml.etree.ElementTree import fromstring

import pytest
import torch

from zoo.engine.judging.calibration import reliability
from zoo.report.reliability import diagram


def test_bars_say_what_the_bins_say():
    bins = reliability(torch.tensor([0.95, 0.95, 0.99, 0.3]), torch.tensor([1, 0, 1, 0]).bool())
    svg = fromstring(diagram(bins))
    groups = list(svg.iter("g"))
    assert len(groups) == 2
    low, high = ([float(node.get("height")) for node in group.iter("rect")] for group in groups)
    assert low[0] == 0
    assert high[0] == pytest.approx(280 * 2 / 3, abs=0.1)
    assert high[1] == pytest.approx(3 * low[1], abs=0.1)
    assert "3 images, mean probability 0.963, right 0.667" in "".join(groups[1].itertext())
    assert "75 %" in "".join(svg.itertext())


def test_nothing_to_draw_is_an_empty_diagram():
    svg = fromstring(diagram(reliability(torch.empty(0), torch.empty(0).bool())))
    assert list(svg.iter("g")) == []

"""zoo.report.page: one file that needs no other, whatever the classes are called."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
import torch
from judged import HOSTILE, drawn, judged, loaded_from

import zoo
from zoo.engine.evaluate import Evaluation
from zoo.engine.judging.judgement import Judgement
from zoo.engine.judging.robustness import Robustness
from zoo.errors import UsageError
from zoo.report.page import page, write_report
from zoo.report.target import HEAD

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
VOID = {"meta", "br", "img"}
KNOWN = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "div", "ul",
    "li", "section", "table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd", "code", "bdi",
    "strong", "span", "figure", "figcaption", "details", "summary", "svg", "g", "text", "rect",
    "line", "path", "circle", "br", "img",
}  # fmt: skip


class Reader(HTMLParser):
    """Checks that elements are closed in order, and remembers what is there."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.attributes, self.words = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def safe(text):
    """Nothing that runs, and nothing that is loaded from anywhere."""
    found = read(text)
    assert set(found.seen) <= KNOWN
    for key, value in found.attributes:
        assert not key.startswith("on"), key
        assert key not in ("href", "srcset", "action"), key
        if key == "src":
            assert value.startswith("data:image/")
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text.replace("&#x27;", "'")
    return found


@pytest.mark.parametrize("k", [1, 2, 3, 10, 40, 41, 300])
def test_any_number_of_classes(tmp_path, k):
    found = judged([f"class {n}" for n in range(k)], *drawn(400, k))
    text = page(found, loaded_from(tmp_path / "w.safetensors"), WHEN)
    assert text.startswith(HEAD)
    reader = safe(text)
    words = " ".join(reader.words)
    assert "The numbers" in words
    assert ("What its probabilities are worth" in words) == (k > 1)
    assert ("no map is drawn" in words) == (k > 40)
    assert len(text) < 1_000_000


def test_hostile_names_are_text_everywhere(tmp_path):
    keys = [f"{HOSTILE[n % 3]}/{n}.jpg" for n in range(60)]
    found = judged(
        HOSTILE, *drawn(60, 3, skill=0.5, void=2), keys=keys, data="</title><script>alert(4)</script>",
        notes=("<b>note</b>",),
    )  # fmt: skip
    loaded = loaded_from(
        tmp_path / "w", run="<i>run</i>", base={"weights": "<u>"}, data={"name": "<s>"}
    )
    text = page(found, loaded, WHEN)
    text.encode()
    reader = safe(text)
    assert not re.search("[\x00-\x08\u202e]", text)
    assert "<script>alert(1)</script>" in reader.words
    assert "<b>note</b>" in reader.words


def test_all_wrong_all_right_and_no_numbers(tmp_path):
    labels = torch.arange(30) % 3
    loaded = loaded_from(tmp_path / "w")
    hot = torch.nn.functional.one_hot
    right = page(judged("abc", 9 * hot(labels, 3).float(), labels), loaded, WHEN)
    assert "No image of one class was taken for another" in right
    assert "No temperature fits best" in right
    assert "most confident mistakes" not in right
    safe(page(judged("abc", 9 * hot((labels + 1) % 3, 3).float(), labels), loaded, WHEN))
    void = page(judged("abc", torch.full((30, 3), float("nan")), labels), loaded, WHEN)
    assert "30 images are no numbers" in "".join(safe(void).words).replace("\u00a0", " ")
    safe(page(judged("abc", torch.zeros(30, 3), labels), loaded, WHEN))
    few = judged("abc", *drawn(1, 3))
    safe(page(few, loaded, WHEN))


def test_an_evaluation_without_class_targets(tmp_path):
    found = Judgement(data="x", evaluation=Evaluation(n=3, loss=0.5), classes=(), counts={})
    words = " ".join(safe(page(found, loaded_from(tmp_path / "w"), WHEN)).words)
    assert "0.5000" in words
    assert "Each class" not in words


def test_a_sample_is_told_of(tmp_path, monkeypatch):
    from zoo.engine.judging import answers

    monkeypatch.setattr(answers, "SAMPLE", 50)
    found = judged("abc", *drawn(200, 3))
    words = " ".join(read(page(found, loaded_from(tmp_path / "w"), WHEN)).words)
    assert "fitted on 50 of these images" in words
    assert "Outputs are kept of so many only" in words


def test_the_same_evaluation_gives_the_same_page(tmp_path):
    loaded = loaded_from(tmp_path / "w")
    one, other = (page(judged("abc", *drawn(99, 3)), loaded, WHEN) for _ in range(2))
    assert one == other


def test_a_run_shows_its_training(finished_run, photos, tmp_path):
    path = tmp_path / "r.html"
    loaded = zoo.load(finished_run)
    found = zoo.evaluate(loaded, data=photos, device="cpu", report=path)
    assert found.report == path
    reader = safe(path.read_text("utf-8"))
    words = " ".join(reader.words)
    for piece in ("How it was trained", "best: epoch", loaded.info.recipe_digest, "24"):
        assert piece in words
    assert path.stat().st_size < 200_000
    again = write_report(replace(found, report=None), loaded, path, when=WHEN)
    assert again.report == path


def test_spoilt_images_are_a_section_if_they_were_measured(tmp_path):
    found = judged("abc", *drawn(99, 3))
    plain = page(found, loaded_from(tmp_path / "w"), WHEN)
    assert "spoilt" not in plain
    spoilt = {"noise": (0.9, 0.5, 0.25), "blur": (0.8, 0.6, 0.1)}
    robust = replace(found, robustness=Robustness(n=99, clean=0.9, spoilt=spoilt))
    words = " ".join(safe(page(robust, loaded_from(tmp_path / "w"), WHEN)).words)
    for piece in ("What is left of it on spoilt images", "52.5", "25.0", "ImageNet-C"):
        assert piece in words


def test_another_file_is_refused_before_the_model_is_loaded(tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(UsageError, match="no report"):
        zoo.evaluate("a run that is not there", report=tmp_path / "mine.html")
    assert (tmp_path / "mine.html").read_text() == "mine"

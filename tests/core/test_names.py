import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.core.names import did_you_mean, distribution, matches, natural_key, parse, suggest
from zoo.errors import UsageError


@pytest.mark.parametrize(
    ("text", "plugin", "name", "weights", "source"),
    [
        ("resnet18", "", "resnet18", "", ""),
        ("timm/resnet18", "timm", "resnet18", "", ""),
        ("resnet18:imagenet1k_v1", "", "resnet18", "imagenet1k_v1", ""),
        ("timm/vit_base.x:a1_in1k", "timm", "vit_base.x", "a1_in1k", ""),
        ("hub:org/repo@abc", "", "org/repo@abc", "", "hub"),
        ("file:./a b/model.pth", "", "./a b/model.pth", "", "file"),
        ("run:base", "", "base", "", "run"),
        ("url:https://a.b/c", "", "https://a.b/c", "", "url"),
        ("package:mod/file", "", "mod/file", "", "package"),
    ],
)
def test_the_grammar(text, plugin, name, weights, source):
    found = parse(text)
    assert (found.plugin, found.name, found.weights, found.source) == (
        plugin,
        name,
        weights,
        source,
    )


def test_qualified_leaves_the_weights_out():
    assert parse("timm/resnet18:a1").qualified == "timm/resnet18"
    assert parse("resnet18:v1").qualified == "resnet18"


@pytest.mark.parametrize(
    "text",
    ["./model", "/abs/model", "~/model", "model.pth", "Model.SAFETENSORS", "a/b/c", "x\\y.pt"],
)
def test_what_looks_like_a_path_is_refused_with_the_spellings(text):
    with pytest.raises(UsageError, match="looks like a path") as caught:
        parse(text)
    assert f"file:{text}" in caught.value.hint
    assert "hub:ORG/REPO" in caught.value.hint


@pytest.mark.parametrize("text", ["", " ", "res net", "a:b:c", "-x", "resnet18\n", ":v1", "a/"])
def test_what_is_not_a_name(text):
    with pytest.raises(UsageError, match="is not a name"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "hint"), [("hub:", "hub:ORG/REPO"), ("run:", "run:NAME"), ("url:", "url:...")]
)
def test_a_source_with_nothing_in_it(text, hint):
    with pytest.raises(UsageError, match="nothing in it") as caught:
        parse(text)
    assert hint in caught.value.hint


@given(st.text())
def test_parse_gives_a_reference_or_a_usage_error(text):
    try:
        found = parse(text)
    except UsageError:
        return
    assert found.name


def test_people_sort_18_before_101():
    names = ["resnet101", "resnet18", "ResNet34", "alexnet"]
    assert sorted(names, key=natural_key) == ["alexnet", "resnet18", "ResNet34", "resnet101"]


@given(st.lists(st.text(max_size=12)))
def test_any_text_can_be_sorted(texts):
    assert len(sorted(texts, key=natural_key)) == len(texts)


def test_digits_that_are_not_numbers_sort_too():
    assert sorted(["x2", "²", "1"], key=natural_key)[0] == "1"


def test_close_names_come_best_first():
    shelf = ["resnet18", "resnet34", "resnet50", "alexnet", "timm/resnet18d"]
    assert suggest("resnt18", shelf)[0] == "resnet18"
    assert suggest("ResNet-18", shelf)[0] == "resnet18"
    assert suggest("RESNET_50", shelf)[0] == "resnet50"
    assert suggest("timm/resnet18", ["resnet18"]) == ("resnet18",)
    assert suggest("qqqq", shelf) == ()


def test_a_beginning_of_a_name_is_close_to_it():
    assert suggest("swin", ["swin_v2_b", "swin_t", "vgg11"]) == ("swin_t", "swin_v2_b")


def test_no_more_than_asked():
    assert len(suggest("resnet", [f"resnet{n}" for n in range(20)], n=2)) == 2


def test_the_sentence():
    assert did_you_mean(["a", "b"]) == "did you mean a, b?"
    assert did_you_mean(iter(())) == ""


@pytest.mark.parametrize(
    ("pattern", "names", "found"),
    [
        ("resnet*", ("resnet18",), True),
        ("resnet*", ("timm/resnet18", "resnet18"), True),
        ("resnet*", ("wide_resnet50_2",), False),
        ("resnet", ("wide_resnet50_2",), True),
        ("ResNet1?", ("resnet18",), True),
        ("resnet[13]*", ("resnet50",), False),
        ("ce", ("cross-entropy", "ce"), True),
    ],
)
def test_what_people_type_means_a_name_or_a_piece_of_one(pattern, names, found):
    assert matches(pattern, names) is found


def test_a_tag_is_matched_whole_or_by_a_pattern():
    assert matches("Small", ("net",), ("small", "old"))
    assert matches("sm*", ("net",), ("small",))
    assert not matches("mal", ("net",), ("small",))
    assert matches("ne", ("net",), ())


@pytest.mark.parametrize("name", ["Zoo.Mine", "zoo-mine", "ZOO_mine", "zoo.-_mine"])
def test_distributions_are_compared_as_installers_do(name):
    assert distribution(name) == "zoo-mine"

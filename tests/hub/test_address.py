import pytest

from zoo.errors import UsageError
from zoo.hub.address import (
    Address,
    host_of,
    is_commit,
    is_loopback,
    one_line,
    parse_address,
    without_secrets,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hub:ann/net", Address("ann/net")),
        ("ann/net", Address("ann/net")),
        ("hub:gpt2", Address("gpt2")),
        ("hub:timm/resnet18.a1_in1k@v1.0", Address("timm/resnet18.a1_in1k", "v1.0")),
        ("hub:a/b@refs/pr/4", Address("a/b", "refs/pr/4")),
        ("hub:a/b@" + "0" * 40, Address("a/b", "0" * 40)),
    ],
)
def test_good_addresses(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "hub:", "hub:a/b/c", "hub:a b", "hub:a/", "hub:/b", "hub:-a/b", "hub:a/b--c", "hub:a/b..c",
        "hub:a/b.git", "hub:../etc", "hub:a/" + "b" * 97, "hub:ä/b",
    ],
)  # fmt: skip
def test_bad_repository_ids(text):
    with pytest.raises(UsageError, match="is not a repository id") as error:
        parse_address(text)
    assert error.value.hint == "expected hub:user/name[@revision]"
    assert error.value.exit_code == 2


@pytest.mark.parametrize("revision", ["", "a b", "../x", "-x", "x~1", "a^", "x/"])
def test_bad_revisions(revision):
    with pytest.raises(UsageError, match="is not a revision"):
        parse_address(f"hub:a/b@{revision}")


def test_a_web_address_is_rewritten_in_the_hint():
    with pytest.raises(UsageError) as error:
        parse_address("hub:https://huggingface.co/timm/resnet18.a1_in1k/tree/main")
    assert error.value.hint == "write hub:timm/resnet18.a1_in1k@main"


def test_commits_and_spelling():
    assert is_commit("a" * 40)
    assert not is_commit("a" * 39)
    assert not is_commit("main")
    assert Address("a/b", "f" * 40).pinned
    assert str(Address("a/b", "v1")) == "hub:a/b@v1"
    assert str(Address("a/b")) == "hub:a/b"


def test_loopback_is_told_by_the_host():
    assert is_loopback("http://127.0.0.1:80/x")
    assert is_loopback("http://localhost")
    assert is_loopback("http://[::1]:8")
    assert not is_loopback("http://127.evil.org")
    assert not is_loopback("http://example.org/127.0.0.1")
    assert host_of("https://Hub.Example:8/x") == "hub.example"


def test_addresses_lose_what_opens_doors():
    for text, kept in (
        ("http://ann:p@ss@hub.example:80/a/b", "http://hub.example:80/a/b"),
        (
            "for url 'https://cdn.example/x?signature=a&b=c#d' x",
            "for url 'https://cdn.example/x' x",
        ),
        ("url:https://x.org/w.pth?sig=a", "url:https://x.org/w.pth"),
        ("hub:ann/net@v1", "hub:ann/net@v1"),
        ("mail ann@x.org?", "mail ann@x.org?"),
    ):
        assert without_secrets(text) == kept


def test_long_texts_are_cut_and_put_on_one_line():
    assert one_line("a\n  b") == "a b"
    assert len(one_line("x" * 999)) == 300

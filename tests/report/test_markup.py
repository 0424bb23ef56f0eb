"""zoo.report.markup: what is not markup is text."""

from zoo.report.markup import Markup, escaped, joined, name, shortened, tag


def test_text_is_escaped_and_markup_is_not():
    assert escaped("<a href='x'>&\"") == "&lt;a href=&#x27;x&#x27;&gt;&amp;&quot;"
    assert joined("<b>", Markup("<b>"), 3, None, ["&", [tag("i", "<")]]) == (
        "&lt;b&gt;<b>3&amp;<i>&lt;</i>"
    )
    assert isinstance(joined("x"), Markup)


def test_what_no_page_may_hold_is_spelled_out():
    assert escaped("a\x00\x1b\u202e\udcff\ufffeb") == "a\\u0000\\u001b\\u202e\\udcff\\ufffeb"
    assert escaped("ä 漢 🐱 \u05d0\n\t") == "ä 漢 🐱 \u05d0\n\t"
    joined(tag("p", "\ud800", title="\udcff")).encode()


def test_elements():
    assert tag("p") == "<p></p>"
    assert tag("br") == "<br/>"
    assert tag("rect", x=1.0, y=2.345, width=1e-9, class_="a b") == (
        '<rect x="1" y="2.35" width="0" class="a b"/>'
    )
    assert tag("line", stroke_width=2, aria_hidden="true") == (
        '<line stroke-width="2" aria-hidden="true"/>'
    )
    assert tag("meta", name="x", content='"') == '<meta name="x" content="&quot;"/>'
    assert tag("a", open=True, hidden=False, title=None) == '<a open=""></a>'
    assert tag("rect", tag("title", "<")) == "<rect><title>&lt;</title></rect>"


def test_names_are_isolated_and_long_ones_shortened():
    assert name("cat") == '<bdi class="name">cat</bdi>'
    assert name("") == '<bdi class="name" title="">(no name)</bdi>'
    assert name("<b>" * 50, 10) == (
        f'<bdi class="name" title="{"&lt;b&gt;" * 50}">&lt;b&gt;&lt;b&gt;&lt;b&gt;…</bdi>'
    )
    assert shortened("abc", 3) == "abc"
    assert shortened("ab cd", 4) == "ab…"

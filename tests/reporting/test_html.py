"""Markup is balanced and escaped by construction."""

from __future__ import annotations

import pytest

from striate.reporting.html import Html, escape, h, join, name


def test_text_is_escaped_and_markup_is_not() -> None:
    assert h("p", "<b> & \"c\" 'd'", h("b", "e")) == "<p>&lt;b&gt; &amp; &quot;c&quot; &#x27;d&#x27;<b>e</b></p>"


def test_attributes_cannot_break_out_of_their_quotes() -> None:
    assert h("img", alt='"><script>') == '<img alt="&quot;&gt;&lt;script&gt;">'


def test_attribute_names_and_values() -> None:
    assert h("a", class_="b", data_of="c", hidden=True, title=None, open=False, x=1.0, y=0.126) == (
        '<a class="b" data-of="c" hidden x="1" y="0.13"></a>'
    )


def test_children_are_laid_out() -> None:
    assert join(["a", None, [Html("<i>"), ["&"]]]) == "a<i>&amp;"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("evil\u202egpj.exe", "evil\\u202egpj.exe"),
        ("a\x00b\nc", "a\\u0000b\\u000ac"),
        ("\udcff.jpg", "\\xff.jpg"),
        ("صورة.jpg", "صورة.jpg"),
        ("猫 🐈‍⬛.jpg", "猫 🐈‍⬛.jpg"),
    ],
)
def test_hidden_characters_and_invalid_bytes_are_spelled_out(text: str, shown: str) -> None:
    assert escape(text) == shown
    assert escape(text).encode("utf-8")


def test_names_keep_their_writing_direction_to_themselves() -> None:
    assert name("صورة") == "<bdi>صورة</bdi>"

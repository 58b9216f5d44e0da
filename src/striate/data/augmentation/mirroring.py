"""Decide from class names and channels whether a mirror image keeps its class."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from striate.core.spec import RGB, InputSpec


@dataclass(frozen=True)
class Mirroring:
    """Whether training images are mirrored by default, and why, as the end of a sentence.

    `decided`: a class name forbids it. Else the names leave open whether mirror images keep their class, which is
    measured after training (`striate.runs.mirrored`).
    """

    allowed: bool
    reason: str
    decided: bool = False


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that mean a side in any position, in the folded form that `_words` returns.
_SIDED = _words_of(
    "lefthand righthand clockwise cw ccw anticlockwise counterclockwise mirrored flipped linke linker linkes gauche "
    "droite izquierda izquierdo derecha derecho esquerda esquerdo direita direito sinistra sinistro destra destro "
    "vanster hoger venstre hojre hoyre vasen oikea lewo lewa lewy prawo prawa prawy vlevo vpravo levy pravy lijevo "
    "desno kiri kanan trai phai лево право влево вправо налево направо слева справа левыи правыи левая правая "
    "αριστερα δεξια يسار يمين שמאל ימין बाएं दाएं"
)
# Pieces that mean a side inside other words too (keepleft, 左折), those in Latin letters not inside these words.
_PIECES = re.compile("left|right|^links|^recht(s|e)|左|右|왼|오른")
_NO_SIDE = re.compile("cleft|leftover|[bf]right|wright|(up|out|forth|down|copy|birth)right|sprightly|right(eous|ful)")
# Pairs that mean sides only if two classes differ in nothing else: `sol` is left in Turkish, and the sun in Spanish.
_OPPOSITES: Sequence[tuple[str, str]] = (
    *(("l", "r"), ("lh", "rh"), ("lhs", "rhs"), ("lt", "rt"), ("lft", "rgt"), ("sx", "dx"), ("sol", "sag")),
    *(("levo", "desno"), ("gauche", "droit"), ("bal", "jobb"), ("좌", "우"), ("port", "starboard")),
    *(("od", "os"), ("dexter", "sinister"), ("dextral", "sinistral")),
    *(("east", "west"), ("eastward", "westward"), ("eastbound", "westbound"), ("e", "w"), ("ne", "nw"), ("se", "sw")),
    *(("northeast", "northwest"), ("southeast", "southwest"), ("ost", "west"), ("oost", "west"), ("est", "ouest")),
    *(("est", "ovest"), ("este", "oeste"), ("восток", "запад"), ("东", "西"), ("東", "西")),
    *(("b", "d"), ("p", "q"), ("slash", "backslash"), ("less", "greater")),
)
# Characters whose mirror image is another of them, or none: arrows, and hands that point.
_ARROWS = re.compile(
    "[\u2190\u2192\u2196-\u2199\u219a-\u21ff\u2794\u2798-\u27be\u27f0-\u27ff\u2900-\u297f\u2b00-\u2b2f]|"
    "[\u25c0\u25b6\u261a-\u261e\U0001f448\U0001f449\U0001f503\U0001f504\u21a9\u21aa«»‹›]"
)

# Names of classes that show writing.
_WRITING = _words_of(
    "digit digits letter letters numeral numerals alphabet character characters char glyph glyphs grapheme "
    "handwriting handwritten hiragana katakana kanji kana hangul ziffer buchstabe lettre letra cifra chiffre"
)
# Words without meaning for the content of an image: a name of these and numbers is a code.
_EMPTY = _words_of(
    "class cls klasse clase classe label lbl category categorie group cluster type kind id no nr num number symbol "
    "sign upper lower uppercase lowercase capital small cap caps big"
)
_COUNTS = _words_of(
    "zero one two three four five six seven eight nine ten eleven twelve null eins zwei drei vier funf sechs sieben "
    "acht neun zehn"
)
_ROMAN = re.compile("(?=[ivx])(x{0,3})(ix|iv|v?i{0,3})")
_WORDNET = re.compile("n[0-9]{8}")  # ImageNet's folders: nouns, of which few have a side


def mirroring(spec: InputSpec, classes: Sequence[str]) -> Mirroring:
    """Decide whether images are mirrored left to right in training by default.

    Colour images are mirrored, unless their class names mention sides or writing, or have no meaning (`1`, `class_7`);
    a mirror image may then belong to another class. Images of other channels are never mirrored.
    """
    if set(spec.channels) != set(RGB):
        return Mirroring(False, "images that are not RGB may be writing, scans or measurements")
    named = [(name, _words(name)) for name in classes]
    for name, words in named:
        if _ARROWS.search(name) or any(_is_side(word) for word in words):
            return Mirroring(False, f"the class name {name!r} mentions a side", decided=True)
    for name, words in named:
        if opposite := _opposite(words, named):
            return Mirroring(False, f"a mirror may exchange the classes {name!r} and {opposite!r}", decided=True)
    for name, words in named:
        if _WRITING & set(words):
            return Mirroring(False, f"the class name {name!r} mentions writing", decided=True)
    codes = [name for name, words in named if _is_code(name, words)]
    if 2 * len(codes) >= len(classes) > 0:
        return Mirroring(
            False,
            f"names such as {codes[0]!r} do not say what the images show; if mirror images keep their class, set "
            "augmentation.flip=true",
        )
    but_numbers = {tuple(word for word in words if not word.isdecimal()) for _, words in named}
    if len(but_numbers) == 1 < len(classes) and not all(_WORDNET.fullmatch(name) for name in classes):
        return Mirroring(False, "the class names differ in nothing but numbers, which the images may show")
    return Mirroring(True, "the images are RGB, and no class name mentions sides or writing")


def _words(name: str) -> list[str]:
    """Split a name into words and numbers, without accents: `TurnLeft2` is turn, left, 2."""
    plain = unicodedata.normalize("NFKC", name)
    apart = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain)
    folded = unicodedata.normalize("NFKD", apart.casefold().replace("ø", "o").replace("ı", "i"))
    if not re.search(r"[\u0900-\u097f]", folded):  # in Devanagari, vowels are marks
        folded = "".join(character for character in folded if not unicodedata.combining(character))
    folded = unicodedata.normalize("NFC", folded)
    return re.findall(r"[0-9]+|(?:[^\W\d_]|[\u0900-\u097f])+", folded)


def _is_side(word: str) -> bool:
    return word in _SIDED or bool(_PIECES.search(_NO_SIDE.sub("", word)))


def _opposite(words: Sequence[str], named: Sequence[tuple[str, Sequence[str]]]) -> str | None:
    """Return the name of another class that differs from `words` only in one word's opposite."""
    others = {tuple(other): name for name, other in named}
    for place, word in enumerate(words):
        for opposite in _opposites(word):
            changed = (*words[:place], opposite, *words[place + 1 :])
            if changed in others:
                return others[changed]
    return None


def _opposites(word: str) -> Iterator[str]:
    for pair in _OPPOSITES:
        if word in pair:
            yield pair[word == pair[0]]
    if len(word) > 2 and word[0] in "lr":  # lhand, rhand
        yield ("r" if word[0] == "l" else "l") + word[1:]
    if len(word) > 2 and word[-1] in "lr":  # turnl, turnr
        yield word[:-1] + ("r" if word[-1] == "l" else "l")


def _is_code(name: str, words: Sequence[str]) -> bool:
    """Return whether a name holds only numbers, single letters and words without meaning."""
    if len(name) == 1:
        return True
    if _WORDNET.fullmatch(name):
        return False
    left = [word for word in words if word not in _EMPTY]
    return all(word.isdecimal() or len(word) == 1 or word in _COUNTS or _ROMAN.fullmatch(word) for word in left)

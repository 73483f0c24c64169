"""Phrases that sound nearly like a wake word, as phonemes: what a detector must learn to leave alone.

One to three phonemes of the phrase are exchanged for others of their kind (vowels for vowels, tones with them), left
out or doubled in their place by a neighbour; or a part of the phrase stands alone, or its words change places. All
phonemes are those of the language: of the phrase itself and of everyday words. It needs no list of words, so it works
for every language that espeak-ng speaks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Words = list[list[str]]

VOWELS = frozenset("aeiouyAEIOUVY03@")
STRESS = "',%="

EVERYDAY = {
    "en": "the quick brown fox jumps over a lazy dog while judges vow to fix each noisy shoe with zeal and charm",
    "cmn": "八 怕 妈 发 大 他 那 拉 嘎 咖 哈 鸡 七 西 知 吃 诗 日 资 次 思 衣 五 雨 爱 北 "
    "高 狗 看 很 忙 冷 东 家 写 小 六 面 林 江 星 花 多 快 会 算 春 黄 月 全 群 熊",
}
"""Language → words that together hold most of its phonemes; other languages make do with the Latin alphabet's names."""

ALPHABET = "a b c d e f g h i j k l m n o p q r s t u v w x y z"


def everyday(language: str) -> str:
    """Words of a language whose phonemes may stand in near phrases."""
    return EVERYDAY.get(language.split("-")[0], ALPHABET)


def near(phrase: Words, inventory: Words, count: int, rng: np.random.Generator) -> list[Words]:
    """Different phrases near to one, none equal to it in sound; fewer where there are not so many.

    Parameters
    ----------
    phrase : its words, each a list of phonemes in espeak-ng's writing.
    inventory : words that hold the language's phonemes.
    count : how many are wanted.
    rng : draws what is changed.
    """
    known = {bare(phoneme): phoneme for word in inventory for phoneme in word}
    vowels = [phoneme for phoneme in known.values() if is_vowel(phoneme)]
    others = [phoneme for phoneme in known.values() if not is_vowel(phoneme)]
    found = {sound(part): part for part in parts(phrase)}
    tries = 0
    while len(found) < count and tries < 50 * count:
        tries += 1
        changed = [list(word) for word in phrase]
        for _ in range(int(rng.integers(1, 4))):
            _change(changed, vowels, others, rng)
        changed = [word for word in changed if any(map(is_vowel, word))]  # espeak-ng dies of some without a vowel
        if changed and sound(changed) != sound(phrase):
            found.setdefault(sound(changed), changed)
    found.pop(sound(phrase), None)
    return list(found.values())[:count]


def parts(phrase: Words) -> list[Words]:
    """Each word alone, the phrase without its first or last, its words in another order; halves of a single word."""
    if len(phrase) == 1:
        (word,) = phrase
        middle = len(word) // 2
        return [[half] for half in (word[:middle], word[middle:]) if any(map(is_vowel, half))]
    pieces = [[word] for word in phrase] + [phrase[1:], phrase[:-1], phrase[1:] + phrase[:1]]
    return [piece for piece in pieces if any(is_vowel(phoneme) for word in piece for phoneme in word)]


def babble(inventory: Words, count: int, rng: np.random.Generator) -> list[Words]:
    """Invented phrases of one to four words, each of one to three syllables of the language's phonemes."""
    phonemes = [phoneme for word in inventory for phoneme in word]
    vowels = [phoneme for phoneme in phonemes if is_vowel(phoneme)]
    others = [phoneme for phoneme in phonemes if not is_vowel(phoneme)]

    def word() -> list[str]:
        syllables = int(rng.integers(1, 4))
        return [str(rng.choice(kind)) for _ in range(syllables) for kind in (others, vowels)]

    return [[word() for _ in range(int(rng.integers(1, 5)))] for _ in range(count)]


def written(words: Words) -> str:
    """Phonemes as espeak-ng reads them in a text."""
    return f"[[{' '.join(''.join(word) for word in words)}]]"


def sound(words: Words) -> tuple[str, ...]:
    """What is heard, without stress and without the borders of words."""
    return tuple(bare(phoneme) for word in words for phoneme in word)


def bare(phoneme: str) -> str:
    """A phoneme without its marks of stress."""
    return phoneme.lstrip(STRESS)


def is_vowel(phoneme: str) -> bool:
    """Whether a phoneme in espeak-ng's writing is a vowel or a diphthong."""
    return bare(phoneme)[:1] in VOWELS


def _change(words: Words, vowels: Sequence[str], others: Sequence[str], rng: np.random.Generator) -> None:
    """Exchange one phoneme (four times of five), or leave it out."""
    word = words[int(rng.integers(len(words)))]
    if not word:
        return
    place = int(rng.integers(len(word)))
    if rng.random() < 0.2 and len(word) > 1:
        del word[place]
        return
    kind = vowels if is_vowel(word[place]) else others
    choices = [phoneme for phoneme in kind if bare(phoneme)[:1] != bare(word[place])[:1]]
    if choices:
        stress = word[place][: len(word[place]) - len(bare(word[place]))]
        word[place] = stress + bare(str(rng.choice(choices)))

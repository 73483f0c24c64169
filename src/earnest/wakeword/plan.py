"""Who says the wake word, what is nearly like it, and how often: everything that is spoken for a detector.

Each timbre of espeak-ng is one speaker, with the accents of the language, speeds and pitches drawn for each take. The
timbres are divided once: most train, some validate, some test, so that a synthetic voice is never on both sides. Voices
of other programs all train: there are few, and they sound more like people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earnest.speaking import Utterance, phonemes_of, programs
from earnest.wakeword import near

ACCENTS = {
    "en": (
        *("en-us", "en-us", "en-us-nyc", "en", "en-gb-x-rp", "en-gb-scotland"),
        *("en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029"),
    ),
    "zh": ("cmn",),
}
"""Language → espeak-ng's voices of it, some more often than others; any other name is taken as a voice itself."""

TIMBRES = (
    *("adam", "Alex", "Alicia", "Andrea", "Andy", "anika", "Annie", "antonio", "aunty", "belinda", "benjamin", "boris"),
    *("caleb", "david", "Denis", "Diogo", "ed", "edward", "Gene", "grandma", "grandpa", "gustave", "Henrique", "Hugo"),
    *("ian", "iven", "iven3", "Jacky", "john", "kaukovalta", "klatt", "klatt3", "klatt5", "Lee", "linda", "marcelo"),
    *("Marco", "Mario", "max", "Michael", "michel", "miguel", "Mike", "Nguyen", "norbert", "pablo", "paul", "pedro"),
    *("quincy", "Reed", "RicishayMax", "rob", "robert", "sandro", "shelby", "steph", "steph3", "travis", "victor"),
    *("zac", "f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "croak", "whisper"),
)
PARTS = ("train", "train", "train", "validation", "train", "train", "train", "train", "test", "train")


@dataclass(frozen=True)
class Amounts:
    """How much is spoken.

    Attributes
    ----------
    takes : of the wake word, by each timbre or voice; a voice of another program also says as many near phrases, and
        as many everyday or invented ones.
    near, near_takes : how many near phrases, and how many timbres say each.
    babble : how many invented phrases, each said once.
    other : of each word that people say beside it, by timbres drawn for each take; and once by each further voice.
    """

    takes: int = 14
    near: int = 80
    near_takes: int = 12
    babble: int = 800
    other: int = 40


@dataclass(frozen=True)
class Spoken:
    """One thing to be said: the utterance, what it counts as, and whose it is.

    Attributes
    ----------
    utterance : what is asked for.
    kind : `word`, `near`, `babble` or `other`.
    speaker : the timbre of espeak-ng, or the voice of another program.
    part : `train`, `validation` or `test`.
    """

    utterance: Utterance
    kind: str
    speaker: str
    part: str


def plan(
    phrase: str,
    language: str,
    near_words: Sequence[str],
    amounts: Amounts,
    others: Sequence[str] = (),
    voices: Sequence[str] = (),
    seed: int = 0,
) -> list[Spoken]:
    """Everything that is to be spoken, in order.

    Parameters
    ----------
    phrase : the wake word as it is written.
    language : `en`, `zh`, or the name of any voice of espeak-ng, such as `de` or `fr-fr`.
    near_words : further phrases, as text, that the detector must leave alone.
    amounts : how much of each.
    others : words that people say beside it; in Latin letters they are English where the language is Mandarin, and
        said by espeak-ng alone.
    voices : of other programs, as `earnest.speaking.programs` names them.
    seed : of all that is drawn.

    Raises
    ------
    DataError : espeak-ng has no such voice, or cannot say the phrase.
    MissingExtra : espeak-ng is not installed.
    """
    accents = ACCENTS.get(language, (language,))
    everyday = near.everyday(accents[0])
    said, inventory = phonemes_of([Utterance("", phrase, accents[0]), Utterance("", everyday, accents[0])])
    rng = np.random.default_rng(seed)
    nearest = [near.written(words) for words in near.near(said, inventory, amounts.near, rng)]
    phrases = [*nearest, *near_words, *everyday.split()]
    invented = [near.written(words) for words in near.babble(inventory, amounts.babble, rng)]

    drawn: list[Spoken] = []

    def add(kind: str, text: str, voice: str, speaker: str, part: str) -> None:
        utterance = Utterance(
            file=f"{kind}/{speaker.replace('/', '_')}_{len(drawn):05d}.wav",
            text=text,
            voice=voice,
            words_per_minute=int(rng.integers(120, 231)),
            pitch=int(rng.integers(25, 76)),
            pitch_range=int(rng.integers(20, 81)),
        )
        drawn.append(Spoken(utterance, kind, speaker, part))

    def say(kind: str, text: str, timbre: int, accents: Sequence[str] = accents) -> None:
        # Phonemes are those of the first accent; others may lack some.
        accent = accents[0] if "[[" in text else str(rng.choice(accents))
        name = TIMBRES[timbre]
        add(kind, text, f"{accent}+{name}", name.lower(), PARTS[timbre % len(PARTS)])

    for timbre in range(len(TIMBRES)):
        for _ in range(amounts.takes):
            say("word", phrase, timbre)
    for text in phrases:
        for timbre in rng.permutation(len(TIMBRES))[: amounts.near_takes]:
            say("near", text, int(timbre))
    for text in invented:
        say("babble", text, int(rng.integers(len(TIMBRES))))
    foreign = {text for text in others if text.isascii() and accents == ACCENTS["zh"]}
    for text in others:
        for _ in range(amounts.other):
            say("other", text, int(rng.integers(len(TIMBRES))), ACCENTS["en"] if text in foreign else accents)
    # What every further voice says, and what it draws from; few say phonemes.
    own = [("word", phrase)] * amounts.takes
    own += [("near", text) for text in (*near_words, *(phrase.split() if " " in phrase else ()))]
    own += [("other", text) for text in others if text not in foreign]
    commands = [voice for voice in voices if voice.startswith(programs.COMMAND)]
    for voice in voices:
        speaker = f"command {commands.index(voice)}" if voice in commands else voice
        wide = {"near": nearest, "babble": invented}
        if not programs.says_phonemes(voice):
            wide = {"near": [], "babble": everyday.split()}
        texts = list(own)
        for kind, some in wide.items():
            texts += [(kind, some[number]) for number in rng.permutation(len(some))[: amounts.takes]]
        for kind, text in texts:
            add(kind, text, voice, speaker, "train")
    return drawn

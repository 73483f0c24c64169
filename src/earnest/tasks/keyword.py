"""Keywords: each clip is one of some words, an unknown word, or silence; and streams are decoded into events.

The classes are made from a corpus of words and from recordings beside it:

    the words asked for               their own names
    words apart                       their own names too, so that what tells words apart is learnt; never reported
    every other word of the corpus    unknown, at most `others` times as many as a word has clips
    background                        silence: pieces of one window, as many as a word has clips
    negatives                         unknown: recordings of speech in which none of the words is said
    pieces of negatives               unknown: at most `others` times as many as a word has clips; only trained on
    streams                           no class: more such recordings, never trained on
    clips marked `SAID`               no class: recordings with a word somewhere in them, in which it must be heard

Recordings beside the corpus keep their speakers and sources, so that folds keep them apart as they do the clips: what
a fold trains on, it neither tests nor takes thresholds from. All of a fold's test (and validation) recordings also make
one long stream each, over which false alarms are counted (`earnest.alarms`); they are no clips of the score.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import polars as pl
from pydantic import Field

from earnest import audio
from earnest.corpora._recordings import open_recordings, says
from earnest.errors import AudioError, DataError, RecipeError, did_you_mean
from earnest.recipe import Recipe
from earnest.table import Table
from earnest.tasks import ONLY, PIECE, STREAM, Listening, Task, classification

UNKNOWN, SILENCE = "unknown", "silence"
KEPT = (UNKNOWN, SILENCE, "background")  # labels that a corpus may have of its own, which stay as they are
OWN_BACKGROUND = "_background_noise_"  # the folder in which Speech Commands brings its noises
PARTS = (("test", 0.5), ("validation", 0.75), ("train", 1.0))  # of recordings beside a corpus with official parts

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=60)]


@dataclass(frozen=True)
class Config:
    """What is listened for, and how.

    Parameters
    ----------
    words : the keywords.
    apart : other words that are classes of their own. Where only synthetic voices say the keyword, one class of all
        that people say would teach that people never say it; classes of their own teach how they speak.
    others : clips of other words, and pieces of negatives, each in times of the clips that a keyword has on average.
    background : corpora or folders of sounds without speech.
    negatives : corpora or folders of speech (or anything else) without the words. Where it is written down what is
        said, recordings with one of the words are left out.
    streams : more of the same that are never trained on, such as those whose licence does not allow it.
    learn_negatives : whether the whole recordings of background and negatives are trained on, those of the training
        groups; otherwise they too are only heard in streams.
    false_alarms_per_hour : the rate wanted on the validation streams; it decides the threshold.
    threshold : taken where a fold has no validation streams.
    release, smoothing_s, refractory_s : as in `earnest.runtime.spotting.Spotting`.
    snr_db : how far the background of the stream of test words lies below each word.
    silence : whether sounds without speech are a class of their own; otherwise they are unknown as well.
    languages : of the words, as a manifest of the model names them.
    """

    words: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    others: Annotated[float, Field(ge=0)] = 2.0
    background: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    learn_negatives: bool = True
    false_alarms_per_hour: Annotated[float, Field(gt=0)] = 1.0
    threshold: Share = 0.5
    release: Share = 0.8
    smoothing_s: Seconds = 0.5
    refractory_s: Seconds = 1.0
    snr_db: float = 20.0
    silence: bool = True
    languages: tuple[str, ...] = ()


def build(config: Config) -> Task:
    """The task of a recipe's options."""
    listening = Listening(
        words=config.words,
        false_alarms_per_hour=config.false_alarms_per_hour,
        threshold=config.threshold,
        release=config.release,
        smoothing_s=config.smoothing_s,
        refractory_s=config.refractory_s,
        snr_db=config.snr_db,
        trained=config.learn_negatives,
    )
    return dataclasses.replace(
        classification.TASK, name="keyword", compose=partial(compose, config), listening=listening, notes=notes
    )


def compose(config: Config, table: Table, column: str, recipe: Recipe, data: Path | None) -> Table:
    """The corpus's rows with their classes, and the rows of background and negatives.

    Raises
    ------
    DataError : the corpus lacks a word; recordings cannot be found.
    RecipeError : no words are named, or the clips are cut into pieces.
    """
    if not config.words:
        raise RecipeError("the task keyword listens for words, and none is named.", "Set task.words=[yes, no].")
    if recipe.clips.segments != "whole":
        raise RecipeError(f"the task keyword has no use for clips.segments={recipe.clips.segments}.", "Leave it out.")
    if not table.has(column):
        return table  # which `labels` reports
    clips, wanted = _classes(config, table.frame, column, table.name)
    info = {**table.info, "of_clips": _of_clips(clips)}
    extra = []
    places = _own_background(table) + list(config.background)
    if places:
        sounds = pl.concat([open_recordings(place, data) for place in places])
        pieces = _pieces(sounds, wanted, recipe.clips.window_s, recipe.clips.window_s)
        if pieces.is_empty():
            raise DataError(
                f"no recording of the background is as long as a window of {recipe.clips.window_s:g} s.",
                "Take longer ones.",
            )
        extra += [pieces, sounds.with_columns(pl.lit("background").alias(STREAM))]
    negatives = [_without(place, config.words, data) for place in config.negatives]
    extra += [speech.with_columns(pl.lit("speech").alias(STREAM)) for speech in negatives]
    extra += [_without(place, config.words, data).with_columns(pl.lit(ONLY).alias(STREAM)) for place in config.streams]
    if negatives and config.learn_negatives:
        # Two windows long, so that each epoch takes another window from it.
        length_s, step_s = 2 * recipe.clips.window_s, recipe.clips.window_s
        pieces = _pieces(pl.concat(negatives), round(config.others * wanted), length_s, step_s)
        extra.append(pieces.with_columns(pl.lit(PIECE).alias(STREAM)))
    if not extra:
        return Table(clips, table.name, table.bad_rows, info)
    added = pl.concat(extra, how="diagonal").unique("id", keep="first", maintain_order=True)
    silent = pl.col(STREAM).fill_null("background") == "background"
    added = added.with_columns(pl.when(silent).then(pl.lit(SILENCE)).otherwise(pl.lit(UNKNOWN)).alias(column))
    both = pl.concat([clips, _placed(added, clips)], how="diagonal_relaxed")
    if not config.silence:
        both = both.with_columns(pl.col(column).replace(SILENCE, UNKNOWN))
    learnt = pl.col(STREAM).is_null() | (pl.lit(config.learn_negatives) & (pl.col(STREAM) != ONLY))
    beside = added.group_by("corpus", "licence", maintain_order=True).agg(learnt.any().alias("learnt"))
    info |= {"beside": beside.to_dicts()}
    return Table.from_frame(both, table.name, info=info, bad_rows=table.bad_rows)


def notes(table: Table) -> list[str]:
    """Where the classes come from."""
    if not table.info.get("beside"):
        return []
    names = ", ".join(sorted({str(entry["corpus"]) for entry in table.info["beside"]}))
    return [f"Silence, and the streams of false alarms, come from {names}; they are no clips of the score."]


def _without(place: str, words: Sequence[str], data: Path | None) -> pl.DataFrame:
    """The recordings of a corpus or folder in which, as far as is known, none of the words is said."""
    speech = open_recordings(place, data)
    said = pl.Series([says(text, words) for text in speech["text"]], dtype=pl.Boolean)
    return speech.filter(~said)


def _classes(config: Config, frame: pl.DataFrame, column: str, name: str) -> tuple[pl.DataFrame, int]:
    """The corpus's clips with one class each, and how many a word has on average."""
    labels = frame[column].cast(pl.String)
    for word in (*config.words, *config.apart):
        if word not in labels:
            raise DataError(f"no clip of {name} is the word {word!r}.", did_you_mean(word, labels.unique().to_list()))
    mean = max(1, round(int(labels.is_in(config.words).sum()) / len(config.words)))
    classes = [*config.words, *config.apart, *KEPT]
    kept = labels.is_in(classes)
    others = frame.filter(~kept)
    drawn = _drawn(others["id"].to_list(), round(config.others * mean))
    chosen = frame.filter(kept | frame["id"].is_in(drawn))
    words = pl.col(column).cast(pl.String)
    known = words.is_in(classes)
    return chosen.with_columns(pl.when(known).then(words).otherwise(pl.lit(UNKNOWN)).alias(column)), mean


def _of_clips(clips: pl.DataFrame) -> list[dict[str, Any]]:
    """The corpora, with their licences, of clips that are trained on, where a table of several tells them."""
    if not {"corpus", "licence"} <= set(clips.columns):
        return []
    learnt = clips.filter(pl.col("split") == "train") if "split" in clips.columns else clips
    return learnt.select("corpus", "licence").drop_nulls("corpus").unique(maintain_order=True).to_dicts()


def _drawn(names: Sequence[str], count: int) -> list[str]:
    """So many of the names, the same ones wherever they are drawn, and in no order of theirs."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:count]


def _own_background(table: Table) -> list[str]:
    """The corpus's own folder of noises, beside the folders of its words."""
    roots = {str(PurePosixPath(path).parent.parent) for path in table.column("audio").to_list()}
    return [place for root in sorted(roots) if Path(place := f"{root}/{OWN_BACKGROUND}").is_dir()]


def _pieces(sounds: pl.DataFrame, wanted: int, length_s: float, step_s: float) -> pl.DataFrame:
    """Pieces of one length: the first of every recording, then the second of every one, until there are enough."""
    rows = {row["id"]: row for row in sounds.iter_rows(named=True)}
    held: list[tuple[dict[str, Any], float, int]] = []  # a recording, where it begins, and how many pieces it holds
    for name in _drawn(list(rows), len(rows)):
        if len(held) == wanted:
            break
        row = rows[name]
        try:
            seconds = audio.probe(row["audio"]).duration_s
        except AudioError:
            continue  # decoding will name it
        begin, end = row["start_s"] or 0.0, row["end_s"] or seconds
        count = int((end - begin - length_s) / step_s + 1)
        if count > 0:
            held.append((row, begin, count))
    pieces = (
        {
            **row,
            "id": f"{row['id']}#{number + 1:04d}",
            "start_s": begin + number * step_s,
            "end_s": begin + number * step_s + length_s,
        }
        for number in range(max((count for *_, count in held), default=0))
        for row, begin, count in held
        if number < count
    )
    return pl.DataFrame(list(islice(pieces, wanted)), schema=sounds.schema)


def _placed(added: pl.DataFrame, clips: pl.DataFrame) -> pl.DataFrame:
    """The added rows in the corpus's official folds or parts, by a rule that keeps speakers and sources together.

    A speaker whom the clips know stays in their part.
    What is only heard in streams would be lost in the training part: it joins validation, for the threshold, unless
    something of the same speaker or source is trained on.
    """
    groups = [speaker or source for speaker, source in added.select("speaker", "source").iter_rows()]
    shares = [int.from_bytes(hashlib.sha256(str(group).encode()).digest()[:6]) / 2**48 for group in groups]
    if "split" in clips.columns:
        known = dict(clips.select("speaker", "split").iter_rows()) if "speaker" in clips.columns else {}
        parts = [
            known.get(group) or next(part for part, end in PARTS if share < end)
            for group, share in zip(groups, shares, strict=True)
        ]
        heard = (added[STREAM] == ONLY).fill_null(False).to_list()
        learnt = {group for group, only in zip(groups, heard, strict=True) if not only}
        learnt |= known.keys()
        unused = [part == "train" and group not in learnt for part, group in zip(parts, groups, strict=True)]
        parts = ["validation" if free else part for part, free in zip(parts, unused, strict=True)]
        added = added.with_columns(pl.Series("split", parts, dtype=pl.String))
    if "fold" in clips.columns:
        folds = sorted(clips["fold"].drop_nulls().unique().to_list())
        known = dict(clips.select("speaker", "fold").iter_rows()) if "speaker" in clips.columns else {}
        chosen = [
            known.get(group) or folds[int(share * len(folds))] for group, share in zip(groups, shares, strict=True)
        ]
        added = added.with_columns(pl.Series("fold", chosen, dtype=pl.String))
    return added

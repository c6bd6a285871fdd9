"""Text as rows of tokens, and minibatches of exactly so many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from evo.errors import ConfigError
from problems.evopress.tokens import Minibatch, Tokens, encoder


def numbered(sequences: int, length: int) -> Tokens:
    """Every token another."""
    return Tokens(np.arange(sequences * length).reshape(sequences, length))


def read(tokens: Tokens, batch: Minibatch, chunk: int) -> list[int]:
    """All tokens of a minibatch, as they are run."""
    return [token for rows, length in batch.chunks(chunk) for token in tokens.take(rows, length).ravel().tolist()]


@st.composite
def minibatches(draw: st.DrawFn) -> tuple[Tokens, Minibatch, int]:
    tokens = numbered(draw(st.integers(1, 9)), draw(st.integers(2, 7)))
    asked = draw(st.integers(2, tokens.total))
    return tokens, tokens.minibatch(np.random.default_rng(draw(st.integers(0, 99))), asked), asked


@given(case=minibatches())
def test_a_minibatch_has_exactly_the_tokens_asked_for_and_none_twice(case: tuple[Tokens, Minibatch, int]) -> None:
    tokens, batch, asked = case
    assert batch.tokens == asked
    assert len(set(batch.rows.tolist())) == len(batch.rows)
    assert 1 <= batch.last <= tokens.length
    assert set(batch.rows.tolist()) <= set(range(len(tokens)))


@given(case=minibatches(), chunk=st.integers(1, 40))
def test_chunks_hold_all_that_is_predicted_and_no_more_than_fits(
    case: tuple[Tokens, Minibatch, int], chunk: int
) -> None:
    tokens, batch, asked = case
    found = read(tokens, batch, chunk)
    assert len(found) == asked - (batch.last == 1)  # a fragment of one token predicts nothing
    assert len(set(found)) == len(found)
    divided = list(batch.chunks(chunk))
    assert sum(len(rows) * (length - 1) for rows, length in divided) == batch.predicted
    assert all(len(rows) * length <= max(chunk, tokens.length) for rows, length in divided)
    assert all(length == tokens.length for _, length in divided[:-1])


@given(case=minibatches(), chunk=st.integers(1, 40))
def test_rows_are_run_in_their_order_whatever_the_chunks(case: tuple[Tokens, Minibatch, int], chunk: int) -> None:
    tokens, batch, _ = case
    assert read(tokens, batch, chunk) == read(tokens, batch, tokens.total)


def test_equal_generators_draw_equal_minibatches_and_others_do_not() -> None:
    tokens = numbered(50, 8)
    first, second, other = (tokens.minibatch(np.random.default_rng(seed), 100) for seed in (1, 1, 2))
    assert first.rows.tolist() == second.rows.tolist()
    assert first.rows.tolist() != other.rows.tolist()


def test_every_row_is_drawn_alike() -> None:
    tokens, rng = numbered(10, 4), np.random.default_rng(0)
    drawn = np.concatenate([tokens.minibatch(rng, 12).rows for _ in range(2000)])
    np.testing.assert_allclose(np.bincount(drawn) / 2000, 0.3, atol=0.04)


def test_all_tokens_can_be_asked_for_but_not_more_nor_less_than_two() -> None:
    tokens = numbered(3, 4)
    assert sorted(read(tokens, tokens.minibatch(np.random.default_rng(0), 12), 8)) == list(range(12))
    assert read(tokens, tokens.everything(), 8) == list(range(12))
    for asked in (13, 1, 0, -5):
        with pytest.raises(ConfigError, match=rf"tokens: expected 2 to 12 \(3 rows of 4\), got {asked}"):
            tokens.minibatch(np.random.default_rng(0), asked)


def test_texts_become_rows_that_hold_one_text_each(tmp_path: Path) -> None:
    tokens = Tokens.of([b"abcdefgh", "xyz", "12345"], encoder(str(tmp_path), 256), length=3)
    assert [bytes(row.tolist()) for row in tokens.rows] == [b"abc", b"def", b"xyz", b"123"]
    assert (len(tokens), tokens.length, tokens.total) == (4, 3, 12)


def test_bytes_are_those_of_utf_8(tmp_path: Path) -> None:
    encode = encoder(str(tmp_path), 256)
    assert encode("é").tolist() == encode("é".encode()).tolist() == [0xC3, 0xA9]


def test_a_model_with_a_tokenizer_reads_by_it(tmp_path: Path) -> None:
    words = Tokenizer(WordLevel({"[UNK]": 0, "black": 1, "white": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(tmp_path)
    assert encoder(str(tmp_path), 3)("white black green").tolist() == [2, 1, 0]
    assert encoder(str(tmp_path), 256)(b"white").tolist() == [2]


def test_a_missing_or_broken_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no tokenizer in .* \(this one has 64\)"):
        encoder(str(tmp_path), 64)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match="cannot load the tokenizer"):
        encoder(str(tmp_path), 256)


def test_rows_that_predict_nothing_are_refused(tmp_path: Path) -> None:
    encode = encoder(str(tmp_path), 256)
    with pytest.raises(ConfigError, match="none of the 2 texts has 10 tokens"):
        Tokens.of(["short", ""], encode, 10)
    with pytest.raises(ConfigError, match="none of the 0 texts"):
        Tokens.of([], encode, 10)
    with pytest.raises(ConfigError, match="at least 2 tokens in a row, got 1"):
        Tokens.of(["text"], encode, 1)
    for rows in (np.zeros((3, 1), int), np.zeros((0, 5), int), np.zeros((3, 5)), np.zeros(5, int)):
        with pytest.raises(ConfigError, match="expected whole numbers"):
            Tokens(rows)

"""Tokenizers: the default one is rouge_score's, the other one sees every script."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from schemas.errors import ConfigurationError
from streams.core.similarity.tokenize import rouge_tokens, tokenizer, unicode_tokens


@settings(max_examples=500, deadline=None)
@given(st.text())
def test_rouge_tokens_are_rouge_scores(text: str) -> None:
    assert rouge_tokens(text) == DefaultTokenizer(use_stemmer=False).tokenize(text)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(max_codepoint=127)))
def test_on_ascii_text_both_tokenizers_agree(text: str) -> None:
    assert unicode_tokens(text) == rouge_tokens(text)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_unicode_tokens_have_no_space_and_read_the_same_again(text: str) -> None:
    tokens = unicode_tokens(text)
    assert all(token and not token.isspace() for token in tokens)
    assert unicode_tokens(" ".join(tokens)) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Straße, STRASSE", ["strasse", "strasse"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("ｆｕｌｌ ﬁne", ["full", "fine"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("Привет, мир!", ["привет", "мир"]),
        ("abc東京def", ["abc", "東", "京", "def"]),
        ("❤️ ... _", []),
    ],
)
def test_tokens_of_other_scripts(text: str, tokens: list[str]) -> None:
    assert unicode_tokens(text) == tokens


def test_a_tokenizer_is_found_by_the_name_in_the_policy() -> None:
    assert tokenizer("rouge") is rouge_tokens
    assert tokenizer("unicode") is unicode_tokens
    with pytest.raises(ConfigurationError, match="choose one of rouge, unicode"):
        tokenizer("bytes")

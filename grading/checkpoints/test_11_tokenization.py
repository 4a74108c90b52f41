"""Module 11: characters and byte pairs."""

from grading.gates import require

TEXT = "the dog sees the cat. the cat sees the dog, and the dog runs. " * 4


def test_characters_there_and_back(names):
    tokenizer = names("CharTokenizer").train(TEXT)
    require(
        tokenizer.decode(tokenizer.encode("the cat")) == "the cat", "decode(encode(text)) is another text"
    )


def test_each_character_has_a_number(names):
    found = list(names("CharTokenizer").train("abca").encode("cab"))
    require(
        len(set(found)) == 3 and max(found) < 3, f"three characters: expected numbers below 3, got {found}"
    )


def test_byte_pairs_there_and_back(names):
    tokenizer = names("BPETokenizer").train(TEXT, 280)
    for text in ("the cat runs", "naïve ☃ 漢字", "", "  two  spaces\n"):
        require(tokenizer.decode(tokenizer.encode(text)) == text, f"decode(encode({text!r})) is another text")


def test_byte_pairs_are_fewer_than_bytes(names):
    count = len(list(names("BPETokenizer").train(TEXT, 280).encode(TEXT)))
    require(
        count < 0.6 * len(TEXT),
        f"after 24 merges: expected less than 60 % of {len(TEXT)} tokens, got {count}",
    )


def test_the_most_frequent_pair_is_joined_first(names):
    require(len(list(names("BPETokenizer").train("abababab", 257).encode("abab"))) == 2, "one merge: a and b")

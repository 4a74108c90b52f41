"""Milestone 5, 2017: a GPT on tasks with known answers, on a small grammar, and on Shakespeare."""

from __future__ import annotations

import math
import sys

import pytest

import tinytorch as tt
from grading import exams, gates, probes, texts
from grading.leaks import reads_training_text_only
from grading.milestone_tests import MilestoneTests, StepMemoryTests, limit_memory, peak_of, steps
from grading.thresholds import EXAM, MEMORY, attention_memory
from tinytorch.nn import functional as F


class LanguageTests(MilestoneTests, StepMemoryTests):
    """What a language model has to show beside its value."""

    def test_logits_are_those_by_hand(self, run, milestone, exam):
        probes.logits_agree(run, milestone, exam)

    def test_the_future_is_hidden(self, run, milestone, exam):
        probes.future_is_hidden(run, milestone, exam)

    def test_positions_matter(self, run, milestone, exam):
        probes.positions_matter(run, milestone, exam)

    def test_attention_is_not_uniform(self, run, milestone, exam):
        probes.attention_is_not_uniform(run, milestone, exam)

    def test_a_cache_changes_nothing(self, run, milestone, exam):
        probes.cache_agrees(run, milestone, exam)


class TestTransformerSequences(LanguageTests):
    name = "transformer-sequences"

    def test_longer_sequences(self, run, milestone, exam, note):
        """Reported, not asked for."""
        longer = exams.Exam(*texts.sequences(EXAM["sequences"], EXAM["longer"], EXAM["seed"]))
        shares = exams.exact_by_task(milestone.network, gates.weights(run, milestone), longer)
        told = ", ".join(f"{task} {share:.1%}" for task, share in shares.items())
        note("remark.longer", "with {} to {} letters: ".format(*EXAM["longer"]) + told)

    def test_does_not_train_on_the_test_set(self, milestone, exam):
        reads_training_text_only(milestone)

    @limit_memory(name)
    def test_step_memory(self, batch, milestone):
        assert math.isfinite(steps(milestone, *batch))


class TestTransformerGrammar(LanguageTests):
    name = "transformer-grammar"

    def test_sentences_are_new(self, run, milestone, exam, note):
        new = probes.sentences_are_new(run, milestone, exam)
        note("remark.new", f"{new:.1%} of its sentences are not in the training set")

    def test_does_not_train_on_the_test_text(self, milestone, exam):
        reads_training_text_only(milestone)

    @limit_memory(name)
    def test_step_memory(self, batch, milestone):
        assert math.isfinite(steps(milestone, *batch))


class TestTransformerShakespeare(LanguageTests):
    name = "transformer-shakespeare"

    def test_writes_words_of_its_own(self, run, milestone, exam, note):
        known, copied = probes.writes_words_of_its_own(run, milestone, exam)
        note("remark.writes", f"{known:.1%} of its words occur in the text, {copied:.1%} of it is copied")

    def test_better_than_counting_pairs(self, run, milestone, exam, note):
        less = probes.better_than_counting_pairs(run, milestone, exam)
        note("remark.pairs", f"{less:.2f} nats better than counting pairs")

    def test_does_not_train_on_the_test_text(self, milestone, exam):
        reads_training_text_only(milestone)

    @limit_memory(name)
    def test_step_memory(self, batch, milestone):
        assert math.isfinite(steps(milestone, *batch))


@pytest.mark.skipif(sys.platform == "win32", reason="memray does not run on Windows")
class TestTransformerAttentionMemory:
    """Forward and back, it grows with the length of the context, not with its square."""

    def test_long_context(self, tmp_path):
        long, short = (peak_of_attention(tmp_path, MEMORY["attention"][t]) for t in ("long", "short"))
        assert long <= attention_memory(MEMORY["attention"]["long"])
        times = MEMORY["attention"]["long"] / MEMORY["attention"]["short"]
        assert abs(long / (times * short) - 1) <= MEMORY["attention"]["within"]


def peak_of_attention(folder, t) -> int:
    """Bytes at most of causal attention over t tokens, forward and back, its inputs included."""
    heads, width = MEMORY["attention"]["heads"], MEMORY["attention"]["width"]

    def attend():
        q, k, v = (tt.randn(1, heads, t, width // heads, requires_grad=True) for _ in range(3))
        F.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()

    return peak_of(attend, folder / str(t))

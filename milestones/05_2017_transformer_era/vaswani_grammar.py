"""
What does it mean that a model writes well? For Shakespeare it is a matter of taste. So here is a language of
seventy-five words, whose grammar fits on a page: a sentence is right or wrong, and a program can tell.

It is harder than it looks. "The dogs that the child near the river sees run": the last verb must agree with
the second word, over everything between. In 1957 Noam Chomsky said that no counting of which word follows
which would ever learn that. This model counts nothing; it looks back at the word that matters.
"""

import sys

from tinytorch import optim
from tinytorch.data import DataLoader
from tinytorch.datasets.grammar import accepts, load_grammar
from tinytorch.milestone import Data, Milestone, main
from tinytorch.milestone.grammar_studies import ASKED, draw_grammar, show_sentences, study_grammar
from tinytorch.milestone.language import examples, made_up, next_token, next_token_loss, write_lines
from tinytorch.milestone.metric import Metric
from tinytorch.models import GPT, GPTConfig
from tinytorch.nn.utils import clip_grad_norm_
from tinytorch.text import BPETokenizer, TokenWindows

# --- the model: it sees pieces of words, the ones that occur most, and knows nothing of grammar -------------

CONTEXT = 48  # tokens that it sees: the longest sentence, and most of another
VOCABULARY = 400  # tokens that it knows: 256 bytes, and 144 pairs of others


def build(width=128):
    return GPT(GPTConfig(VOCABULARY, CONTEXT, n_layer=4, n_head=4, n_embd=width, positions="rotary"))


# --- the data: twenty thousand sentences, a line for each; others are kept back -----------------------------


def load(datasets, seed):
    corpus = load_grammar(seed=seed)
    texts = ["\n".join(["", *sentences, ""]) for sentences in (corpus.train, corpus.test)]
    tokenizer = BPETokenizer.train(texts[0], VOCABULARY)
    train, test = (examples(tokenizer.encode(text), CONTEXT) for text in texts)
    return Data(train, test, extra={"tokenizer": tokenizer, "known": set(corpus.train)})


# --- the training -------------------------------------------------------------------------------------------


def train(model, data, run):
    windows = TokenWindows(data.train[0].ravel(), CONTEXT, stride=CONTEXT)
    batches = DataLoader(windows, batch_size=run.batch_size, shuffle=True)
    optimizer = optim.AdamW(model.parameter_groups(weight_decay=0.1), lr=run.lr, betas=(0.9, 0.99))
    steps = run.epochs * len(batches)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=steps, pct_start=0.1)
    for epoch in run.each_epoch():
        for tokens, following in batches:
            loss = next_token_loss(model(tokens), following)
            optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            epoch.log(loss)


# --- the result: it writes five hundred sentences, and the grammar judges them ------------------------------


def accepted(run, inputs, following):
    sentences = write_lines(run, ASKED)
    return sum(map(accepts, sentences)) / len(sentences)


GRAMMAR = Milestone(
    file=__file__,
    year=2017,
    title="The transformer era: a grammar",
    history=__doc__,
    insight="""
    The models that count need a row of their table for every beginning that they may meet, and the table
    grows by a factor of the vocabulary with each word that they look further back. Attention has no table: t
    weights that match a verb with its subject are the same wherever the two stand.

    It writes right sentences long before its loss stops falling. What remains of the loss is chance: nobody
    can know which noun comes next. """,
    dataset="grammar",
    input_shape=(CONTEXT,),
    classes=VOCABULARY,
    metric=Metric("accepted", f"of {ASKED} sentences that it wrote are right"),
    marks={"pass": 0.95, "merit": 0.97, "distinction": 0.99},
    epochs=8,
    demo_epochs=1,
    demo_share=0.6,
    batch_size=16,
    lr=3e-3,
    build=build,
    load=load,
    loss=next_token_loss,
    train=train,
    predict=next_token,
    evaluate=accepted,
    show=show_sentences,
    show_before=True,
    draw=draw_grammar,
    encore=study_grammar,
    example=lambda count: made_up(count, CONTEXT, VOCABULARY),
    sizes=(32, 64, 128, 256),
    size_label="width",
    examples="contexts",
)

if __name__ == "__main__":
    sys.exit(main(GRAMMAR))

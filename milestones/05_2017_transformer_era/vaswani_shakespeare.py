"""
In 2017 eight people at Google wrote "Attention is all you need". Networks that read text had been recurrent:
one word after the other, all that came before squeezed into one vector. Theirs reads all words at once, and
each looks at those that matter to it. Nothing waits for the word before, so a processor can work on the whole
text, and what is a thousand words away is one step away.

A year later OpenAI trained one to do nothing but guess the next word, and called it GPT. It has stayed the
recipe since. Here one of 0.8 million weights reads Shakespeare, character by character, and writes more.
"""

import sys

from tinytorch import optim
from tinytorch.data import DataLoader
from tinytorch.milestone import Data, Milestone, main
from tinytorch.milestone.language import (
    converse,
    examples,
    loss_per_character,
    made_up,
    next_token,
    next_token_loss,
    sample,
)
from tinytorch.milestone.language_studies import draw_language_model, study_language_model
from tinytorch.milestone.metric import Metric
from tinytorch.milestone.sequence_studies import recall_act_one
from tinytorch.models import GPT, GPTConfig
from tinytorch.nn.utils import clip_grad_norm_
from tinytorch.random import default_generator
from tinytorch.text import BPETokenizer, CharTokenizer, TokenWindows

# --- the model: a stack of attention and small MLPs, each added to what came in -----------------------------

CONTEXT = 64  # tokens that it sees
VOCABULARY = 65  # characters that occur in the text
MERGES = 512  # tokens of `--tokenizer bpe`: 256 bytes, and 256 pairs that occur often


def build(width=128, vocabulary=VOCABULARY):
    return GPT(GPTConfig(vocabulary, CONTEXT, n_layer=4, n_head=4, n_embd=width, positions="rotary"))


def build_bpe(width=128):
    return build(width, MERGES)


# --- the data: a million characters of plays; the last tenth is kept back -----------------------------------


def load(datasets, seed, make_tokenizer=CharTokenizer.train):
    plays = datasets.get_tinyshakespeare()
    first, last = plays[: len(plays) * 9 // 10], plays[len(plays) * 9 // 10 :]
    tokenizer = make_tokenizer(plays)
    train, test = (examples(tokenizer.encode(text), CONTEXT) for text in (first, last))
    return Data(train, test, extra={"tokenizer": tokenizer, "text": first, "asked": last})


def load_bpe(datasets, seed):
    return load(datasets, seed, lambda plays: BPETokenizer.train(plays, MERGES))


# --- the training: the rate goes up and down once; every epoch cuts the text at other places ----------------


def train(model, data, run):
    text = data.train[0].ravel()
    optimizer = optim.AdamW(model.parameter_groups(weight_decay=0.1), lr=run.lr, betas=(0.9, 0.99))
    steps = run.epochs * run.steps_per_epoch
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=steps, pct_start=0.1)
    for epoch in run.each_epoch():
        shift = int(default_generator.numpy().integers(CONTEXT))
        windows = TokenWindows(text[shift:], CONTEXT, stride=CONTEXT)
        for tokens, following in DataLoader(windows, batch_size=run.batch_size, shuffle=True):
            loss = next_token_loss(model(tokens), following)
            optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            epoch.log(loss)


# --- the result ---------------------------------------------------------------------------------------------

SHAKESPEARE = Milestone(
    file=__file__,
    year=2017,
    title="The transformer era: Shakespeare",
    history=__doc__,
    insight="""
    For each token and layer the weights cost 24 · width² FLOPs, and the scores 2 · context · width. At 64
    tokens the scores are 4 % of it; at 1,536, twelve times the width, they are half. The measurements above
    show it: time grows with the square of the length. Memory does not: no more than one tile of scores is
    ever there.

    To write a token, each weight is read once and used once. That is why a cache of keys and values saves the
    arithmetic, and why the weights' bytes, and not their FLOPs, then set the pace. The cache takes 4 KiB a
    token: 2 × 4 layers × 128 numbers. """,
    dataset="tiny-shakespeare",
    input_shape=(CONTEXT,),
    classes=VOCABULARY,
    metric=Metric("validation_loss", "for each character of the text kept back", unit="nats", falls=True),
    marks={"pass": 1.88, "merit": 1.75, "distinction": 1.65},
    epochs=4,
    demo_epochs=1,
    demo_share=0.2,
    batch_size=12,
    lr=4e-3,
    build=build,
    load=load,
    loss=next_token_loss,
    train=train,
    predict=next_token,
    evaluate=loss_per_character,
    example=lambda count: made_up(count, CONTEXT, VOCABULARY),
    prologue=recall_act_one,
    show=sample,
    show_before=True,
    show_at=(1,),
    draw=draw_language_model,
    encore=study_language_model,
    talk=converse,
    sizes=(32, 64, 128, 256),
    size_label="width",
    examples="contexts",
    choices={
        "tokenizer": {"char": {}, "bpe": {"build": build_bpe, "load": load_bpe, "classes": MERGES}},
    },
    options={"prompt": "what its text shall begin with"},
)

if __name__ == "__main__":
    sys.exit(main(SHAKESPEARE))

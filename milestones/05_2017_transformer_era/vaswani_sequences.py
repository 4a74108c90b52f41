"""
Before it writes, let attention show what it can do where the answer is known. "reverse b a d" must give
"d a b": to write its first letter the model has to find the last one, to write the second the one before. No
network that squeezes what it reads into one vector does that easily; the translators of 2014 were helped by
reading their sentences backwards.

A token that looks at others finds them wherever they are. Three tasks in one network: copy, reverse, sort.
"""

import sys

import numpy as np

import tinytorch as tt
from tinytorch import optim
from tinytorch.data import DataLoader, TensorDataset
from tinytorch.datasets.sequences import IGNORED, TASKS, TOKENS, answers_right, make_sequences
from tinytorch.milestone import Data, Milestone, main
from tinytorch.milestone.language import made_up, next_token
from tinytorch.milestone.metric import Metric
from tinytorch.milestone.sequence_studies import draw_sequences, show_reversal, study_sequences
from tinytorch.models import GPT, GPTConfig
from tinytorch.nn import functional as F

# --- the model ----------------------------------------------------------------------------------------------

LENGTHS = (4, 12)  # letters of a sequence
CONTEXT = 2 * LENGTHS[1] + 2  # with the task's name, the "=", and all but the last token of the answer


def build(width=64):
    return GPT(GPTConfig(len(TOKENS), 64, n_layer=2, n_head=4, n_embd=width, positions="rotary"))


def loss_function(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


# --- the data: sequences drawn at random; none that is asked about is among those to learn from -------------


def load(datasets, seed):
    asked = {task: make_sequences(task, 500, LENGTHS, seed=1000 + seed) for task in TASKS}
    learned = [make_sequences(task, 20_000, LENGTHS, seed=seed, exclude=asked[task]) for task in TASKS]
    train, test = (tuple(map(np.concatenate, zip(*part, strict=True))) for part in (learned, asked.values()))
    return Data(train, test)


# --- the training -------------------------------------------------------------------------------------------


def train(model, data, run):
    batches = DataLoader(TensorDataset(*data.train), batch_size=run.batch_size, shuffle=True)
    optimizer = optim.AdamW(model.parameter_groups(weight_decay=0.1), lr=run.lr, betas=(0.9, 0.99))
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    for epoch in run.each_epoch():
        for tokens, targets in batches:
            loss = loss_function(model(tokens), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            epoch.log(loss)


# --- the result: an answer counts where every letter of it is right -----------------------------------------


def exact(run, inputs, targets):
    """The share of the task that goes worst."""
    right = answers_right(run.model(tt.tensor(inputs)).numpy().argmax(2), targets)
    return min(float(right[inputs[:, 0] == TOKENS.index(task)].mean()) for task in TASKS)


SEQUENCES = Milestone(
    file=__file__,
    year=2017,
    title="The transformer era: sequences",
    history=__doc__,
    insight="""
    To reverse, each letter to be written has one letter to look at, and the picture shows a head that finds
    it: nothing told it where. What it learned are places: asked for more letters than it has learned from, it
    fails at once, as the table above says. A recipe that works for every length would have to be learned too.

    Every token looks at every one before it, so the scores grow with the square of the length. At 26 tokens
    that is nothing; `vaswani_shakespeare.py` measures when it becomes something. """,
    dataset="sequences",
    input_shape=(CONTEXT,),
    classes=len(TOKENS),
    metric=Metric("exact", "of the answers right in every letter, in the task that goes worst"),
    marks={"pass": 0.95, "merit": 0.98, "distinction": 0.99},
    epochs=3,
    demo_epochs=1,
    batch_size=64,
    lr=4e-3,
    build=build,
    load=load,
    loss=loss_function,
    train=train,
    predict=next_token,
    evaluate=exact,
    example=lambda count: made_up(count, CONTEXT, len(TOKENS)),
    show=show_reversal,
    draw=draw_sequences,
    encore=study_sequences,
    sizes=(16, 32, 64, 128),
    size_label="width",
    examples="sequences",
)

if __name__ == "__main__":
    sys.exit(main(SEQUENCES))

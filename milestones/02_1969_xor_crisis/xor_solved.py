"""
In 1969 Marvin Minsky and Seymour Papert of MIT proved what a perceptron cannot do. The smallest case is XOR:
yes when exactly one of two inputs is on. Draw the four cases as the corners of a square and the two answers
lie across from each other; no straight line parts them. Money and people left the field for more than a
decade.

The way out was known in principle: put units between the input and the answer, and let each draw a line of
its own. What nobody had was a way to train them. This network has four such units, and backpropagation.
"""

import math
import sys

import numpy as np

import tinytorch as tt
from tinytorch import nn, optim, viz
from tinytorch.data import DataLoader, TensorDataset
from tinytorch.milestone import Data, Milestone, main
from tinytorch.models import MLP

# --- the model: input -> Linear -> ReLU -> Linear -> yes where the output is positive ---------------------


def build(hidden=4):
    """Hidden units that look in all directions, evenly, from a random one on.

    With four units at random, two that look the same way leave a corner unseen, and the network may stay at
    three corners of four; `starts.py` counts how often.
    """
    model = MLP(2, (hidden,), 1)
    first = model.hidden[1]
    angles = 2 * math.pi * (tt.rand(1).item() + np.arange(hidden) / hidden)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (2 / math.sqrt(hidden))
    with tt.no_grad():
        first.weight.copy_(tt.tensor(directions.astype(np.float32)))
        first.bias.zero_()
    return model


loss_function = nn.BCEWithLogitsLoss()


def predict(model, points):
    return tt.sigmoid(model(tt.tensor(points))).numpy()


# --- the data: clouds around the corners of a square, 1,000 points to learn from, 1,000 others ---------


def load(datasets, seed):
    rng = np.random.default_rng(seed)
    return Data(
        train=datasets.get_xor_data(1000, seed=rng),
        test=datasets.get_xor_data(1000, seed=rng),
        names=("same signs", "different signs"),
    )


# --- the training: the same five lines as the perceptron's; the chain rule reaches one layer further ------


def train(model, data, run):
    batches = DataLoader(TensorDataset(*data.train), batch_size=run.batch_size, shuffle=True)
    optimizer = optim.SGD(model.parameters(), lr=run.lr)
    for epoch in run.each_epoch():
        for points, labels in batches:
            loss = loss_function(model(points), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            epoch.log(loss)


# --- the result: how the boundary bent, and the space in which XOR is easy --------------------------------


def show(run):
    return viz.plane_map(run.score, *run.data.test)


def draw(run):
    if run.history:
        title = "How the boundary bent around the corners"
        moments = [
            (f"after {epoch} epoch{'s' * (epoch > 1)}", run.score_after(epoch)) for epoch in run.moments(6)
        ]
        moments[0] = ("before training", moments[0][1])
    else:
        title, moments = "The boundary around the corners", [("with the pre-trained weights", run.score)]
    picture = run.picture("boundary.png")
    viz.boundary_over_time(moments, *run.data.test, picture, names=run.data.names, title=title)
    output = run.model.output
    viz.hidden_space(
        lambda points: run.model.hidden(tt.tensor(points)).detach().numpy(),
        output.weight.data[0],
        output.bias.item(),
        *run.data.test,
        run.picture("hidden_space.png"),
        names=run.data.names,
        title="Four units, each with a straight line of its own, make XOR separable",
    )
    if run.history:
        viz.learning_curves(
            run.history, run.picture("learning_curves.png"), marks=XOR.marks, title="XOR is learned"
        )


XOR = Milestone(
    file=__file__,
    year=1969,
    title="The XOR crisis",
    history=__doc__,
    insight="""
    Seventeen numbers instead of three bought a different shape of answer. The hidden layer does not decide
    anything: it moves the points into a space of four dimensions where one straight cut is enough.

    The price is a hidden value for every unit and example: memory that only training needs, kept for the way
    back. Between two hidden layers of n units stand n × n weights, so width costs its square in memory and
    time. The loss is no longer convex either: where training ends depends on where it began. """,
    dataset="xor",
    input_shape=(2,),
    classes=2,
    marks={"pass": 0.90, "merit": 0.95, "distinction": 0.99},
    epochs=200,
    demo_epochs=60,
    batch_size=1000,
    lr=1.0,
    build=build,
    load=load,
    loss=loss_function,
    train=train,
    predict=predict,
    show=show,
    show_before=True,
    draw=draw,
    scaling_epochs=50,
)

if __name__ == "__main__":
    sys.exit(main(XOR))

"""
In January 1957 Frank Rosenblatt, a psychologist at the Cornell Aeronautical Laboratory, proposed a machine
that learns: it adds up what it sees, each input with a weight of its own, and answers yes when the sum passes
a threshold. Nobody tells it the weights. It finds them, from examples.

A year later an IBM 704 had learned to tell cards marked on the left from cards marked on the right, and the
New York Times reported that the Navy expected it to walk, talk and be conscious of its existence. What it can
do is draw one straight line.
"""

import sys

import numpy as np

import tinytorch as tt
from tinytorch import nn, optim, viz
from tinytorch.data import DataLoader, TensorDataset
from tinytorch.datasets import DatasetManager
from tinytorch.milestone import Data, Milestone, main
from tinytorch.models import Perceptron

# --- the model: input -> Linear -> Sigmoid -> the probability of "yes" ------------------------------------


def build(inputs=2):
    return Perceptron(inputs)


loss_function = nn.BCELoss()


def predict(model, points):
    return model(tt.tensor(points)).numpy()


# --- the data: two clouds of points, 1,000 to learn from and 1,000 others to be asked about ---------------


def load(datasets, seed):
    rng = np.random.default_rng(seed)
    return Data(
        train=datasets.get_perceptron_data(1000, seed=rng),
        test=datasets.get_perceptron_data(1000, seed=rng),
        names=("lower left", "upper right"),
    )


# --- the training: guess, measure the error, follow its gradient downhill, again --------------------------


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


# --- the result: what it learned, and what it never will --------------------------------------------------


def show(run):
    return viz.plane_map(run.score, *run.data.test)


def fail_on_xor(run):
    """The same perceptron, the same training, other data: yes where exactly one coordinate is positive."""
    rng = np.random.default_rng(run.seed)
    manager = DatasetManager()
    clouds = [manager.get_xor_data(1000, seed=rng) for _ in range(2)]
    xor = Data(*clouds, names=("same signs", "different signs"))
    again = run.asides["xor"] = run.again(xor)
    accuracy = again.evaluate(xor.test)
    run.say(
        f"[bold]The same perceptron on XOR[/]  {100 * accuracy:.2f} % right: no straight line gets past 75 %"
    )
    for line in show(again):
        run.say("    " + line)
    return {"xor_accuracy": accuracy}


def draw(run):
    viz.decision_boundary(
        run.score,
        *run.data.test,
        run.picture("boundary.png"),
        names=run.data.names,
        earlier=[(epoch, run.score_after(epoch)) for epoch in run.moments(5)[:-1]],
        title="The perceptron's line, and where it was after earlier epochs",
    )
    xor = run.asides["xor"]
    viz.decision_boundary(
        xor.score,
        *xor.data.test,
        run.picture("xor_failure.png"),
        names=xor.data.names,
        title="The same perceptron on XOR: no line will do",
    )
    if run.history:
        viz.learning_curves(
            run.history,
            run.picture("learning_curves.png"),
            marks=PERCEPTRON.marks,
            title="The perceptron learns",
        )


def widen(data, inputs):
    """For the scaling study: the same points, hidden among inputs that mean nothing."""
    rng = np.random.default_rng(0)

    def pad(points, labels):
        noise = rng.standard_normal((len(points), inputs - 2)).astype(np.float32)
        return np.concatenate([points, noise], axis=1), labels

    return Data(pad(*data.train), pad(*data.test), data.names)


PERCEPTRON = Milestone(
    file=__file__,
    year=1957,
    title="The perceptron",
    history=__doc__,
    insight="""
    Three numbers are all it has: two weights and a bias, 12 bytes. Memory and time grow with the number of
    inputs and with nothing else, O(n), for learning as for answering: that is why a machine of 1957 could do
    it.

    The line is the limit. Where no line separates the classes, as in XOR, more training, more data and a
    better optimiser change nothing: the loss is convex, and its lowest point is a shrug. The next milestone
    needs another shape. """,
    dataset="two_gaussians",
    input_shape=(2,),
    classes=2,
    marks={"pass": 0.95, "merit": 0.98, "distinction": 0.99},
    epochs=100,
    demo_epochs=20,
    batch_size=1000,
    lr=0.5,
    build=build,
    load=load,
    loss=loss_function,
    train=train,
    predict=predict,
    show=show,
    show_before=True,
    encore=fail_on_xor,
    draw=draw,
    resize=widen,
    size_label="inputs",
    scaling_epochs=100,
)

if __name__ == "__main__":
    sys.exit(main(PERCEPTRON))

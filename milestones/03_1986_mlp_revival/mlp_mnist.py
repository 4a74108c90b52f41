"""
In 1986 David Rumelhart, Geoffrey Hinton and Ronald Williams showed in four pages of Nature that the chain
rule, applied layer by layer from the error back to the input, trains networks with hidden layers: "learning
representations by back-propagating errors". Others had found it before; from then on everybody used it, and
the field came back to life.

MNIST is the test of those years: 70,000 digits, written by employees of the Census Bureau and by high-school
students. The network is not told what a loop or a stroke is. It gets 784 grey values and the right answer.
"""

import sys

import tinytorch as tt
from tinytorch import nn, optim
from tinytorch.data import DataLoader, TensorDataset
from tinytorch.milestone import Data, Milestone, main
from tinytorch.milestone.pictures import draw_classifier, worst_mistakes
from tinytorch.models import MLP

# --- the model: 784 pixels -> 128 -> 64 -> 10 digits, with ReLU between -----------------------------------


def build(hidden=128):
    return MLP(784, (hidden, hidden // 2), 10)


loss_function = nn.CrossEntropyLoss()


def scaled(pixels):
    """Grey values from 0 to 255, as they are stored, to numbers from 0 to 1."""
    return pixels.float() / 255


def predict(model, images):
    return tt.softmax(model(scaled(tt.tensor(images))), dim=1).numpy()


# --- the data: 60,000 digits to learn from, 10,000 by other writers to be asked about ---------------------


def load(datasets, seed):
    digits = datasets.get_mnist()
    return Data(*digits, names=digits.classes)


# --- the training: AdamW, its rate going up and down once, over eight passes ------------------------------


def train(model, data, run):
    batches = DataLoader(TensorDataset(*data.train), batch_size=run.batch_size, shuffle=True)
    optimizer = optim.AdamW(model.parameters(), lr=run.lr, weight_decay=1e-2)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    for epoch in run.each_epoch():
        for images, labels in batches:
            loss = loss_function(model(scaled(images)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            epoch.log(loss)


# --- the result: the digits it takes for others, in characters and in pictures-------------------------------

MNIST = Milestone(
    file=__file__,
    year=1986,
    title="The MLP revival: MNIST",
    history=__doc__,
    insight="""
    109,386 weights, and 92 % of them stand in the first layer, because every unit looks at every pixel. Move
    the digit by three pixels and all of them have to learn it anew: the next milestone shares weights across
    the image instead.

    Training is matrix products: batch × 784 × 128 and its two transposes. A batch of 128 reads each weight
    once for 128 images, and that is what makes the processor and not its memory the limit. What training
    holds beyond the weights is three times as much again, gradients and AdamW's two moments, and the
    activations of one batch; the images stay bytes until their batch comes, a quarter of what they would take
    as float32. """,
    dataset="mnist",
    input_shape=(28, 28),
    classes=10,
    marks={"pass": 0.85, "merit": 0.95, "distinction": 0.98},
    epochs=8,
    demo_epochs=2,
    batch_size=128,
    lr=5e-3,
    build=build,
    load=load,
    loss=loss_function,
    train=train,
    predict=predict,
    show=worst_mistakes,
    draw=draw_classifier,
)

if __name__ == "__main__":
    sys.exit(main(MNIST))

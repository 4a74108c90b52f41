"""
Before there was the bandwidth to send 60,000 images around, there were smaller ones. In the 1990s Ethem
Alpaydin and Cevat Kaynak had 43 people fill in forms at Boğaziçi University, scanned the digits and counted
the ink in a raster of 8 × 8: 64 numbers an image, 1,797 of them in this set, which ships with the library.

It is MNIST's little sister: the same network, a sixth of the weights, a second of training. Whatever goes
wrong with the big one goes wrong here first, and faster.
"""

import sys

import tinytorch as tt
from tinytorch import nn, optim
from tinytorch.data import DataLoader, TensorDataset
from tinytorch.milestone import Data, Milestone, main
from tinytorch.milestone.pictures import draw_classifier, worst_mistakes
from tinytorch.models import MLP

# --- the model: 64 pixels -> 128 -> 64 -> 10 digits, with ReLU between ------------------------------------


def build(hidden=128):
    return MLP(64, (hidden, hidden // 2), 10)


loss_function = nn.CrossEntropyLoss()


def scaled(pixels):
    """Ink from 0 to 16, as it is stored, to numbers from 0 to 1."""
    return pixels.float() / 16


def predict(model, images):
    return tt.softmax(model(scaled(tt.tensor(images))), dim=1).numpy()


# --- the data: 1,442 digits to learn from, every fifth of each kind kept back to be asked about -----------


def load(datasets, seed):
    digits = datasets.get_digits()
    return Data(*digits, names=digits.classes)


# --- the training -----------------------------------------------------------------------------------------


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

DIGITS = Milestone(
    file=__file__,
    year=1986,
    title="The MLP revival: 8×8 digits",
    history=__doc__,
    insight="""
    17,226 weights for 1,442 images: twelve for every example, enough to learn them by heart. That it reads 97
    of 100 digits it never saw says that gradient descent finds something better than a list.

    At this size a training step is mostly overhead: the products take a few microseconds, and Python's way to
    them takes the rest. More hidden units are nearly free here, and cost their price on MNIST: run both with
    --scaling. """,
    dataset="digits",
    input_shape=(8, 8),
    classes=10,
    marks={"pass": 0.85, "merit": 0.93, "distinction": 0.96},
    epochs=20,
    demo_epochs=8,
    batch_size=32,
    lr=1e-2,
    build=build,
    load=load,
    loss=loss_function,
    train=train,
    predict=predict,
    show=worst_mistakes,
    draw=draw_classifier,
    scaling_epochs=5,
)

if __name__ == "__main__":
    sys.exit(main(DIGITS))

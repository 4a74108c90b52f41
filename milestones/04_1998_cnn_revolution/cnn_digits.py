"""
LeCun's first convolutional network, in 1989, read postal codes: digits of 16 × 16 pixels, on a workstation
that took three days. This one reads the 8 × 8 digits that ship with the library, the same that the MLP of
1986 was asked about, and takes seconds.

Sixty-four pixels leave little to discover: two poolings, and an image is four numbers a channel. But it is
enough to see the point. Shift the digit by one pixel, and see who still reads it.
"""

import sys

import tinytorch as tt
from tinytorch import nn, optim
from tinytorch.data import DataLoader, TensorDataset
from tinytorch.milestone import Data, Milestone, main
from tinytorch.milestone.convolutions import draw_convolutions, study_convolutions
from tinytorch.milestone.pictures import worst_mistakes
from tinytorch.models import MLP, LeNet

# --- the model: windows of 3 × 3 over 8 × 8, pooled to 4 × 4; again, pooled to 2 × 2; 64 units; 10 digits


def build(channels=16):
    return LeNet(1, 8, channels=(channels, 2 * channels), hidden=64)


def build_mlp():
    """As many weights, none of them shared: what the convolutions are compared with."""
    return MLP(64, (104, 64), 10)


loss_function = nn.CrossEntropyLoss()


def scaled(pixels):
    """Ink from 0 to 16, as it is stored, to numbers from 0 to 1."""
    return pixels.float() / 16


def predict(model, images):
    return tt.softmax(model(scaled(tt.tensor(images))), dim=1).numpy()


# --- the data: 1,442 digits to learn from, every fifth of each kind kept back to be asked about -----------


def load(datasets, seed):
    digits = datasets.get_digits()
    with_channel = [(images[:, None], labels) for images, labels in digits]
    return Data(*with_channel, names=digits.classes)


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


# --- the result: what its filters look for, what it takes for what, and what shifting the image does to it


def study(run):
    return study_convolutions(run, build_mlp)


DIGITS = Milestone(
    file=__file__,
    year=1998,
    title="The CNN revolution: 8×8 digits",
    history=__doc__,
    insight="""
    The first layer has 160 weights and uses each of them 64 times an image; a dense layer between the same
    numbers would have 66,560 and use each once. So the network has fewer weights to get wrong and more
    arithmetic to do, and on 1,442 images the fewer weights are what counts.

    Pooling forgets where exactly something was. That costs position and buys calm: when the digit moves by a
    pixel, more answers stay than those of a dense network of the same size. More, not all: the last layers
    are dense here too, and two pixels are a quarter of the image. """,
    dataset="digits",
    input_shape=(1, 8, 8),
    classes=10,
    marks={"pass": 0.85, "merit": 0.95, "distinction": 0.97},
    epochs=20,
    demo_epochs=8,
    batch_size=32,
    lr=5e-3,
    build=build,
    load=load,
    loss=loss_function,
    train=train,
    predict=predict,
    show=worst_mistakes,
    draw=draw_convolutions,
    encore=study,
    sizes=(4, 8, 16, 32),
    size_label="channels",
    scaling_epochs=5,
)

if __name__ == "__main__":
    sys.exit(main(DIGITS))

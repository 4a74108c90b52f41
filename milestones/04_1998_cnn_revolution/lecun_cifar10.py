"""
In 1998 Yann LeCun, Léon Bottou, Yoshua Bengio and Patrick Haffner described LeNet-5, which by then read
millions of cheques a day. Its idea was ten years old: an edge is an edge wherever it is, so let one small
window of weights slide over the whole image, pool what it finds, and let the next layer's windows slide over
that. The weights are shared, the position is kept, and what a dense layer must learn anew at every place is
learned once.

CIFAR-10 came in 2009 from Alex Krizhevsky, in Toronto: 60,000 photographs of 32 × 32 pixels, frogs and trucks
among them. Three years later a larger network of the same kind won the ImageNet competition by so much that
within a year everybody had one.
"""

import sys

import tinytorch as tt
from tinytorch import nn, optim
from tinytorch.data import DataLoader, TensorDataset, transforms
from tinytorch.milestone import Data, Milestone, main
from tinytorch.milestone.convolutions import draw_convolutions, study_convolutions
from tinytorch.milestone.pictures import worst_mistakes
from tinytorch.models import MLP, LeNet, SmallResNet

# --- the models: LeCun's alternation of convolution and pooling, and a small network of today -------------


def build_lenet(channels=32):
    return LeNet(3, 32, channels=(channels, 2 * channels), hidden=256)


def build_resnet(channels=32):
    return SmallResNet(3, channels=(channels, 2 * channels, 4 * channels))


def build_mlp(weights):
    """About so many weights, none of them shared: what the convolutions are compared with."""
    hidden = round((weights - 65 * 10) / (3 * 32 * 32 + 65))
    return MLP(3 * 32 * 32, (hidden, 64), 10)


loss_function = nn.CrossEntropyLoss(label_smoothing=0.1)

# --- the data: 50,000 photographs to learn from, bytes until their batch comes; 10,000 to be asked about

scaled = transforms.Normalize(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
mirrored = transforms.Compose([transforms.RandomHorizontalFlip(), scaled])
shifted = transforms.Compose([transforms.RandomCrop(32, padding=4, padding_mode="reflect"), mirrored])


def load(datasets, seed):
    photographs = datasets.get_cifar10()
    return Data(*photographs, names=photographs.classes)


def predict(model, images):
    return tt.softmax(model(scaled(tt.tensor(images))), dim=1).numpy()


# --- the training: the rate goes up and down once, and every other image comes mirrored ---------------------


def train(model, data, run, vary=mirrored):
    batches = DataLoader(
        TensorDataset(*data.train), batch_size=run.batch_size, shuffle=True, num_workers=1, transform=vary
    )
    optimizer = optim.SGD(model.parameters(), lr=run.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    for epoch in run.each_epoch():
        for images, labels in batches:
            loss = loss_function(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            epoch.log(loss)


def train_shifted(model, data, run):
    """For more epochs: no image comes twice in the same place."""
    train(model, data, run, vary=shifted)


# --- the result: what its filters look for, what it takes for what, and what shifting the image does to it


def study(run):
    size = sum(p.data.size for p in run.model.parameters())
    return study_convolutions(run, lambda: build_mlp(size), lr=0.1)


CIFAR10 = Milestone(
    file=__file__,
    year=1998,
    title="The CNN revolution: CIFAR-10",
    history=__doc__,
    insight="""
    The two convolutions of the LeNet have 19,392 weights, and do five sixths of the arithmetic; the dense
    layer behind them has 1,048,832, and does the rest. Sharing weights turns memory into arithmetic: every
    weight of a convolution is used at each of its hundreds of places. That is why convolutions keep a
    processor busy, while a dense layer waits for its weights to come from memory.

    Memory goes to activations instead: of a batch of 128 the first convolution makes 16 MiB, four times what
    all the weights of the LeNet take, before pooling leaves a quarter of it. """,
    dataset="cifar-10",
    input_shape=(3, 32, 32),
    classes=10,
    marks={"pass": 0.65, "merit": 0.75, "distinction": 0.80},
    epochs=2,
    demo_epochs=1,
    demo_share=0.4,
    batch_size=128,
    lr=0.1,
    build=build_lenet,
    load=load,
    loss=loss_function,
    train=train,
    predict=predict,
    show=worst_mistakes,
    draw=draw_convolutions,
    encore=study,
    sizes=(8, 16, 32, 64),
    size_label="channels",
    choices={
        "model": {
            "lenet": {},
            "resnet": {
                "build": build_resnet,
                "train": train_shifted,
                "epochs": 5,
                "lr": 0.4,
                "demo_share": 0.2,
            },
        }
    },
)

if __name__ == "__main__":
    sys.exit(main(CIFAR10))

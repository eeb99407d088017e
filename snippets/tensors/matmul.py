# %% [markdown]
# # Two layers by hand
#
# A network of two layers learns to read digits. What it computes, forward and
# backward, is written with `@` and held against `nn.Linear` and autograd, down
# to the last bit.
#
# ```console
# $ python matmul.py --hidden 128 --epochs 50
# $ python matmul.py --plot neurons.png
# ```

# %%
"""Two layers by hand: products forward and backward, held against autograd."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# %% [markdown]
# ## A layer forward and backward
#
# Forward, a layer is one product. Backward it is two: the gradient of its
# output meets the input, which gives the gradient of the weight, and it meets
# the weight, which gives the gradient of the input.


# %%
def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What `nn.Linear` computes.

    Args:
        x: A tensor of shape `(N, D)` and a floating dtype.
        weight: A tensor of shape `(K, D)`, dtype and device as `x`.
        bias: A tensor of shape `(K,)`, dtype and device as `x`.

    Returns:
        A tensor of shape `(N, K)` and the same dtype.

    Raises:
        RuntimeError: if the sizes or the dtypes do not fit.
    """
    return x @ weight.T + bias


def linear_backward(
    gradient: Tensor, x: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of what a layer was given.

    Args:
        gradient: That of the output, of shape `(N, K)`.
        x: The input, of shape `(N, D)`.
        weight: A tensor of shape `(K, D)`.

    Returns:
        The gradients of `x`, of `weight` and of the bias, each of the shape of
        what it belongs to.
    """
    return gradient @ weight, gradient.T @ x, gradient.sum(dim=0)


def relu_backward(gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient of what relu was given.

    Args:
        gradient: That of the output, of any shape.
        x: The input, of the same shape.

    Returns:
        The gradient where x was positive, and 0 elsewhere.
    """
    return gradient * (x > 0)


def cross_entropy(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The mean cross-entropy and its gradient.

    Args:
        scores: A tensor of shape `(N, K)` and a floating dtype.
        labels: The right classes, of shape `(N,)` and dtype int64, each from 0
            to K - 1.

    Returns:
        The loss, of shape `()`, and the gradient of the scores, `(N, K)`.
    """
    logs = scores.log_softmax(dim=1)
    right = F.one_hot(labels, scores.shape[1]).to(scores.dtype)
    loss = -(logs * right).sum(dim=1).mean()
    return loss, (logs.exp() - right) / len(scores)


# %% [markdown]
# ## The network


# %%
@dataclass(frozen=True)
class Network:
    """Two layers with relu between them: D inputs, H neurons, K scores."""

    weight1: Tensor
    """Of shape `(H, D)`, as in `nn.Linear`."""
    bias1: Tensor
    """Of shape `(H,)`."""
    weight2: Tensor
    """Of shape `(K, H)`."""
    bias2: Tensor
    """Of shape `(K,)`."""

    def parameters(self) -> list[Tensor]:
        """The four tensors to learn, in the order of `nn.Sequential`."""
        return [self.weight1, self.bias1, self.weight2, self.bias2]

    def scores(self, x: Tensor) -> Tensor:
        """The scores `(N, K)` of inputs `(N, D)`."""
        hidden = linear(x, self.weight1, self.bias1).relu()
        return linear(hidden, self.weight2, self.bias2)

    def backward(self, x: Tensor, gradient: Tensor) -> list[Tensor]:
        """The gradients of the parameters.

        Args:
            x: The inputs, of shape `(N, D)`.
            gradient: That of the scores, of shape `(N, K)`.

        Returns:
            A gradient per parameter, of its shape and in its order.
        """
        before = linear(x, self.weight1, self.bias1)
        hidden, *second = linear_backward(
            gradient, before.relu(), self.weight2
        )
        _, *first = linear_backward(
            relu_backward(hidden, before), x, self.weight1
        )
        return first + second

    def module(self) -> nn.Sequential:
        """The same network of `nn.Linear` and `nn.ReLU`, with copies."""
        (hidden, inputs), outputs = self.weight1.shape, len(self.bias2)
        module = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
        ).to(self.weight1)
        with torch.no_grad():
            for theirs, ours in zip(
                module.parameters(), self.parameters(), strict=True
            ):
                theirs.copy_(ours)
        return module


def new_network(
    inputs: int,
    hidden: int,
    outputs: int,
    generator: torch.Generator,
    device: torch.device,
) -> Network:
    """A network with random weights of dtype float32.

    Like those of `nn.Linear` they lie between -1 and 1, divided by the root of
    the number of inputs of their layer.

    Args:
        inputs: The numbers per sample.
        hidden: The neurons of the first layer.
        outputs: The scores per sample.
        generator: What draws them, on the CPU, so that every device starts
            with the same.
        device: Where they go.
    """
    tensors = []
    for shape, width in [
        ((hidden, inputs), inputs),
        ((hidden,), inputs),
        ((outputs, hidden), hidden),
        ((outputs,), hidden),
    ]:
        draw = torch.rand(shape, generator=generator)
        tensors.append(((2 * draw - 1) / math.sqrt(width)).to(device))
    return Network(*tensors)


# %% [markdown]
# ## Held against autograd
#
# Floats lie at steps from each other, which grow with the numbers. Differences
# are counted in the steps at the largest number of the two tensors. 0 means
# that all numbers are equal.
#
# Which ones are depends on the device and on the library that multiplies. On
# the x86 CPU where this was measured the scores are equal. So are the
# gradients of weights and biases, if both begin with the same gradient of the
# scores. That gradient was up to one step apart, the loss up to two.


# %%
def steps_apart(a: Tensor, b: Tensor) -> float:
    """How far two tensors are from each other, in the last place.

    Args:
        a: A tensor of dtype float32 with at least one element, all finite.
        b: A tensor of the same shape and dtype.

    Returns:
        The largest difference, divided by the step from the largest number of
        both to the next float. It is 0 if and only if all numbers are equal.
    """
    a, b = a.detach().cpu(), b.detach().cpu()
    if torch.equal(a, b):
        return 0.0
    largest = torch.maximum(a.abs().max(), b.abs().max())
    step = torch.nextafter(largest, torch.tensor(math.inf)) - largest
    return float((a.double() - b.double()).abs().max() / step.double())


def compare(
    network: Network, x: Tensor, labels: Tensor
) -> list[tuple[str, Tensor, float]]:
    """Compute everything twice, by hand and with autograd.

    The parameters' gradients are found from the scores' gradient of autograd,
    so that each line shows the differences of one computation.

    Args:
        network: The network.
        x: Inputs of shape `(N, D)`.
        labels: Their classes, of shape `(N,)` and dtype int64.

    Returns:
        A name, the tensor that autograd has, and how many steps the one by
        hand is from it, for each computation.
    """
    module = network.module()
    theirs = module(x)
    theirs.retain_grad()
    their_loss = F.cross_entropy(theirs, labels)
    their_loss.backward()
    scores = network.scores(x)
    loss, gradient = cross_entropy(scores, labels)
    rows = [
        ("scores", theirs, scores),
        ("loss", their_loss, loss),
        ("gradient of the scores", theirs.grad, gradient),
    ]
    names = ("weight 1", "bias 1", "weight 2", "bias 2")
    ours = network.backward(x, theirs.grad)
    for name, parameter, found in zip(
        names, module.parameters(), ours, strict=True
    ):
        rows.append((f"gradient of {name}", parameter.grad, found))
    return [(name, a, steps_apart(a, b)) for name, a, b in rows]


# %% [markdown]
# ## Training
#
# The inputs are cut into batches, in an order that is new in each epoch. After
# each batch every parameter moves a little against its gradient.


# %%
def train(
    network: Network,
    x: Tensor,
    labels: Tensor,
    epochs: int,
    generator: torch.Generator,
    batch: int = 32,
    rate: float = 0.2,
    after: Callable[[int, float], None] = lambda epoch, loss: None,
) -> None:
    """Train a network in place by gradient descent.

    Args:
        network: The network.
        x: Inputs of shape `(N, D)`, N at least 1.
        labels: Their classes, of shape `(N,)` and dtype int64.
        epochs: How often to go through them.
        generator: What draws the order, on the CPU.
        batch: The inputs per step; the last batch may be smaller.
        rate: How far a parameter moves, per unit of its gradient.
        after: Called after each epoch with its number, from 1, and the mean
            loss of its batches.
    """
    for epoch in range(1, epochs + 1):
        losses = []
        order = torch.randperm(len(x), generator=generator).to(x.device)
        for rows in order.split(batch):
            inputs = x[rows]
            loss, gradient = cross_entropy(
                network.scores(inputs), labels[rows]
            )
            gradients = network.backward(inputs, gradient)
            for parameter, each in zip(
                network.parameters(), gradients, strict=True
            ):
                parameter.sub_(each, alpha=rate)
            losses.append(loss)
        after(epoch, float(torch.stack(losses).mean()))


# %% [markdown]
# ## The digits


# %%
@dataclass(frozen=True)
class Digits:
    """Pictures of digits, a fifth of them held out."""

    x: Tensor
    """Of shape `(1438, 64)` and dtype float32, values from 0 to 1."""
    labels: Tensor
    """What they show, of shape `(1438,)` and dtype int64, from 0 to 9."""
    held_out: Tensor
    """The pictures held out, of shape `(359, 64)`."""
    truth: Tensor
    """What they show, of shape `(359,)`."""


def load(generator: torch.Generator, device: torch.device) -> Digits:
    """The 1797 digits of scikit-learn in an order that is drawn."""
    from sklearn.datasets import load_digits

    pixels, shown = map(torch.tensor, load_digits(return_X_y=True))
    order = torch.randperm(len(pixels), generator=generator)
    x, labels = (pixels / 16).float()[order], shown[order]
    size = len(x) // 5
    parts = (x[size:], labels[size:], x[:size], labels[:size])
    return Digits(*(part.to(device) for part in parts))


def draw(network: Network) -> Figure:
    """Draw what the first neurons look for: red speaks for it, blue against.

    Args:
        network: A network with an input per pixel of an 8 x 8 picture.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    pictures = network.weight1[:32].reshape(-1, 8, 8).cpu()
    rows = math.ceil(len(pictures) / 8)
    largest = float(pictures.abs().max())
    figure, places = plt.subplots(
        rows, 8, figsize=(8, rows), squeeze=False, layout="constrained"
    )
    for place in places.flat:
        place.axis("off")
    for place, picture in zip(places.flat, pictures, strict=False):
        place.imshow(
            picture.numpy(), cmap="RdBu_r", vmin=-largest, vmax=largest
        )
    return figure


# %% [markdown]
# ## On the command line


# %%
def whole_number(text: str, name: str, least: int, most: int) -> int:
    """Read a whole number.

    Raises:
        ValueError: if it is none, less than `least` or more than `most`.
    """
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or not (
        least <= int(text) <= most
    ):
        raise ValueError(
            f"{name} is a whole number from {least} to {most}, not {text!r}"
        )
    return int(text)


def device_from(name: str) -> torch.device:
    """The device of that name; `auto` is the accelerator, or else the CPU.

    Raises:
        ValueError: if this machine has no such device.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    found = [accelerator] if accelerator else []
    found.append(torch.device("cpu"))
    for device in found:
        if name in ("auto", device.type):
            return device
    here = " and ".join(device.type for device in reversed(found))
    raise ValueError(f"this machine has no {name}: it has {here}")


def show(hidden: int, epochs: int, seed: int, device: torch.device) -> Network:
    """Compare with autograd, train, and print how well that went.

    On a terminal it shows its progress.

    Returns:
        The trained network.
    """
    generator = torch.Generator().manual_seed(seed)
    digits = load(generator, device)
    network = new_network(64, hidden, 10, generator, device)

    print("by hand and with nn.Linear and autograd, for 64 pictures")
    print(f"{'':24}{'shape':12}steps apart")
    x, labels = digits.x[:64], digits.labels[:64]
    for name, tensor, steps in compare(network, x, labels):
        shape = str(tuple(tensor.shape))
        apart = f"{steps:.2f}" if steps else "0, all equal"
        print(f"{name:24}{shape:12}{apart}")

    def right() -> int:
        found = network.scores(digits.held_out).argmax(dim=1)
        return int((found == digits.truth).sum())

    terminal = sys.stderr.isatty()
    told = {1, *(round(epochs * part / 5) for part in range(1, 6))}

    def after(epoch: int, loss: float) -> None:
        if terminal:
            print(f"\repoch {epoch} of {epochs}", end="", file=sys.stderr)
        if epoch in told:
            if terminal:
                print("\r\033[K", end="", file=sys.stderr, flush=True)
            share = right() / len(digits.truth)
            print(f"epoch {epoch:4}: loss {loss:.4f}, right {share:.1%}")

    train(network, digits.x, digits.labels, epochs, generator, after=after)
    print(f"right: {right()} of {len(digits.truth)} pictures held out")
    return network


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Train two layers by hand to read digits."
    )
    parser.add_argument(
        "--hidden",
        default="64",
        help="the neurons of the first layer (default: 64)",
    )
    parser.add_argument(
        "--epochs",
        default="20",
        help="how often to go through the pictures (default: 20)",
    )
    parser.add_argument(
        "--seed",
        default="0",
        help="which pictures are held out, which weights to start with "
        "(default: 0)",
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="draw what the first neurons look for (.png, .svg, .pdf)",
    )
    options = parser.parse_args(arguments)
    try:
        hidden = whole_number(options.hidden, "--hidden", 1, 10**4)
        epochs = whole_number(options.epochs, "--epochs", 1, 10**4)
        seed = whole_number(options.seed, "--seed", 0, 10**18)
        network = show(hidden, epochs, seed, device_from(options.device))
        if options.plot:
            draw(network).savefig(options.plot)
    except (ValueError, OSError) as error:
        print(f"matmul.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, the defaults
        draw(show(64, 20, 0, torch.device("cpu")))
    else:
        sys.exit(main())

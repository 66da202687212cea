#!/usr/bin/env python3
"""Writes mlp.txt: what PyTorch gives for small MLPs, for tests/models/mlp_golden_test.cpp.

Run by hand, with PyTorch 1.13 or later; the tests only read the file:
    python3 tests/golden/mlp.py > tests/golden/mlp.txt
One problem (24 samples, 3 numeric columns, fields of 4 and 7 categories with embeddings of 3, three classes as
labels and as numbers), and several trainings of ten steps on all samples. Lines are "name count values...".
"""
import torch

SAMPLES, NUMERIC, CATEGORIES, DIM, HIDDEN, CLASSES = 24, 3, (4, 7), 3, (8, 6), 3

# name, activation, loss, make the optimizer
TRAININGS = [
    ("sgd relu softmax", "relu", "softmax", lambda p: torch.optim.SGD(p, lr=0.2)),
    ("nesterov gelu softmax", "gelu", "softmax",
     lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    ("momentum tanh squared", "tanh", "squared", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8)),
    ("adam silu huber", "silu", "huber", lambda p: torch.optim.Adam(p, lr=0.01, eps=1e-6)),
    ("adamw tanh softmax", "tanh", "softmax", lambda p: torch.optim.AdamW(p, lr=0.01, eps=1e-6, weight_decay=0)),
    ("adagrad gelu poisson", "gelu", "poisson", lambda p: torch.optim.Adagrad(p, lr=0.05, eps=1e-6)),
    ("clipped sgd identity squared", "identity", "squared", lambda p: torch.optim.SGD(p, lr=0.3)),
]
# With layer norm before the activation.
NORMALIZED = [("layer norm adam gelu softmax", "gelu", "softmax", lambda p: torch.optim.Adam(p, lr=0.01, eps=1e-6))]
# With batch norm there. Not Adam: it divides gradients by their size, and those of biases before batch norm are 0 but for
# rounding.
BATCH_NORMALIZED = [
    ("batch norm momentum tanh squared", "tanh", "squared", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8)),
    ("batch norm sgd gelu softmax", "gelu", "softmax", lambda p: torch.optim.SGD(p, lr=0.1)),
]
CLIP = 0.5
ACTIVATIONS = {"relu": torch.relu, "gelu": torch.nn.functional.gelu, "silu": torch.nn.functional.silu,
               "tanh": torch.tanh, "identity": lambda x: x}


def put(name, values):
    values = values.detach().flatten().tolist() if isinstance(values, torch.Tensor) else values
    print(name.replace(" ", "_"), len(values), *(f"{v:.9g}" for v in values))


def initial(outputs):
    torch.manual_seed(7)
    widths = (NUMERIC + len(CATEGORIES) * DIM,) + HIDDEN + (outputs,)
    parameters = {"embedding": 0.5 * torch.randn(sum(CATEGORIES), DIM)}
    for l, (fan_in, fan_out) in enumerate(zip(widths, widths[1:])):
        name = "output" if l == len(HIDDEN) else f"hidden.{l}"
        parameters[name + ".weight"] = torch.randn(fan_out, fan_in) * (1.5 / fan_in) ** 0.5
        parameters[name + ".bias"] = 0.1 * torch.randn(fan_out)
        if name != "output":
            parameters[name + ".norm.scale"] = 1 + 0.2 * torch.randn(fan_out)
            parameters[name + ".norm.shift"] = 0.1 * torch.randn(fan_out)
    return {name: torch.nn.Parameter(values) for name, values in parameters.items()}


def forward(parameters, numeric, ids, activation, norm):
    x = torch.cat([numeric] + [parameters["embedding"][ids[:, f]] for f in range(len(CATEGORIES))], dim=1)
    for l in range(len(HIDDEN)):
        x = torch.nn.functional.linear(x, parameters[f"hidden.{l}.weight"], parameters[f"hidden.{l}.bias"])
        if norm:
            scale, shift = parameters[f"hidden.{l}.norm.scale"], parameters[f"hidden.{l}.norm.shift"]
            x = (torch.nn.functional.layer_norm(x, x.shape[1:], scale, shift) if norm == "layer" else
                 torch.nn.functional.batch_norm(x, None, None, scale, shift, training=True))
        x = activation(x)
    return torch.nn.functional.linear(x, parameters["output.weight"], parameters["output.bias"])


def loss_of(name, margins, labels):
    f = torch.nn.functional
    if name == "softmax":
        return f.cross_entropy(margins, labels.long())
    if name == "squared":
        return 0.5 * f.mse_loss(margins[:, 0], labels)
    if name == "huber":
        return f.huber_loss(margins[:, 0], labels, delta=0.7)
    return f.poisson_nll_loss(margins[:, 0], labels)


def main():
    torch.manual_seed(3)
    numeric = torch.randn(SAMPLES, NUMERIC)
    # Every category occurs, so that PyTorch's dense optimizers and lazy ones do the same.
    offsets = [0, CATEGORIES[0]]
    ids = torch.tensor([[o + (r * (3 * f + 1) + r // 7) % n for f, (o, n) in enumerate(zip(offsets, CATEGORIES))]
                        for r in range(SAMPLES)])
    assert len(ids.unique()) == sum(CATEGORIES)
    labels = torch.randint(0, CLASSES, (SAMPLES,)).float()
    put("numeric", numeric)
    put("ids", ids)
    put("labels", labels)
    for outputs in (1, CLASSES):
        for name, values in initial(outputs).items():
            put(f"{outputs}/{name}", values)
    for title, activation, loss_name, make in TRAININGS + NORMALIZED + BATCH_NORMALIZED:
        norm = title.split()[0] if title.split()[1] == "norm" else None
        parameters = initial(CLASSES if loss_name == "softmax" else 1)
        if not norm:
            parameters = {name: p for name, p in parameters.items() if ".norm." not in name}
        optimizer = make(list(parameters.values()))
        losses = []
        for step in range(10):
            optimizer.zero_grad()
            loss = loss_of(loss_name, forward(parameters, numeric, ids, ACTIVATIONS[activation], norm), labels)
            loss.backward()
            losses.append(loss.item())
            if step == 0:
                for name, p in parameters.items():
                    put(f"{title}/gradient/{name}", p.grad)
            if title.startswith("clipped"):
                torch.nn.utils.clip_grad_norm_(list(parameters.values()), CLIP)
            optimizer.step()
        put(f"{title}/losses", losses)
        for name, p in parameters.items():
            put(f"{title}/after/{name}", p)


main()

"""The inventory lists what hangs on a module, agrees with what torch does to it, and warns of what that misses."""

from __future__ import annotations

import copy
import runpy
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

PROGRAM = Path(__file__).parents[2] / "snippets/autograd/modules.py"
modules = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
CPU = torch.device("cpu")


def rows(model, **options):
    return {row.path: row for row in modules.inventory(model, **options).rows}


def said(model, **options):
    return modules.inventory(model, **options).warnings


def hung(**attributes):
    """A Linear layer with more on it."""
    model = nn.Linear(2, 2)
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


FOUND = {
    "healthy": [],
    "list": [("hidden: 2 modules in a list, which parameters(), to(), state_dict() and eval()", "nn.ModuleList")],
    "dict": [("tasks: 1 module in a dict, which", "nn.ModuleDict")],
    "attribute": [("mean: 1 tensor as an attribute, which to() and state_dict()", "register_buffer")],
    "learned": [("scales: 2 tensors in a tuple, which parameters(), to()", "nn.ParameterList or nn.ParameterDict")],
    "result": [("last: 1 result of an operation", "detach()")],
    "repeated": [("hidden.0, hidden.1 and hidden.2 are one module", "")],
    "tied": [("hidden.0.weight and hidden.1.weight are one tensor", "")],
    "frozen": [("hidden.1: frozen, but in train mode", "eval()")],
    "replaced": [
        ("head.weight and head.bias: not in the optimizer", "them"),
        ("The optimizer holds 2 tensors that the module does not have", ""),
    ],
}


@pytest.mark.parametrize("case", FOUND)
def test_each_case_brings_its_warnings_and_no_others(case):
    warnings = modules.examine(modules.CASES[case](), CPU).warnings
    assert len(warnings) == len(FOUND[case])
    for warning, (start, cure) in zip(warnings, FOUND[case], strict=True):
        assert warning.startswith(start)
        assert cure in warning
        assert warning[-1] in ".?"


def test_every_case_is_tested():
    assert set(modules.CASES) == set(FOUND)


class Powers(nn.Module):
    """It has a `p` that is no probability."""

    p = 3.0


@dataclass
class Holder:
    tensor: torch.Tensor


class Slots:
    __slots__ = ("empty", "tensor")

    def __init__(self, tensor):
        self.tensor = tensor


def everything():
    """A module with a tensor of each kind, and what `double()` and `state_dict` make of it is asked of torch."""
    model = nn.Module()
    model.weight = nn.Parameter(torch.ones(3, 2))
    model.still = nn.Parameter(torch.ones(1), requires_grad=False)
    model.register_buffer("mean", torch.ones(2))
    model.register_buffer("mask", torch.ones(2), persistent=False)
    model.register_buffer("nothing", None)
    model.part = nn.BatchNorm1d(4)
    model.plain = torch.ones(5)
    model.items = [torch.ones(1), (torch.ones(2), "word")]
    model.pair = (torch.ones(1), 3)
    model.table = {"x": torch.ones(1), 7: [torch.ones(1)]}
    model.some = {torch.ones(1)}
    model.queue = deque([torch.ones(1)])
    model.holder = Holder(torch.ones(1))
    model.slots = Slots(torch.ones(1))
    model.layers = [nn.Linear(2, 1)]
    return model


def test_kinds_and_paths():
    assert {path: row.kind for path, row in rows(everything()).items()} == {
        "weight": "parameter",
        "still": "parameter",
        "mean": "buffer",
        "mask": "unsaved",
        "part.weight": "parameter",
        "part.bias": "parameter",
        "part.running_mean": "buffer",
        "part.running_var": "buffer",
        "part.num_batches_tracked": "buffer",
        "plain": "attribute",
        "items[0]": "list",
        "items[1][0]": "list",
        "pair[0]": "tuple",
        "table['x']": "dict",
        "table[7][0]": "dict",
        "some{...}": "set",
        "queue[0]": "list",
        "holder.tensor": "object",
        "slots.tensor": "object",
        "layers[0].weight": "list",
        "layers[0].bias": "list",
    }


@pytest.mark.parametrize("model", [everything(), resnet18(), nn.LSTM(3, 4, 2)], ids=lambda model: type(model).__name__)
def test_it_agrees_with_torch_on_who_is_trained_moved_and_saved(model):
    found = rows(model)
    assert {path for path, row in found.items() if row.saved} == set(model.state_dict())
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    assert {path for path, row in found.items() if row.trained == "yes"} == trained
    frozen = {name for name, each in model.named_parameters() if not each.requires_grad}
    assert {path for path, row in found.items() if row.trained == "frozen"} == frozen
    moved = rows(copy.deepcopy(model).to("meta"))
    assert moved.keys() == found.keys()
    assert {path for path, row in moved.items() if row.device.type == "meta"} == {
        path for path, row in found.items() if row.moved
    }


def test_shapes_dtypes_and_sizes():
    row = rows(everything())["weight"]
    assert (row.shape, row.dtype, row.device, row.numbers, row.nbytes) == ((3, 2), torch.float32, CPU, 6, 24)
    row = rows(everything())["part.num_batches_tracked"]
    assert (row.shape, row.dtype, row.nbytes) == ((), torch.int64, 8)


def test_nothing_is_changed():
    model = everything()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    modules.inventory(model, torch.optim.SGD([model.weight]), scoring=True)
    assert model.training
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert model.weight.grad is None


def test_an_optimizer_decides_what_is_trained():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].bias.requires_grad_(False)
    loose = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([{"params": [model[0].weight]}, {"params": [model[0].bias, loose]}])
    trained = {path: row.trained for path, row in rows(model, optimizer=optimizer).items()}
    assert trained == {"0.weight": "yes", "0.bias": "yes", "1.weight": "no", "1.bias": "frozen"}
    assert said(model, optimizer=optimizer) == [
        "1.weight: not in the optimizer, so no step moves it.",
        "The optimizer holds 1 tensor that the module does not have: was a layer replaced?",
    ]
    assert said(model, optimizer=torch.optim.SGD(model.parameters())) == []


def test_an_optimizer_may_train_what_is_beside_the_tree():
    model = hung(loose=torch.ones(1, requires_grad=True))
    optimizer = torch.optim.SGD([*model.parameters(), model.loose])
    assert rows(model, optimizer=optimizer)["loose"].trained == "yes"
    assert len(said(model, optimizer=optimizer)) == 1


def test_memory_is_counted_once():
    model = hung()
    model.twin = nn.Linear(2, 2)
    model.twin.weight = model.weight
    model.first = model.bias.detach()[:1]
    found = rows(model)
    assert (found["twin.weight"].shares, found["first"].shares, found["twin.bias"].shares) == ("weight", "bias", "")
    assert (found["twin.weight"].nbytes, found["first"].nbytes, found["weight"].nbytes) == (0, 0, 16)
    assert modules.totals(list(found.values())).splitlines() == [
        "parameters: 8 in 3 tensors, 32 B",
        "buffers: 0 in 0 tensors, 0 B",
        "beside the tree: 0 in 0 tensors, 0 B",
        "trained: 8",
    ]


def test_tensors_on_meta_do_not_share():
    with torch.device("meta"):
        found = rows(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    assert [row.shares for row in found.values()] == [""] * 4


def test_what_is_registered_as_well_is_listed_once():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model.again = [model[0], model[0].weight]
    assert list(rows(model)) == ["0.weight", "0.bias"]
    assert said(model) == []
    assert said(nn.LSTM(2, 2)) == []  # it has a list of its parameters


def test_a_second_name_of_a_buffer_is_warned_of_as_torch_replaces_the_buffer():
    model = nn.BatchNorm1d(2)
    model.means = [model.running_mean]
    assert said(model) == [
        "means: names the buffer running_mean once more, and keeps the old one when to() replaces it."
    ]
    model.double()
    assert model.means[0] is not model.running_mean


def test_a_module_in_a_list_is_named_and_not_those_below_it():
    model = hung(parts=[nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.ReLU()])
    assert said(model)[0].startswith("parts: 2 modules in a list")
    assert len(said(model)) == 1


def test_a_module_in_an_object_is_found_with_what_hangs_on_it():
    inner = hung(mean=torch.ones(1))
    model = hung(holder=Holder(inner))
    assert [path for path in rows(model) if path.startswith("holder")] == [
        "holder.tensor.weight",
        "holder.tensor.bias",
        "holder.tensor.mean",
    ]
    assert {row.kind for path, row in rows(model).items() if path.startswith("holder")} == {"object"}
    assert len(said(model)) == 1


def test_attributes_deep_in_the_tree_are_found():
    model = leaf = nn.Sequential()
    for _ in range(20):
        leaf.append(nn.Sequential())
        leaf = leaf[0]
    leaf.mean = torch.ones(1)
    assert list(rows(model)) == [".".join("0" * 20) + ".mean"]


def test_what_is_beside_the_tree_comes_last():
    inner = hung(mean=torch.ones(1))
    assert list(rows(nn.Sequential(inner, nn.Linear(2, 2, bias=False)))) == [
        "0.weight",
        "0.bias",
        "1.weight",
        "0.mean",
    ]


def test_circles_end():
    loop: list = [torch.ones(1)]
    loop.append(loop)
    holder = Holder(torch.ones(1))
    holder.self = holder
    assert list(rows(hung(loop=loop, holder=holder)))[2:] == ["loop[0]", "holder.tensor"]
    model = nn.Module()
    model.part = nn.Module()
    model.part.parent = model
    with pytest.raises(ValueError, match="below itself"):
        modules.inventory(model)


def test_repeated_modules_without_weights_are_no_matter():
    act = nn.ReLU()
    assert said(nn.Sequential(act, nn.Linear(2, 2), act)) == []


def test_the_weights_of_a_repeated_module_are_not_told_again():
    layer = nn.Sequential(nn.Linear(2, 2))
    assert said(nn.Sequential(layer, layer)) == ["0 and 1 are one module, with one set of weights."]


@pytest.mark.parametrize(
    ("model", "awake"),
    [
        (nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2), nn.ReLU()), "0 and 1"),
        (nn.Sequential(nn.Dropout(0.0), nn.LayerNorm(2)), None),
        (nn.Sequential(nn.Dropout(1.0), Powers()), "0"),
        (nn.BatchNorm2d(2), "the module"),
        (nn.InstanceNorm1d(2), None),
        (nn.InstanceNorm1d(2, track_running_stats=True), "the module"),
        (nn.LSTM(2, 2, 2, dropout=0.5), "the module"),
        (nn.Sequential(nn.Dropout().eval(), nn.BatchNorm1d(2).eval()), None),
        (hung(parts=[nn.Dropout()]).eval(), "parts[0]"),
    ],
)
def test_who_wants_the_model_in_eval_mode_hears_what_is_not(model, awake):
    found = [each for each in said(model, scoring=True) if "in train mode" in each]
    assert found == ([f"{awake}: in train mode, so call eval() before you score."] if awake else [])


def test_frozen_batch_norms():
    half = nn.BatchNorm1d(2)
    half.bias.requires_grad_(False)
    for model, warned in [
        (nn.BatchNorm1d(2), False),
        (half, False),
        (nn.BatchNorm1d(2).requires_grad_(False), True),
        (nn.BatchNorm1d(2).requires_grad_(False).eval(), False),
        (nn.BatchNorm1d(2, affine=False), False),
        (nn.BatchNorm1d(2, track_running_stats=False).requires_grad_(False), False),
        (nn.LayerNorm(2).requires_grad_(False), False),
    ]:
        assert bool(said(model)) == warned, model


def test_several_devices_are_told():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta"))
    assert said(model) == [
        "The tensors lie on several devices: 0.weight and 0.bias on cpu; 1.weight and 1.bias on meta."
    ]


def test_lazy_and_sparse_tensors():
    assert rows(nn.LazyLinear(3))["weight"].shape is None
    assert "weight  parameter  unknown" in modules.report(modules.inventory(nn.LazyLinear(3)))
    model = hung(table=torch.eye(2).to_sparse())
    assert rows(model)["table"].shape == (2, 2)


def test_torchvision_models_are_looked_through():
    warnings = said(modules.from_torchvision("fasterrcnn_resnet50_fpn"))
    assert warnings[0] == (
        "rpn.anchor_generator.cell_anchors: 5 tensors in a list, which to() and state_dict() pass by: "
        "use register_buffer."
    )
    assert said(modules.from_torchvision("resnet18")) == []
    assert rows(modules.from_torchvision("resnet18"))["conv1.weight"].device.type == "meta"
    assert rows(modules.from_torchvision("regnet_y_400mf"))  # cannot be made on meta


@pytest.mark.parametrize("thing", [3, torch.ones(2), nn.Linear])
def test_what_is_no_module_is_refused(thing):
    with pytest.raises(TypeError, match="a module is wanted"):
        modules.inventory(thing)


def test_a_module_without_registries_is_refused():
    class Early(nn.Module):
        def __init__(self):
            self.mean = torch.ones(1)

    with pytest.raises(ValueError, match="super"):
        modules.inventory(Early())


def test_the_report():
    text = modules.report(modules.examine(modules.CASES["attribute"]())).splitlines()
    assert " ".join(text[0].split()) == "path kind shape dtype device trained moved saved shares"
    assert " ".join(text[1].split()) == "hidden.0.weight parameter 64 x 64 float32 cpu yes yes yes"
    assert " ".join(text[5].split()) == "mean as an attribute 64 float32 cpu no no no"
    assert text[6] == "parameters: 4810 in 4 tensors, 19.2 KB"
    assert text[8:10] == ["beside the tree: 64 in 1 tensor, 256 B", "trained: 4810"]
    assert text[10].startswith("! mean:")
    short = modules.report(modules.inventory(resnet18()), most=5).splitlines()
    assert short[6] == "and 117 more"


def test_units():
    assert [modules.in_units(n) for n in (0, 999, 1000, 1.5e6, 2e9, 3e13)] == [
        "0 B",
        "999 B",
        "1.0 KB",
        "1.5 MB",
        "2.0 GB",
        "30000.0 GB",
    ]


def test_layers_are_taken_together_until_they_fit():
    found = modules.examine(modules.CASES["list"]()).rows
    assert modules.layers(found) == {"head": {"parameters": 2600}, "hidden": {"unregistered": 2 * 4160 * 4}}
    found = modules.inventory(resnet18()).rows
    sizes = modules.layers(found, most=10)
    assert list(sizes) == ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"]
    assert sum(sum(held.values()) for held in sizes.values()) == sum(row.nbytes for row in found)
    assert sizes["bn1"] == {"parameters": 512, "buffers": 520}


def test_bars_show_the_bytes():
    (place,) = modules.draw(modules.examine(modules.CASES["list"]()).rows).axes
    assert [label.get_text() for label in place.get_yticklabels()] == ["head", "hidden"]
    assert [bar.get_width() for bar in place.patches] == [2.6, 0, 0, 33.28]
    assert [text.get_text() for text in place.get_legend().get_texts()] == ["parameters", "unregistered"]
    (place,) = modules.draw(modules.inventory(nn.BatchNorm1d(1000)).rows).axes
    assert [(bar.get_x(), bar.get_width()) for bar in place.patches] == [(0, 8), (8, 8.008)]


def test_all_cases_are_shown(capsys):
    assert modules.main(["--device", "cpu"]) == 0
    out = capsys.readouterr().out
    for case, make in modules.CASES.items():
        assert f"{case}: {make.__doc__}\n    " in out
    assert out.count("    ok\n") == 1


FILE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(2, 2)]

class Early(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(2, 2)

def both():
    net = nn.Linear(2, 2)
    return net, torch.optim.SGD([net.weight])

ready = nn.Dropout()
number = 3

def needs(size):
    return nn.Linear(size, size)
"""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Net", "! layers: 1 module in a list"),
        ("both", "! bias: not in the optimizer"),
        ("ready", "! the module: in train mode"),
    ],
)
def test_a_module_of_a_file(name, shown, tmp_path, capsys):
    (tmp_path / "net.py").write_text(FILE)
    plot = [] if name == "ready" else ["--plot", str(tmp_path / "bytes.png")]
    assert modules.main(["--file", f"{tmp_path / 'net.py'}:{name}", "--eval", "--device", "cpu", *plot]) == 0
    assert shown in capsys.readouterr().out
    assert not plot or (tmp_path / "bytes.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--case", "lost"], "no case 'lost'"),
        (["--case", ""], "no case ''"),
        (["--torchvision", "resnet17"], "no model 'resnet17'"),
        (["--case", "list", "--torchvision", "resnet18"], "choose one"),
        (["--device", "abacus"], "abacus"),
        (["--plot", "bytes.png"], "choose it"),
        (["--case", "list", "--plot", "no/such/folder.png"], "folder.png"),
        (["--case", "list", "--plot", "bytes.xyz"], "xyz"),
        (["--file", "net.py"], "path.py:name"),
        (["--file", "gone.py:Net"], "no file gone.py"),
        (["--file", "net.py:Gone"], "net.py has no Gone"),
        (["--file", "net.py:Early"], "line 12 of net.py raised AttributeError: cannot assign module"),
        (["--file", "net.py:number"], "number is a int, or returns one, and no module"),
        (["--file", "net.py:needs"], "net.py raised TypeError"),
        (["--file", "net.py:ready", "--plot", "bytes.png"], "no tensors"),
        (["--file", "broken.py:Net"], "line 1 of broken.py raised SyntaxError"),
        (["--file", "meta.py:net"], "cannot be moved"),
    ],
)
def test_bad_input_gives_one_sentence(arguments, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    files = {"net.py": FILE, "broken.py": "def", "meta.py": 'import torch\nnet = torch.nn.Linear(1, 1, device="meta")'}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert modules.main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("modules.py: ")
    assert named in err
    assert (out, err.count("\n")) == ("", 1)
    assert {path.name for path in tmp_path.iterdir()} == set(files)

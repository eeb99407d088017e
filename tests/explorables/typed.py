"""Numbers as a reader of the dtype explorable writes them, and what torch makes of them."""

from __future__ import annotations

import ast
import math
import random
import re
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

import torch

INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
FLOATS = ("float8_e4m3fn", "float8_e5m2", "float16", "bfloat16", "float32", "float64")
DTYPES = (*INTEGERS, *FLOATS)
VERSION = tuple(map(int, torch.__version__.split(".")[:2]))

Number = int | float
Outcome = torch.Tensor | str | None
"""A tensor of rank 0, or what torch raised, or None where C leaves a cast undefined."""


def dtype_of(name: str) -> torch.dtype:
    return getattr(torch, name)


def as_python(text: str) -> Number:
    return eval(text, {"inf": math.inf, "nan": math.nan})


def exactly(text: str) -> Fraction | None:
    """What is written, without any rounding, or None for inf and nan."""

    def of(node: ast.expr) -> Fraction:
        if isinstance(node, ast.BinOp):
            left, right = of(node.left), of(node.right)
            match node.op:
                case ast.Add():
                    return left + right
                case ast.Sub():
                    return left - right
                case ast.Mult():
                    return left * right
                case ast.Div():
                    return left / right
                case ast.Pow():
                    return left ** int(right)
        if isinstance(node, ast.UnaryOp):
            return -of(node.operand) if isinstance(node.op, ast.USub) else of(node.operand)
        assert isinstance(node, ast.Constant)
        source = ast.get_source_segment(text, node)
        return Fraction(node.value if isinstance(node.value, int) else source)

    return None if re.search("inf|nan", text) else of(ast.parse(text, mode="eval").body)


def attempt(store) -> Outcome:
    try:
        return store()
    except (RuntimeError, ValueError, OverflowError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def outcomes(number: Number, dtype: str) -> list[Outcome]:
    """What `torch.tensor` and a cast make of a number."""
    source = torch.int64 if isinstance(number, int) else torch.float64
    low, high = (torch.iinfo(dtype_of(dtype)).min, torch.iinfo(dtype_of(dtype)).max) if dtype in INTEGERS else (0, 0)
    made = attempt(lambda: torch.tensor(number, dtype=dtype_of(dtype)))
    if dtype in INTEGERS and isinstance(number, float) and not low - 1 < number < high + 1:
        return [made, None]
    return [made, attempt(lambda: torch.tensor(number, dtype=source).to(dtype_of(dtype)))]


def written(stored: torch.Tensor) -> str:
    """A stored number as Python prints it."""
    return repr(stored.double().item() if stored.is_floating_point() else stored.item())


def pattern(stored: torch.Tensor) -> str:
    size = 8 * stored.itemsize
    views = {8: torch.uint8, 16: torch.int16, 32: torch.int32, 64: torch.int64}
    return f"{stored.view(views[size]).item() % 2**size:0{size}b}"


def ladder(dtype: torch.dtype) -> list[torch.Tensor]:
    """All numbers of a float8, smallest first. A zero is there once."""
    every = torch.arange(256).to(torch.uint8).view(dtype)
    kept = [x for x in every if not x.double().isnan() and pattern(x) != "10000000"]
    return sorted(kept, key=lambda x: x.double().item())


LADDERS = {dtype: ladder(dtype_of(dtype)) for dtype in FLOATS if dtype.startswith("float8")}


def neighbour(stored: torch.Tensor, direction: int) -> torch.Tensor | None:
    """The next number of the dtype below (-1) or above (1), if there is one."""
    name = str(stored.dtype).removeprefix("torch.")
    if name in INTEGERS:
        n, info = stored.item() + direction, torch.iinfo(stored.dtype)
        return torch.tensor(n, dtype=stored.dtype) if info.min <= n <= info.max else None
    if name in LADDERS:
        values = [x.double().item() for x in LADDERS[name]]
        at = values.index(stored.double().item()) + direction
        if not 0 <= at < len(values):
            return None
        is_minus_zero = values[at] == 0 and stored.double() < 0
        return torch.tensor(-0.0, dtype=stored.dtype) if is_minus_zero else LADDERS[name][at]
    other = torch.nextafter(stored, torch.full_like(stored, direction * math.inf))
    return None if other == stored else other


def place(stored: torch.Tensor) -> Fraction:
    """Where a stored number stands on the number line: inf where the next number would be."""
    value = stored.double().item() if stored.is_floating_point() else stored.item()
    if not math.isinf(value):
        return Fraction(value)
    last = neighbour(stored, -1 if value > 0 else 1)
    assert last is not None
    before = neighbour(last, -1 if value > 0 else 1)
    assert before is not None
    return 2 * place(last) - place(before)


def last(stored: torch.Tensor) -> str:
    """The number at the end of the dtype on this side of zero."""
    return repr(math.copysign(torch.finfo(stored.dtype).max, stored.double().item()))


def explanation(text: str, stored: torch.Tensor, is_cast: bool) -> str:
    """The words of the explorable about a number that was stored, found out by exact arithmetic on what torch did."""
    number, exact = as_python(text), exactly(text)
    value = stored.double().item() if stored.is_floating_point() else stored.item()
    if not stored.is_floating_point():
        if math.trunc(number) != value:
            turns, rest = divmod(math.trunc(number) - value, 2 ** (8 * stored.itemsize))
            assert rest == 0
            step = f"{abs(turns)} * " if abs(turns) != 1 else ""
            sign = "-" if turns > 0 else "+"
            return f"Wrapped around: {math.trunc(number)} {sign} {step}{2 ** (8 * stored.itemsize)} = {value}."
        if number != value:
            return "What stands behind the point is cut off."
        if exact != value:
            return "Python rounded it to a float before."
        return minus_zero(text) or "Exactly."
    if math.isnan(number):
        return "nan stands for no number."
    if stored.dtype == torch.float8_e4m3fn and is_past_e4m3fn(number):
        return f"Too far past the last number, {last(stored)}, and this dtype has no inf."
    if math.isinf(number):
        return "inf stays inf." if exact is None else "Past the largest float64: Python makes it inf."
    if math.isinf(value):
        return f"Too far past the last number, {last(stored)}."
    if minus_zero(text):
        return minus_zero(text)
    assert exact is not None
    if exact == Fraction(value):
        return "Exactly."
    candidates = [x for x in (neighbour(stored, -1), stored, neighbour(stored, 1)) if x is not None]
    distances = [abs(place(x) - exact) for x in candidates]
    nearest = [x for x, distance in zip(candidates, distances, strict=True) if distance == min(distances)]
    if not any(x is stored for x in nearest) or (len(nearest) == 2 and pattern(stored)[-1] == "1"):
        other = next(x for x in nearest if x is not stored)
        name = str(stored.dtype).removeprefix("torch.")
        stations = [] if is_cast and isinstance(number, int) else ["float64"]
        stations += ["float32"] if stored.itemsize < 4 else []
        before = " and ".join(station for station in stations if station != name)
        why = f"It was rounded to {before} before." if before else "Python rounded before."
        return f"Not the nearest, which is {written(other)}. {why}"
    if value == 0:
        return "Too close to 0."
    tie = "Halfway between two numbers. The one whose last bit is 0 is stored."
    return tie if len(nearest) == 2 else "Rounded to the nearest."


def minus_zero(text: str) -> str:
    number = as_python(text)
    is_int = isinstance(number, int) and number == 0 and text.startswith("-")
    return "The int -0 has no sign. Write -0.0 for a float." if is_int else ""


def earlier(text: str, dtype: str, is_cast: bool) -> str:
    """Where the explorable says that an older torch did something else."""
    number = as_python(text)
    if dtype == "float8_e4m3fn" and is_past_e4m3fn(number):
        return "Up to torch 2.12 it became nan."
    if dtype in INTEGERS and isinstance(number, float) and not is_cast:
        end = torch.iinfo(dtype_of(dtype)).max
        if end < number < end + 1:
            return "Up to torch 2.13 this raised."
        if dtype == "int64" and number == end + 1:
            return "Up to torch 2.13 it did not raise."
    return ""


def as_today(outcome: Outcome, note: str, number: Number, dtype: str) -> Outcome:
    """What the newest torch makes of a number, where the one at hand is older and did what the note says."""
    if VERSION < (2, 13) and "2.12" in note:
        assert isinstance(outcome, torch.Tensor)
        assert outcome.isnan()
        return torch.tensor(math.copysign(448, number), dtype=dtype_of(dtype))
    if VERSION < (2, 14) and note.endswith("this raised."):
        assert isinstance(outcome, str)
        return torch.tensor(math.trunc(number), dtype=dtype_of(dtype))
    if VERSION < (2, 14) and note.endswith("did not raise."):
        assert isinstance(outcome, torch.Tensor)
        return f"RuntimeError: value cannot be converted to type {dtype} without overflow"
    return outcome


def is_past_e4m3fn(number: Number) -> bool:
    """464 lies halfway to 480, which would be the next number, and falls back to 448, the even one."""
    return not math.isnan(number) and bool(torch.tensor(float(number)).abs() > 464)


def three_digits(x: Fraction) -> str:
    """As the explorable writes an error: a small whole number as it is, everything else with three digits."""
    if x.denominator == 1 and abs(x) < 10**6:
        return str(x)
    context = Context(prec=2500, Emin=-9999, Emax=9999)
    exact = context.divide(Decimal(x.numerator), Decimal(x.denominator))
    rounded = Context(prec=3, rounding=ROUND_HALF_UP, Emin=-9999, Emax=9999).plus(exact)
    sign, digits, exponent = rounded.normalize().as_tuple()
    power = len(digits) - 1 + int(exponent)
    if not -4 <= power < 16:
        mantissa = "".join(map(str, digits))
        mantissa = mantissa[0] + ("." + mantissa[1:] if len(mantissa) > 1 else "")
        return f"{'-' * sign}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return f"{rounded.normalize():f}"


def all_digits(value: float) -> str:
    """Every decimal digit of a float."""
    digits = f"{Decimal(value):f}"
    return digits if "." in digits else f"{digits}.0"


# Random numbers


def random_number(chooser: random.Random, dtype: str) -> str:
    """A number as a reader might write it, often close to where a dtype does something else."""
    how = chooser.random()
    if how < 0.05:
        return chooser.choice(["inf", "-inf", "nan", "nan", "-0.0", "-0", "0", "0.0", "1e400", "-1e-400"])
    if how < 0.15:
        return expression(chooser)
    if how < 0.3 or dtype in INTEGERS:
        return near_an_integer(chooser)
    return near_a_float(chooser, dtype)


def expression(chooser: random.Random) -> str:
    def part() -> str:
        written = [f"{chooser.uniform(0, 9):.{chooser.randint(0, 4)}f}", str(chooser.randint(0, 300))]
        return chooser.choice([*written, f"2**{chooser.randint(-40, 70)}", hex(chooser.randint(0, 2**20))])

    left, right, third = part(), part(), part()
    text = f"{left} {chooser.choice('+-*')} {right}"
    if float(as_python(third)):
        text = chooser.choice([text, f"({text}) / {third}", f"-({text})", f"{text} - {third}"])
    return text


def near_an_integer(chooser: random.Random) -> str:
    """A whole number or one that is nearly whole: close to the end of a dtype, or of any size."""
    ends = [sign * 2**power for power in (0, 7, 8, 11, 15, 16, 24, 31, 32, 53, 63) for sign in (1, -1)]
    n = chooser.choice(ends) + chooser.randint(-3, 3)
    if chooser.random() < 0.4:
        n = chooser.choice([1, -1]) * chooser.getrandbits(chooser.randint(1, 66))
    behind = chooser.choice(["", "", ".0", ".5", ".9", ".25", ".999999"])
    sign = "-" if n < 0 else ""
    return f"{sign}{abs(n)}{behind}"


def near_a_float(chooser: random.Random, dtype: str) -> str:
    """A number of any size a dtype has, or past it; of the dtype itself, or halfway between two, or next to that."""
    info = torch.finfo(dtype_of(dtype))
    lowest, highest = math.log2(info.tiny) - 12, math.log2(info.max) + 2
    if chooser.random() < 0.3:
        size = math.pow(2, chooser.uniform(max(lowest, -1060), min(highest, 1020)))
        return f"{chooser.choice([1, -1]) * size:.{chooser.randint(0, 17)}e}"
    bits = {"float8_e4m3fn": 3, "float8_e5m2": 2, "float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}[dtype]
    exponent = chooser.randint(int(lowest), int(highest) + 1) - bits
    digits = 2 * chooser.randrange(2**bits, 2 ** (bits + 1)) + chooser.choice([0, 1, 1])
    nudge = chooser.choice(["", "", f" + 2**{exponent - 14}", f" - 2**{exponent - 30}", f" + 2**{exponent - 45}"])
    sign = chooser.choice(["", "-"])
    exact = f"{digits} * 2**{exponent - 1}"
    return (
        f"{sign}{exact}{nudge}" if -1070 < exponent < 900 else f"{sign}{digits} * 2**{max(min(exponent, 900), -1074)}"
    )

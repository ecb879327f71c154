"""Options to YAML and back; every mistake is named with its key."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import pytest
import yaml

from anyview.errors import FormatError, OptionError
from anyview.reconstruction.options import ReconstructionOptions
from anyview.training.config import from_yaml, to_yaml, with_values
from anyview.training.options import LoopOptions


@dataclass(frozen=True)
class Grid:
    """Where features lie."""

    levels: int = 16
    """How many grids."""
    kind: Literal["hash", "dense", 3] = "hash"
    """Of storage."""
    scales: tuple[float, ...] = (1.0, 2.0)


@dataclass(frozen=True)
class Base:
    name: str = "field"
    """What it is called."""


@dataclass(frozen=True)
class Options(Base):
    """Everything."""

    steps: int = 100
    """How long. A note that is longer than one line is wrapped, because a comment that runs out of the window is one
    that nobody reads, whatever it says about the option."""
    rate: float = 1e-3
    """Of learning."""
    minutes: float | None = None
    box: tuple[int, int, str] | None = None
    """Corners."""
    fast: bool = False
    grid: Grid = field(default_factory=Grid)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rate > self.steps:
            raise OptionError("option out of range", where="steps")


CASES = [
    Options(),
    Options(name="no", rate=1e-30, minutes=float("inf"), box=(1, -2, "null"), fast=True, grid=Grid(1, 3, ())),
    Options(name="a: b # c\nd 'e' \"f\"", rate=1e22, steps=10**25, minutes=0.1 + 0.2, grid=Grid(scales=(1e-7, 3.0))),
    Options(name=""),
    Options(name="1e-3"),
    Options(name="  "),
]


@pytest.mark.parametrize("options", CASES)
def test_the_same_comes_back(options: Options) -> None:
    assert from_yaml(Options, to_yaml(options), "x.yaml") == options


@pytest.mark.parametrize("options", [ReconstructionOptions(), LoopOptions(), LoopOptions(max_minutes=3)])
def test_the_projects_own_options_come_back(options: ReconstructionOptions | LoopOptions) -> None:
    assert from_yaml(type(options), to_yaml(options), "x.yaml") == options


def test_how_it_looks() -> None:
    assert to_yaml(Options(box=(1, 2, "x"))) == (
        "# What it is called.\n"
        "name: field\n"
        "# How long. A note that is longer than one line is wrapped, because a comment that runs out of the window is "
        "one that\n"
        "# nobody reads, whatever it says about the option.\n"
        "steps: 100\n"
        "# Of learning.\n"
        "rate: 0.001\n"
        "minutes: null\n"
        "# Corners.\n"
        "box: [1, 2, x]\n"
        "fast: false\n"
        "# Where features lie.\n"
        "grid:\n"
        "  # How many grids.\n"
        "  levels: 16\n"
        "  # Of storage.\n"
        "  kind: hash\n"
        "  scales: [1.0, 2.0]\n"
    )


def test_what_is_left_out_keeps_its_default_and_numbers_are_numbers() -> None:
    found = from_yaml(Options, "rate: 1e-5\nminutes: 3\ngrid: {scales: [1, 1e2]}", "x.yaml")
    assert found == Options(rate=1e-5, minutes=3.0, grid=Grid(scales=(1.0, 100.0)))
    assert [type(x) for x in (found.rate, found.minutes, *found.grid.scales)] == [float] * 4


ALL = "name, steps, rate, minutes, box, fast, grid"
GROUP = "keys and values: levels, kind, scales"
BAD = {
    "grid: {}\nstep: 3": f"no such option in x.yaml: expected one of {ALL}, found step; did you mean `steps`?",
    "grid: {level: 3}": "no such option in x.yaml: expected one of grid.levels, grid.kind, grid.scales, found "
    "grid.level; did you mean `grid.levels`?",
    "grid: {}\n17: 3": f"no such option in x.yaml: expected one of {ALL}, found 17",
    "steps: 3": f"the group `grid` is missing in x.yaml: expected {GROUP}",
    "grid:": f"`grid` is no group of options in x.yaml: expected {GROUP}, found nothing",
    "grid: 3": f"`grid` is no group of options in x.yaml: expected {GROUP}, found 3",
    "": f"no options in x.yaml: expected keys and values: {ALL}, found nothing",
    "- 1": f"no options in x.yaml: expected keys and values: {ALL}, found [1]",
    "grid: {kind: sparse}": "wrong value of `grid.kind` in x.yaml: expected one of hash, dense, 3, found 'sparse'",
    "grid: {kind: 3.0}": "wrong value of `grid.kind` in x.yaml: expected one of hash, dense, 3, found 3.0",
    "grid: {kind: [hash]}": "wrong value of `grid.kind` in x.yaml: expected one of hash, dense, 3, found ['hash']",
    "grid: {levels: 2.5}": "wrong value of `grid.levels` in x.yaml: expected a whole number, found 2.5",
    "grid: {levels: true}": "wrong value of `grid.levels` in x.yaml: expected a whole number, found True",
    "grid: {levels: null}": "wrong value of `grid.levels` in x.yaml: expected a whole number, found nothing",
    "grid: {scales: 3}": "wrong value of `grid.scales` in x.yaml: expected [a number, ...], found 3",
    "grid: {scales: [1, x]}": "wrong value of `grid.scales[1]` in x.yaml: expected a number, found 'x'",
    "rate: fast": "wrong value of `rate` in x.yaml: expected a number, found 'fast'",
    "rate: true": "wrong value of `rate` in x.yaml: expected a number, found True",
    "fast: 1": "wrong value of `fast` in x.yaml: expected true or false, found 1",
    "name: 3": "wrong value of `name` in x.yaml: expected text, found 3",
    "minutes: soon": "wrong value of `minutes` in x.yaml: expected a number or null, found 'soon'",
    "box: [1, 2]": "wrong value of `box` in x.yaml: expected [a whole number, a whole number, text] or null, "
    "found [1, 2]",
    "steps: 0\ngrid: {}": "option out of range in steps",
}


@pytest.mark.parametrize("text", BAD)
def test_mistakes(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        from_yaml(Options, text, "x.yaml")
    assert str(caught.value) == BAD[text]


@pytest.mark.parametrize("text", ["a: [", "a: !!python/object/apply:os.getcwd []", "\tx", "a: b: c"])
def test_what_is_no_yaml_or_more_than_plain_values(text: str) -> None:
    with pytest.raises(FormatError, match=r"^not YAML in x\.yaml: found "):
        from_yaml(Options, text, "x.yaml")


def test_an_option_without_a_default_is_asked_for() -> None:
    @dataclass(frozen=True)
    class Needs:
        count: int

    with pytest.raises(OptionError, match=r"^the option `count` is missing in x\.yaml: expected a whole number$"):
        from_yaml(Needs, "{}", "x.yaml")


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (["steps=5"], Options(steps=5)),
        (["grid.levels=8", "steps=7", "grid.kind=dense"], Options(steps=7, grid=Grid(levels=8, kind="dense"))),
        (["rate=1e-4"], Options(rate=1e-4)),
        (["minutes=2", "minutes=null"], Options()),
        (["name=yes"], Options(name="yes")),
        (["name=a=b: c"], Options(name="a=b: c")),
        (["name=12"], Options(name="12")),
        (["grid.scales=[3, 4]"], Options(grid=Grid(scales=(3.0, 4.0)))),
        (["grid.kind=3"], Options(grid=Grid(kind=3))),
        (["box=[1, 2, x]"], Options(box=(1, 2, "x"))),
        (["fast=true"], Options(fast=True)),
        (["rate=2000", "steps=3000"], Options(rate=2000, steps=3000)),  # only together are they allowed
        ([], Options()),
    ],
)
def test_settings(settings: list[str], wanted: Options) -> None:
    assert with_values(Options(), settings) == wanted


def test_settings_leave_the_rest_alone() -> None:
    options = Options(name="x", grid=Grid(levels=2), box=(1, 2, "3"))
    assert with_values(options, ["grid.kind=dense"]) == replace(options, grid=Grid(levels=2, kind="dense"))


BAD_SETTINGS = {
    "steps": "a setting without a value in --set steps: expected --set KEY=VALUE",
    "grid.level=3": "no such option in --set grid.level=3: expected one of grid.levels, grid.kind, grid.scales, found "
    "grid.level; did you mean `grid.levels`?",
    "grad.levels=3": f"no such option in --set grad.levels=3: expected one of {ALL}, found grad; did you mean `grid`?",
    "grid=3": "`grid` is a group of options in --set grid=3: expected one of grid.levels, grid.kind, grid.scales",
    "steps.x=3": "`steps` is no group of options in --set steps.x=3: expected a whole number",
    "steps=many": "wrong value of `steps` in --set steps=many: expected a whole number, found 'many'",
    "steps=": "wrong value of `steps` in --set steps=: expected a whole number, found nothing",
    "fast=[": "wrong value of `fast` in --set fast=[: expected true or false, found '['",
    "steps=0": "option out of range in steps",
}


@pytest.mark.parametrize("setting", BAD_SETTINGS)
def test_bad_settings(setting: str) -> None:
    with pytest.raises(OptionError) as caught:
        with_values(Options(), [setting])
    assert str(caught.value) == BAD_SETTINGS[setting]


def test_classes_made_at_run_time_have_no_notes() -> None:
    scope: dict[str, object] = {}
    exec("from dataclasses import dataclass\n@dataclass\nclass Made:\n    a: int = 1\n    'note'", scope)
    assert yaml.safe_load(to_yaml(scope["Made"]())) == {"a": 1}  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("steps", 0, "1 or more"),
        ("keep", 0, "1 or more"),
        ("save_every_seconds", -1.0, "0 or more"),
        ("max_minutes", 0.0, "above 0"),
        ("max_minutes", float("nan"), "above 0"),
    ],
)
def test_the_loops_options_have_limits(name: str, value: float, limit: str) -> None:
    with pytest.raises(OptionError) as caught:
        LoopOptions(**{name: value})
    assert str(caught.value) == f"option out of range in {name}: expected {limit}, found {value}"

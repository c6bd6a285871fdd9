"""Level databases: what was written is what is read, where it lies."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.errors import ConfigError, RunError

torch = pytest.importorskip("torch")
from problems.evopress.database import Database, LayerLevels, Level, write_block  # noqa: E402

torch.set_num_threads(1)
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def block(number: int, shapes: list[tuple[int, int]], dtype: torch.dtype = torch.float32, levels: int = 3) -> dict:
    """The arguments of `write_block` for one block of made-up weights."""
    layers = [LayerLevels(f"{number}.layer{i}", shape, (*range(levels),), 1) for i, shape in enumerate(shapes)]
    rng = np.random.default_rng(number)
    weights = [
        (torch.from_numpy(rng.normal(size=layer.shape)).to(dtype), float(rng.random()))
        for layer in layers
        for _ in layer.zeros
    ]
    return {"block": number, "layers": layers, "levels": weights, "dtype": dtype, "digest": f"made of {number}"}


def content(made: dict) -> bytes:
    file = io.BytesIO()
    write_block(file, **made)
    return file.getvalue()


@given(
    shapes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=4),
    dtype=st.sampled_from(DTYPES),
    levels=st.integers(1, 4),
)
@settings(deadline=None, max_examples=40)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, int]], dtype: torch.dtype, levels: int
) -> None:
    made = block(7, shapes, dtype, levels)
    path = tmp_path_factory.mktemp("levels") / "7.safetensors"
    path.write_bytes(content(made))
    for database in (Database.open(path), Database.open(content(made))):
        assert database.layers == tuple(layer.name for layer in made["layers"])
        assert database.digests == ("made of 7",)
        rest = iter(made["levels"])
        for layer in made["layers"]:
            assert database.about(layer.name) == layer
            assert database.uniform(layer.name) == 1
            found = [(database.weight(layer.name, i), error) for i, error in enumerate(database.errors(layer.name))]
            expected = [next(rest) for _ in layer.zeros]
            assert database.levels(layer.name) == tuple(Level(i, error) for i, (_, error) in enumerate(expected))
            for (weight, error), (wanted, wanted_error) in zip(found, expected, strict=True):
                assert weight.dtype == dtype
                assert torch.equal(weight, wanted)
                assert error == wanted_error


def test_other_tools_open_the_file(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    made = block(0, [(3, 5), (1, 1)], torch.float16)
    (tmp_path / "0.safetensors").write_bytes(content(made))
    found = safetensors.load_file(tmp_path / "0.safetensors")
    assert set(found) == {f"0.layer{i}/{level}" for i in range(2) for level in (0, 1, 2, "errors")}
    assert torch.equal(found["0.layer1/2"], made["levels"][-1][0])
    assert found["0.layer1/errors"].tolist() == [error for _, error in made["levels"][3:]]


def mapping(path: Path) -> tuple[int, int, int]:
    """First and last address of this process's mapping of a file, and how many of its bytes are in memory."""
    text = Path("/proc/self/smaps").read_text()
    found = re.search(rf"^([0-9a-f]+)-([0-9a-f]+) .* {re.escape(str(path))}\n(?:.*\n)*?Rss: +(\d+) kB", text, re.M)
    assert found
    return int(found[1], 16), int(found[2], 16), 1024 * int(found[3])


def test_a_weight_lies_in_the_file_and_opening_reads_the_header_only(tmp_path: Path) -> None:
    path = tmp_path / "0.safetensors"
    path.write_bytes(content(block(0, [(1024, 1024)] * 2, levels=4)))
    database = Database.open(path)
    first, last, resident = mapping(path)
    size = path.stat().st_size
    assert size > 32 << 20
    assert resident < size / 8
    weight = database.weight("0.layer1", 3)
    assert first <= weight.data_ptr() < weight.data_ptr() + 4 * weight.numel() <= last
    assert database.weight("0.layer1", 3).data_ptr() == weight.data_ptr()
    assert mapping(path)[2] < size / 8
    weight.sum()
    assert mapping(path)[2] >= 4 << 20


def test_weights_outlive_their_database_and_file(tmp_path: Path) -> None:
    made = block(0, [(64, 64)])
    (tmp_path / "levels").write_bytes(content(made))
    weight = Database.open(tmp_path / "levels").weight("0.layer0", 2)
    os.unlink(tmp_path / "levels")
    assert torch.equal(weight, made["levels"][2][0])


def test_writing_into_a_weight_never_reaches_the_file(tmp_path: Path) -> None:
    (tmp_path / "levels").write_bytes(content(block(0, [(8, 8)])))
    before = (tmp_path / "levels").read_bytes()
    weight = Database.open(tmp_path / "levels").weight("0.layer0", 0)
    weight.zero_()
    assert (tmp_path / "levels").read_bytes() == before
    assert not torch.equal(Database.open(tmp_path / "levels").weight("0.layer0", 0), weight)


def test_blocks_come_in_the_order_of_the_model_whatever_their_files_are_called(tmp_path: Path) -> None:
    for number, name in [(10, "a"), (2, "b"), (0, "c")]:
        (tmp_path / f"{name}.safetensors").write_bytes(content(block(number, [(2, 2)] * 2)))
    names = tuple(f"{number}.layer{i}" for number in (0, 2, 10) for i in range(2))
    assert Database.open(tmp_path).layers == names
    database = Database.open([tmp_path / "a.safetensors", content(block(2, [(2, 2)] * 2)), f"{tmp_path}/c.safetensors"])
    assert database.layers == names
    assert database.digests == ("made of 0", "made of 2", "made of 10")


def test_a_weight_that_does_not_fit_its_layer_is_refused() -> None:
    made = block(0, [(4, 4)] * 2)
    made["levels"][-1] = (torch.zeros(4, 5), 0.0)
    with pytest.raises(ConfigError, match=r"0.layer1 is \(4, 4\) of torch.float32, got \(4, 5\)"):
        content(made)


def test_what_is_no_level_file_is_refused(tmp_path: Path) -> None:
    good = content(block(0, [(4, 4)]))
    other = (2).to_bytes(8, "little") + b"{}"
    for number, bad in enumerate([b"", b"x", b"not a file of levels", good[:20], good[:-1], good + b"x", other]):
        path = tmp_path / str(number)
        path.write_bytes(bad)
        with pytest.raises(RunError, match=f"levels in {re.escape(str(path))}: "):
            Database.open(path)
        with pytest.raises(RunError, match="levels in memory: "):
            Database.open(bad)
    with pytest.raises(RunError, match="cannot be opened"):
        Database.open(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="no files"):
        Database.open(tmp_path / "empty")


def test_unknown_layers_levels_and_dtypes_are_named() -> None:
    made = content(block(0, [(4, 4)]))
    database = Database.open(made)
    with pytest.raises(ConfigError, match=r"no layer 'x'; there are 0\.layer0"):
        database.weight("x", 0)
    for level in (-1, 3):
        with pytest.raises(ConfigError, match=f"has levels 0 to 2, got {level}"):
            database.weight("0.layer0", level)
    with pytest.raises(ConfigError, match="in two of the files"):
        Database.open([made, made])
    with pytest.raises(ConfigError, match="expected a dtype among"):
        write_block(io.BytesIO(), **{**block(0, [(4, 4)]), "dtype": torch.int64})

"""Building level databases from small random models of two families."""

from __future__ import annotations

import io
import itertools
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evo
from evo.errors import ConfigError, EvaluationError
from evo.operator import Operator

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from problems.evopress.builder import BuildLevels  # noqa: E402
from problems.evopress.database import Database  # noqa: E402
from problems.evopress.inputs import gram_matrices  # noqa: E402
from problems.evopress.model import Compressible  # noqa: E402
from problems.evopress.pruning import METHODS, output_error, prune  # noqa: E402

torch.set_num_threads(1)
TOKENS = np.random.default_rng(0).integers(0, 256, (5, 12))
PLAN: dict[str, Any] = {"sparsity": 0.6, "step": 20, "most": 3, "batch": 2}


def llama() -> Any:
    return transformers.LlamaConfig(
        vocab_size=256,
        hidden_size=16,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=1,
        max_position_embeddings=64,
    )


def gpt2() -> Any:
    return transformers.GPT2Config(vocab_size=256, n_embd=16, n_layer=3, n_head=2, n_positions=64)


@pytest.fixture(scope="module", params=[llama, gpt2])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random model on the disk, with weights large enough for its layers to differ."""
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_config(request.param())
    for parameter in model.parameters():
        parameter.data *= 3 if parameter.ndim == 2 else 1
    path = tmp_path_factory.mktemp(request.param.__name__)
    model.save_pretrained(path)
    return str(path)


@pytest.fixture
def model(folder: str) -> Compressible:
    return Compressible.load(folder)


def content(builder: BuildLevels, block: int) -> bytes:
    """The file of one block."""
    file = io.BytesIO()
    builder.build(block, file)
    return file.getvalue()


def seen_inputs(model: Compressible) -> dict[str, torch.Tensor]:
    """layer name -> (positions, in) everything that goes into it, in one pass through the whole model."""
    found: dict[str, torch.Tensor] = {}
    hooks = [
        layer.module.register_forward_hook(lambda _, given, __, name=layer.name: found.update({name: given[0]}))
        for layer in model.layers
    ]
    model.logits(TOKENS)
    for hook in hooks:
        hook.remove()
    return {name: inputs.flatten(0, 1).double() for name, inputs in found.items()}


def test_gram_matrices_are_those_of_the_dense_models_inputs(model: Compressible) -> None:
    expected = {name: inputs.T @ inputs for name, inputs in seen_inputs(model).items()}
    model.set_weight(model.layers[0].name, torch.zeros(model.layers[0].shape))  # what lies there before is of no matter
    found = gram_matrices(model, TOKENS, [0, 1, 2], batch=2)
    assert list(found) == [layer.name for layer in model.layers]
    for layer in model.layers:
        scale = float(expected[layer.name].diagonal().max())
        torch.testing.assert_close(found[layer.name], expected[layer.name], rtol=1e-4, atol=1e-5 * scale)


def test_a_layer_gets_the_same_bits_whichever_blocks_are_asked_for(model: Compressible) -> None:
    everything = gram_matrices(model, TOKENS, range(3))
    for blocks in ([0], [1], [2], [0, 2]):
        some = gram_matrices(model, TOKENS, blocks)
        assert list(some) == [layer.name for layer in model.layers if layer.block in blocks]
        for name, gram in some.items():
            assert torch.equal(gram, everything[name])


def test_blocks_behind_the_last_one_wanted_do_not_run(model: Compressible) -> None:
    ran: list[int] = []
    for layer in model.layers:
        layer.module.register_forward_hook(lambda *_, block=layer.block: ran.append(block))
    gram_matrices(model, TOKENS, [1])
    assert set(ran) == {0, 1}
    before = len(model.layers[-1].module._forward_pre_hooks)
    model.logits(TOKENS)
    assert set(ran) == {0, 1, 2}
    assert before == 0


@pytest.mark.parametrize("method", METHODS)
def test_each_level_is_the_dense_weight_pruned_to_its_count(model: Compressible, method: str) -> None:
    dense = model.logits(TOKENS)
    builder = BuildLevels(model, TOKENS, method, **PLAN)
    database = Database.open([content(builder, block) for block in range(3)])
    grams = gram_matrices(model, TOKENS, range(3), batch=2)
    assert database.layers == tuple(layer.name for layer in model.layers)
    for layer in model.layers:
        about, w = database.about(layer.name), model.weight(layer.name)
        middle = round(0.6 * layer.size)
        assert about.shape == layer.shape
        assert about.zeros[about.uniform] == middle
        assert [zeros - middle for zeros in about.zeros] == [
            20 * level for level in range(-3, 4) if 0 <= middle + 20 * level <= layer.size
        ]
        expected = prune(method, w, grams[layer.name], about.zeros)
        for level, (entry, wanted) in enumerate(zip(database.levels(layer.name), expected, strict=True)):
            found = database.weight(layer.name, level)
            assert torch.equal(found, wanted)
            assert (found == 0).sum() == entry.zeros == about.zeros[level]
            assert entry.error == output_error(w, found, grams[layer.name]) > 0
    assert torch.equal(model.logits(TOKENS), dense)


def test_a_level_is_used_where_it_lies(model: Compressible) -> None:
    dense = model.logits(TOKENS)
    database = Database.open([content(BuildLevels(model, TOKENS, **PLAN), block) for block in range(3)])
    assignment = {name: database.uniform(name) for name in database.layers}
    assert model.apply(assignment, database.weight) == len(model.layers)
    for layer in model.layers:
        there = layer.module.get_parameter("weight").data_ptr()
        assert there == database.weight(layer.name, assignment[layer.name]).data_ptr()
    assert not torch.equal(model.logits(TOKENS), dense)


def test_one_level_more_here_and_one_less_there_keep_the_total(model: Compressible) -> None:
    builder = BuildLevels(model, TOKENS, "magnitude", **PLAN)
    database = Database.open([content(builder, block) for block in range(3)])
    levels = {name: database.uniform(name) for name in database.layers}
    total = sum(database.about(name).zeros[level] for name, level in levels.items())
    assert len({database.about(name).shape for name in levels}) > 1
    for here, there in itertools.permutations(levels, 2):
        changed = {**levels, here: levels[here] + 1, there: levels[there] - 1}
        assert sum(int((database.weight(name, level) == 0).sum()) for name, level in changed.items()) == total


def test_obs_keeps_more_of_the_output_than_the_others(model: Compressible) -> None:
    lost = {}
    for method in METHODS:
        built = [content(BuildLevels(model, TOKENS, method, **PLAN), block) for block in range(3)]
        database = Database.open(built)
        lost[method] = np.mean([database.errors(name)[database.uniform(name)] for name in database.layers])
    assert lost["obs"] < 0.9 * min(lost["magnitude"], lost["wanda"])


def test_a_file_has_the_same_bits_whoever_builds_it(folder: str) -> None:
    first = BuildLevels(folder, TOKENS, **PLAN)
    expected = [content(first, block) for block in range(3)]
    frugal = pickle.loads(pickle.dumps(BuildLevels(folder, TOKENS, memory=0, **PLAN)))
    torch.set_num_threads(2)
    try:
        found = {block: content(frugal, block) for block in (2, 0, 1)}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert [found[block] for block in range(3)] == expected
    assert content(first, 1) == expected[1]
    assert content(pickle.loads(pickle.dumps(first)), 2) == expected[2]
    assert len(pickle.dumps(first)) < len(pickle.dumps(frugal)) + 1000 < 20_000


def test_the_digest_follows_what_a_file_is_built_from(model: Compressible) -> None:
    changes = [{}, {"damping": 0.02}, {"sparsity": 0.5}, {"method": "wanda"}, {"store": "float16"}]
    built = [content(BuildLevels(model, TOKENS, **{**PLAN, **changed}), 0) for changed in changes]
    built.append(content(BuildLevels(model, TOKENS[:4], **PLAN), 0))
    digests = [Database.open(made).digests for made in built]
    assert len(set(digests)) == len(digests)


def test_levels_are_stored_as_asked_for_with_exact_counts(model: Compressible) -> None:
    for store in ("float16", "bfloat16", "float32"):
        database = Database.open(content(BuildLevels(model, TOKENS, store=store, **PLAN), 1))
        for name in database.layers:
            for level, entry in enumerate(database.levels(name)):
                assert database.weight(name, level).dtype == getattr(torch, store)
                assert (database.weight(name, level) == 0).sum() == entry.zeros


class Levelled(evo.Problem):
    """Levels of three layers, measured by the zeros that the weights themselves hold."""

    space = evo.Integers(0, 3, size=3)
    objectives = (evo.Maximize("zeros"),)

    def __init__(self, folder: str) -> None:
        self.folder = folder

    @property
    def operators(self) -> Mapping[str, Operator]:
        return {"build_levels": BuildLevels(self.folder, TOKENS, **PLAN)}

    def prepare(self) -> Sequence[evo.Requests]:
        return [evo.Requests(make="build_levels", args=[{"block": block} for block in range(3)], fidelity=evo.BORN)]

    def needs(self, fidelity: str, artifacts: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(artifacts[f"levels/{block}"] for block in range(3)) if fidelity == "full" else ()

    def evaluate(self, genome: Any, work: evo.Work) -> evo.Evaluation:
        database = Database.open(work.needed())
        zeros = [
            int((database.weight(name, int(level)) == 0).sum())
            for name, level in zip(database.layers, genome, strict=False)
        ]
        return evo.Evaluation([sum(zeros)])


def test_a_search_builds_its_levels_first_and_reads_them(folder: str, tmp_path: Path) -> None:
    run = evo.search(Levelled(folder), evo.Random(), evaluations=8, seed=1, run_dir=tmp_path / "run")
    names = Database.open([content(BuildLevels(folder, TOKENS, **PLAN), 0)])
    expected = sum(names.about(name).zeros[int(run.best.genome[i])] for i, name in enumerate(names.layers[:3]))
    assert run.best.objectives["zeros"] == expected
    assert set(run.artifacts) == {"levels/0", "levels/1", "levels/2"}
    layers = len(Compressible.load(folder).layers)
    assert 3 * layers < run.counters["levels"] <= 7 * layers


def test_what_cannot_be_built_is_named(model: Compressible) -> None:
    builder = BuildLevels(model, TOKENS, **PLAN)
    for block in (-1, 3):
        with pytest.raises(ConfigError, match="expected some of 0 to 2"):
            content(builder, block)
    broken = model.layers[1]
    model._dense[broken.name].data[0, 0] = float("nan")
    with pytest.raises(EvaluationError, match=f"{broken.name}: weights or inputs"):
        content(BuildLevels(model, TOKENS, **PLAN), 0)
    for wrong in ({"method": "x"}, {"store": "int8"}, {"damping": 0.0}, {"threads": 0}, {"step": 0}, {"sparsity": 2.0}):
        with pytest.raises(ConfigError):
            BuildLevels(model, TOKENS, **{**PLAN, **wrong})
    with pytest.raises(ConfigError, match="expected tokens"):
        gram_matrices(model, TOKENS[0], [0])

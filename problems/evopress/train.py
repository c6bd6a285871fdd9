"""Trains the small byte-level language model that this world compresses by default, on the corpus of `text`.

    python -m problems.evopress.train --out DIR --minutes 40

It needs `torch` and `transformers`. Started again with the same DIR it goes on where the last checkpoint stands. The
model is an ordinary Llama in Hugging Face's format (vocabulary 256: a token is a byte), so what compresses it
compresses its larger relatives. The matrices inside the blocks learn by Muon (momentum made orthogonal: Jordan et al.
2024); embeddings, head and norms learn by AdamW. What is saved is the running mean of the weights, which is good at any
time, not only at the end of the schedule. A batch is cut into parts, each worked on by one thread from end to end: at
this size that is as fast as sharing every operation on idle cores, and many times faster on busy ones.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from evo.errors import ConfigError
from problems.evopress import text

__all__ = ["Settings", "Trainer", "build", "loss_of", "main"]

_COLUMNS = ("step", "tokens", "cpu_seconds", "train_loss", "validation_loss")
_PART = 4  # windows that a thread takes at once
_MEAN_HORIZON = 100  # steps over which the saved weights are averaged
_VALIDATION_WINDOWS = 64  # while training; all of them at the end


@dataclass(frozen=True)
class Settings:
    """The shape of the model and how it is trained; the defaults made the model in `tiny/`.

    The schedule follows the steps done or the minutes spent, whichever are further along, so that either may end it.
    """

    hidden: int = 80
    inner: int = 224
    blocks: int = 12
    heads: int = 2
    context: int = 256
    batch: int = 8
    steps: int = 8000
    minutes: float = math.inf
    matrix_rate: float = 0.02
    other_rate: float = 0.01
    decay: float = 0.02
    warm_up: float = 0.02
    clip: float = 1.0
    seed: int = 0
    threads: int = 2


def build(settings: Settings) -> Any:
    """An untrained model: every block begins as the identity, and every byte is equally likely."""
    torch.manual_seed(settings.seed)
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=settings.hidden,
        intermediate_size=settings.inner,
        num_hidden_layers=settings.blocks,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=2 * settings.context,
        tie_word_embeddings=False,
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
        architectures=["LlamaForCausalLM"],
    )
    model: Any = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
                weight.zero_()
            elif name.endswith("embed_tokens.weight"):
                weight.normal_(std=0.5)
    return model


def loss_of(model: Any, tokens: Tensor) -> Tensor:
    """Mean nats per byte over all bytes of the windows (n, length) but their first ones."""
    logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
    loss: Tensor = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    return loss


class Muon:
    """Momentum whose matrices are made orthogonal before the step; equal shapes are worked on together.

    Args:
        weights: the matrices.
        decay: weight decay, relative to the rate.
        momentum: of the gradients, in Nesterov's form.
    """

    def __init__(self, weights: Sequence[Tensor], decay: float, momentum: float = 0.95) -> None:
        self.decay, self.momentum = decay, momentum
        self.groups = [[w for w in weights if w.shape == shape] for shape in sorted({w.shape for w in weights})]
        self.moving = [torch.zeros(len(group), *group[0].shape) for group in self.groups]

    @torch.no_grad()
    def step(self, which: int, rate: float) -> None:
        """One step of one group along the gradients that its weights hold; groups may step at the same time."""
        group, moving = self.groups[which], self.moving[which]
        gradients = torch.stack([weight.grad for weight in group if weight.grad is not None])
        moving.lerp_(gradients, 1 - self.momentum)
        moves = _orthogonal(gradients.lerp_(moving, self.momentum))
        rows, columns = moves.shape[1:]
        scale = rate * math.sqrt(max(1.0, rows / columns))
        for weight, move in zip(group, moves, strict=True):
            weight.mul_(1 - rate * self.decay).sub_(move, alpha=scale)


def _orthogonal(matrices: Tensor, rounds: int = 5) -> Tensor:
    """(n, rows, columns) near the closest orthogonal ones, by a quintic Newton-Schulz iteration."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-12)
    for _ in range(rounds):
        square = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    turned: Tensor = x.transpose(1, 2) if tall else x
    return turned


class Trainer:
    """A model, its optimisers and its place in the schedule; all of it can be saved and taken up again.

    Args:
        settings: shape and schedule; `steps` and `minutes` may differ from the ones it was saved under.
        out: folder of the log and the checkpoints, made where missing.
    """

    def __init__(self, settings: Settings, out: Path) -> None:
        self.settings, self.out = settings, out
        self.model, self.mean = build(settings), build(settings)
        self.weights = list(self.model.parameters())
        self.pool = ThreadPoolExecutor(settings.threads)
        named = dict(self.model.named_parameters())
        inside = [w for name, w in named.items() if w.ndim == 2 and ".layers." in name]
        others = [w for name, w in named.items() if not (w.ndim == 2 and ".layers." in name)]
        self.muon = Muon(inside, settings.decay)
        self.adam = torch.optim.AdamW(others, betas=(0.9, 0.95), weight_decay=0.0)
        self.step, self.wall, self.cpu = 0, 0.0, 0.0
        self.validation = text.windows(text.corpus("validation"), settings.context)
        self.stream = np.concatenate(text.corpus("train"))
        out.mkdir(parents=True, exist_ok=True)
        if (out / "state.pt").exists():
            self._load()

    @property
    def progress(self) -> float:
        """How much of the schedule is done: 0 to 1."""
        return min(1.0, max(self.step / self.settings.steps, self.wall / 60 / self.settings.minutes))

    def train(self, say: Callable[[str], None], log_every: int = 50, save_every: int = 200) -> None:
        """Trains until the schedule ends, logging and saving on the way and at the end."""
        wall, cpu, losses = time.monotonic() - self.wall, time.process_time() - self.cpu, list[float]()
        for tokens in self._batches():
            if self.progress >= 1:
                break
            losses.append(self._learn(tokens))
            self.step += 1
            self.wall, self.cpu = time.monotonic() - wall, time.process_time() - cpu
            if self.step % log_every == 0:
                loss, save = sum(losses) / len(losses), self.step % save_every == 0
                self._log(loss, self.evaluate(_spread(self.validation, _VALIDATION_WINDOWS)) if save else None)
                say(f"step {self.step}  loss {loss:.4f}  {self.wall:.0f} s  {self.progress:.1%}")
                losses.clear()
                if save:
                    self.save()
        self.save()

    def evaluate(self, windows: NDArray[np.uint8]) -> float:
        """Mean nats per byte of the averaged weights over windows (n, length)."""
        sums: Iterator[float] = self.pool.map(self._sum_of, _parts(_tensor(windows)))
        return sum(sums) / len(windows)

    @torch.inference_mode()
    def _sum_of(self, tokens: Tensor) -> float:
        return float(loss_of(self.mean, tokens)) * len(tokens)

    def save(self) -> None:
        """Writes the state to go on from, and the averaged weights in half precision with their configuration."""
        state = {
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "mean": self.mean.state_dict(),
            "moving": self.muon.moving,
            "adam": self.adam.state_dict(),
            "place": (self.step, self.wall, self.cpu),
            "corpus": text.digest(),
        }
        _replace(self.out / "state.pt", lambda path: torch.save(state, path))
        weights = {name: weight.half().contiguous() for name, weight in self.mean.state_dict().items()}
        _replace(self.out / "model.safetensors", lambda path: save_file(weights, path, metadata={"format": "pt"}))
        config = self.model.config.to_dict() | {"dtype": "float16"}
        _replace(
            self.out / "config.json", lambda path: path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        )

    def _load(self) -> None:
        state = torch.load(self.out / "state.pt", weights_only=True)
        now, free = asdict(self.settings), {"steps", "minutes", "threads"}
        changed = sorted(name for name, value in state["settings"].items() if now[name] != value and name not in free)
        if changed:
            raise ConfigError(
                f"{self.out} was begun with another {', '.join(changed)}; give the same, or another --out"
            )
        if state["corpus"] != text.digest():
            warnings.warn(f"{self.out} was begun on another text: another version of Python?", stacklevel=2)
        self.model.load_state_dict(state["model"])
        self.mean.load_state_dict(state["mean"])
        self.muon.moving = state["moving"]
        self.adam.load_state_dict(state["adam"])
        self.step, self.wall, self.cpu = state["place"]
        self._forget_later_rows()

    def _learn(self, tokens: Tensor) -> float:
        rate, matrix_rate = _rate(self.progress, self.settings.warm_up), self.settings.matrix_rate
        parts = list(self.pool.map(self._gradients, _parts(tokens)))
        share = [len(part) / len(tokens) for part in _parts(tokens)]
        for weight, *gradients in zip(self.weights, *(gradients for _, gradients in parts), strict=True):
            weight.grad = sum(gradient * part for gradient, part in zip(gradients, share, strict=True))
        torch.nn.utils.clip_grad_norm_(self.weights, self.settings.clip)
        list(self.pool.map(lambda which: self.muon.step(which, rate * matrix_rate), range(len(self.muon.groups))))
        for group in self.adam.param_groups:
            group["lr"] = rate * self.settings.other_rate
        self.adam.step()
        keep = 1 - 1 / min(_MEAN_HORIZON, 1 + self.step / 4)
        with torch.no_grad():
            for mean, weight in zip(self.mean.parameters(), self.weights, strict=True):
                mean.lerp_(weight, 1 - keep)
        return sum(loss * part for (loss, _), part in zip(parts, share, strict=True))

    def _gradients(self, tokens: Tensor) -> tuple[float, tuple[Tensor, ...]]:
        loss = loss_of(self.model, tokens)
        return float(loss.detach()), torch.autograd.grad(loss, self.weights)

    def _batches(self) -> Iterator[Tensor]:
        """Every window of the stream once in an epoch, cut anew at a random offset in the next; from `step` on."""
        length, batch = self.settings.context, self.settings.batch
        a_epoch = (len(self.stream) // length - 1) // batch
        for epoch in range(self.step // a_epoch, 2**31):
            generator = np.random.default_rng((self.settings.seed, epoch))
            stream = self.stream[generator.integers(length) :]
            cut = stream[: len(stream) // length * length].reshape(-1, length)
            order = generator.permutation(len(cut))
            for at in range(self.step - epoch * a_epoch, a_epoch):
                yield _tensor(cut[order[at * batch : (at + 1) * batch]])

    def _log(self, loss: float, validation: float | None) -> None:
        path, settings = self.out / "log.csv", self.settings
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(_COLUMNS)
            tokens = self.step * settings.batch * settings.context
            held_out = "" if validation is None else f"{validation:.4f}"
            writer.writerow((self.step, tokens, f"{self.cpu:.0f}", f"{loss:.4f}", held_out))

    def _forget_later_rows(self) -> None:
        """Takes out of the log what happened after the checkpoint, since it will happen again."""
        if not (self.out / "log.csv").exists():
            return
        rows = list(csv.reader((self.out / "log.csv").read_text().splitlines()))
        kept = rows[:1] + [row for row in rows[1:] if int(row[0]) <= self.step]
        _replace(self.out / "log.csv", lambda path: path.write_text("".join(",".join(row) + "\n" for row in kept)))


def _rate(progress: float, warm_up: float) -> float:
    """The learning rate as a part of its peak: a linear rise, then a cosine down to a hundredth."""
    if progress < warm_up:
        return (progress + 1e-3) / (warm_up + 1e-3)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) / 2


def _spread(windows: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """At most `count` of the windows, evenly spread."""
    rows = np.linspace(0, len(windows) - 1, min(count, len(windows))).astype(int)
    return np.asarray(windows[rows])


def _parts(tokens: Tensor) -> list[Tensor]:
    return [tokens[at : at + _PART] for at in range(0, len(tokens), _PART)]


def _tensor(windows: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(windows.astype(np.int64))


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file beside its place and moves it there, so that a reader never meets half a file."""
    partial = path.with_name(f"{path.name}.partial")
    write(partial)
    os.replace(partial, path)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: trains, then prints nats per byte on all of validation and test."""
    parser = argparse.ArgumentParser(prog="python -m problems.evopress.train", description="Train the default model.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the log and the checkpoints")
    for name, default in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    options = vars(parser.parse_args(arguments))
    out = options.pop("out")
    settings = Settings(**options)
    torch.set_num_threads(1)  # of an operation: a thread works on its own part
    trainer = Trainer(settings, out)
    print(f"{sum(p.numel() for p in trainer.model.parameters())} weights, corpus {text.digest()}", flush=True)
    trainer.train(lambda line: print(line, flush=True))
    for split in ("validation", "test"):
        cut = text.windows(text.corpus(split), settings.context)
        print(f"{split}: {trainer.evaluate(cut):.4f} nats per byte over {len(cut)} windows", flush=True)


if __name__ == "__main__":
    main()

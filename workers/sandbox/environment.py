"""Which variables a fork server gets of its worker's environment: a short list, so that no secret is among them."""

from __future__ import annotations

import os
from collections.abc import Iterable

__all__ = ["allowed"]

_NAMES = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "PYTHONPATH", "PYTHONHASHSEED",
    "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "LIBRARY_PATH",
    "CPATH", "CC", "CXX", "CFLAGS", "CUDA_HOME", "CUDA_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER",
    "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "XLA_FLAGS",
    "NVIDIA_TF32_OVERRIDE", "TF_DETERMINISTIC_OPS",
)  # fmt: skip
_PREFIXES = (
    "LC_",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "NUMBA_",
    "TRITON_CACHE",
    "RAYON_",
    "VECLIB_",
    "NUMEXPR_",
    "JAX_",
    "TORCH_",
)
_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR")
"""Libraries read these when they load, and OMP's where their own is not set. One thread where the worker does not say,
as threads do not survive a fork."""


def allowed(more: Iterable[str] = ()) -> dict[str, str]:
    """The variables of this process that a fork server may see.

    Args:
        more: further names, from `Sandbox.environment`.
    """
    wanted = {*_NAMES, *more}
    found = {name: value for name, value in os.environ.items() if name in wanted or name.startswith(_PREFIXES)}
    if "OMP_NUM_THREADS" not in found:
        for library in _THREADS:
            found.setdefault(f"{library}_NUM_THREADS", "1")
    found.setdefault("NUMBA_NUM_THREADS", "1")
    return found

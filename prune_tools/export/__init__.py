"""Models as files for other runtimes, written whole or not at all and checked before they take their place.

TensorFlow backend only, but for `compressed`: a SavedModel is what all others are made from.
"""

from prune_tools.export.compressed import load as load_compressed
from prune_tools.export.compressed import save as save_compressed
from prune_tools.export.program import Differs, difference, functions, random_inputs
from prune_tools.export.saved import Functions, run_saved_model, saved_model
from prune_tools.export.sizes import folder_bytes, zip_bytes
from prune_tools.export.writing import FORMATS, KERAS, Choices, check_formats, write, zeros_kept

__all__ = [
    "FORMATS",
    "KERAS",
    "Choices",
    "Differs",
    "Functions",
    "check_formats",
    "difference",
    "folder_bytes",
    "functions",
    "load_compressed",
    "random_inputs",
    "run_saved_model",
    "save_compressed",
    "saved_model",
    "write",
    "zeros_kept",
    "zip_bytes",
]

"""The table of all data sets that `nnlab train data=...` knows.

`Arrays` is not one of them, since a command line cannot pass an array.
"""

from nnlab.data.bundled import BreastCancer, Diabetes, Digits, Iris, Wine
from nnlab.data.dataset import Data, Dataset
from nnlab.data.documents import Words
from nnlab.data.idx import Idx
from nnlab.data.image_folders import Images
from nnlab.data.in_memory import Arrays
from nnlab.data.landscapes import RarePoints, Ravine
from nnlab.data.mnist1d import Mnist1d
from nnlab.data.npy_files import Npy
from nnlab.data.numpy_files import Npz
from nnlab.data.synthetic import Line, Moons, Noise, Sine, Spirals
from nnlab.data.text_tables import Csv
from nnlab.tables.table_data import Table

SOURCES = {
    source.name: source for source in (
        Digits, Diabetes, Wine, Iris, BreastCancer, Line, Sine, Noise, Moons, Spirals, Words, Ravine,
        RarePoints, Mnist1d, Idx, Images, Csv, Npz, Npy, Table,
    )
}  # fmt: skip
__all__ = ["SOURCES", "Arrays", "Data", "Dataset", *(source.__name__ for source in SOURCES.values())]

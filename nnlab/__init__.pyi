"""The public names, for editors: nnlab/__init__.py imports each when it is first used."""
# ruff: noqa: I001, F403

from nnlab.checks.ladder import check as check
from nnlab.checks.subject import Budget as Budget
from nnlab.checks.verdict import (
    Finding as Finding,
    Verdict as Verdict,
)
from nnlab.data.sources import (
    Arrays as Arrays,
    BreastCancer as BreastCancer,
    Csv as Csv,
    Data as Data,
    Dataset as Dataset,
    Diabetes as Diabetes,
    Digits as Digits,
    Idx as Idx,
    Images as Images,
    Iris as Iris,
    Line as Line,
    Mnist1d as Mnist1d,
    Moons as Moons,
    Noise as Noise,
    Npy as Npy,
    Npz as Npz,
    RarePoints as RarePoints,
    Ravine as Ravine,
    Sine as Sine,
    Spirals as Spirals,
    Table as Table,
    Wine as Wine,
    Words as Words,
)
from nnlab.data.columns import Column as Column
from nnlab.data.spec import DataSpec as DataSpec
from nnlab.tables.frames import Frame as Frame
from nnlab.data.splits import (
    Fold as Fold,
    Holdout as Holdout,
    KFold as KFold,
    NoSplit as NoSplit,
    Split as Split,
)
from nnlab.errors import (
    Advice as Advice,
    UserError as UserError,
)
from nnlab.experiment import Experiment as Experiment
from nnlab.training.fit import (
    Fit as Fit,
    fit as fit,
)
from nnlab.initializers import (
    Auto as Auto,
    ConstantInit as ConstantInit,
    FanInUniform as FanInUniform,
    GlorotNormal as GlorotNormal,
    GlorotUniform as GlorotUniform,
    HeNormal as HeNormal,
    HeUniform as HeUniform,
    Init as Init,
    LeCunNormal as LeCunNormal,
    Normal as Normal,
    Orthogonal as Orthogonal,
    Sparse as Sparse,
    Uniform as Uniform,
    Zeros as Zeros,
)
from nnlab.jobs.launchers import (
    Folder as Folder,
    Launcher as Launcher,
    Local as Local,
    Ray as Ray,
    Slurm as Slurm,
)
from nnlab.models import (
    CNN as CNN,
    MLP as MLP,
    GraphModel as GraphModel,
    Linear as Linear,
    Logistic as Logistic,
    Model as Model,
    Tabular as Tabular,
)
from nnlab.optimizers.adam import *
from nnlab.optimizers.adaptive import *
from nnlab.optimizers.base import *
from nnlab.optimizers.descent import *
from nnlab.optimizers.momentum import *
from nnlab.prediction.estimators import (
    Classifier as Classifier,
    Regressor as Regressor,
)
from nnlab.prediction.export import export as export
from nnlab.prediction.loading import load as load
from nnlab.prediction.model import TrainedModel as TrainedModel
from nnlab.records.stored_run import StoredRun as StoredRun
from nnlab.regularizers import Regularizer as Regularizer
from nnlab.training.results import (
    Record as Record,
    Result as Result,
)
from nnlab.schedules import (
    Constant as Constant,
    Cosine as Cosine,
    CosineLog as CosineLog,
    ExponentialDecay as ExponentialDecay,
    HalveAndGoBack as HalveAndGoBack,
    HalveOnRise as HalveOnRise,
    InverseTimeDecay as InverseTimeDecay,
    MultiStepDecay as MultiStepDecay,
    OneCycle as OneCycle,
    PolynomialDecay as PolynomialDecay,
    ReduceOnPlateau as ReduceOnPlateau,
    Schedule as Schedule,
    StepDecay as StepDecay,
    simulate as simulate,
)
from nnlab.search.domains import (
    Choice as Choice,
    Interval as Interval,
    Steps as Steps,
)
from nnlab.search.pruners import (
    Halving as Halving,
    Hyperband as Hyperband,
    Median as Median,
    Pruner as Pruner,
)
from nnlab.search.samplers import (
    CMAES as CMAES,
    GP as GP,
    Grid as Grid,
    QMC as QMC,
    Random as Random,
    Sampler as Sampler,
    TPE as TPE,
)
from nnlab.search.settings import Search as Search
from nnlab.search.space import Space as Space
from nnlab.search.sweep import Sweep as Sweep
from nnlab.search.trial import Trial as Trial
from nnlab.stopping import (
    Patience as Patience,
    Stopping as Stopping,
)

__version__: str
__all__: list[str]

"""Tables of op kinds: passes look up here what a node does.

`proof/op_effects.py` has its own list on purpose: a proof must not depend on the code it checks.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Tuple

# ---- inputs of graphs and arguments of functions

ARG = "_Arg"
PLACEHOLDERS = frozenset(("Placeholder", "PlaceholderV2", "PlaceholderWithDefault"))

# ---- control flow: of TensorFlow 1 by tensors, of TensorFlow 2 by functions

SWITCHES = frozenset(("Switch", "RefSwitch"))
MERGES = frozenset(("Merge", "RefMerge"))
ENTERS = frozenset(("Enter", "RefEnter"))
EXITS = frozenset(("Exit", "RefExit"))
NEXT_ITERATIONS = frozenset(("NextIteration", "RefNextIteration"))
CONTEXT_MAKERS = SWITCHES | ENTERS
# A control input from one of these tells to which branch or iteration a node belongs.
PIVOTS = frozenset(("Identity", "RefIdentity", "Const", "LoopCond")).union(
    MERGES, ENTERS, EXITS, NEXT_ITERATIONS
)
STACK_POPS = frozenset(("StackPop", "StackPopV2"))  # in gradients of loops
STACK_ORDER = STACK_POPS | {"StackPush", "StackPushV2", "ControlTrigger"}
IFS = frozenset(("If", "StatelessIf"))
CASES = frozenset(("Case", "StatelessCase"))
WHILES = frozenset(("While", "StatelessWhile"))
BRANCHING = IFS | CASES | WHILES
CALLS = frozenset(("PartitionedCall", "StatefulPartitionedCall"))

# ---- variables

REF_VARIABLES = frozenset(("Variable", "VariableV2"))
HANDLES = frozenset(("VarHandleOp",))
VARIABLES = REF_VARIABLES | HANDLES
READS = frozenset(
    ("ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape")
    + ("VarIsInitializedOp", "IsVariableInitialized")
)
# These pass on a variable itself: its handle, or in the form "RefSwitch" its reference.
HANDING_ON = frozenset(("Identity", "Switch", "Merge", "Enter", "Exit", "NextIteration"))
# These may pass on a reference variable's own memory, so that the output changes with it.
ALIASING = HANDING_ON | {"StopGradient", "PreventGradient", "Reshape", "Squeeze", "ExpandDims"}
ASSIGNS = frozenset(("Assign", "AssignVariableOp"))
ADDS: Dict[str, str] = {  # {assignment: the op that computes the same value}
    "AssignAddVariableOp": "Add",
    "AssignAdd": "Add",
    "AssignSubVariableOp": "Sub",
    "AssignSub": "Sub",
}
REF_ASSIGNS = frozenset(("Assign", "AssignAdd", "AssignSub"))
WRITES = re.compile(r"Assign|(Resource)?Scatter")  # ops that a Saver's restore may contain
OPTIMIZERS = re.compile(r"(Resource)?(Sparse)?Apply[A-Z]")
RESTORES = frozenset(("RestoreV2", "Restore", "RestoreSlice"))
# These may stand between a restore and an assignment; Saver(reshape=True) adds the Reshape.
AFTER_RESTORES = frozenset(("Identity", "Reshape"))

# ---- lookup tables

# {first op of TensorFlow 1, whose handle is a reference to a string: its successor}
OF_REFERENCES: Dict[str, str] = {
    name: name + "V2"
    for name in ("HashTable", "MutableHashTable", "MutableHashTableOfTensors")
    + ("MutableDenseHashTable", "InitializeTable", "InitializeTableFromTextFile")
    + ("LookupTableFind", "LookupTableInsert", "LookupTableSize")
    + ("LookupTableExport", "LookupTableImport")
}
STATIC_TABLES = frozenset(("HashTableV2",))
MUTABLE_TABLES = frozenset(
    ("MutableHashTableV2", "MutableHashTableOfTensorsV2", "MutableDenseHashTableV2")
)
TABLES = re.compile(r"(Anonymous|Mutable)*(Dense)?HashTable")
TABLE_CHANGES = frozenset(("LookupTableInsertV2", "LookupTableRemoveV2", "LookupTableImportV2"))
# These fill a table from tensors, as in a frozen file; nodes that wait for them go on waiting.
TENSOR_FILLS = frozenset(("InitializeTable", "InitializeTableV2", "LookupTableImportV2"))
FILLS = frozenset(
    ("InitializeTableV2", "InitializeTableFromTextFileV2", "InitializeTableFromDataset")
    + ("LookupTableImportV2",)
)
LOOKUPS = frozenset(("LookupTableFindV2",))

# ---- random ops

RANDOM = re.compile(
    r"(Stateless)?(Parameterized)?"
    r"(Random(Uniform|StandardNormal|Normal|Gamma|Poisson|Shuffle|Binomial)"
    r"|TruncatedNormal|Multinomial)(Int|FullInt)?(V\d)?$"
)

# ---- sources of training data

_PYTHON = "PyFunc|PyFuncStateless|EagerPyFunc"
PYTHON = re.compile(f"({_PYTHON})$")
PIPELINE = re.compile(
    r"(IteratorGetNext(Sync|AsOptional)?|Iterator(V2)?|OneShotIterator|AnonymousIterator.*"
    r"|IteratorFromStringHandle(V2)?|.*MultiDeviceIterator.*|Optional(GetValue|FromValue|None)"
    r"|.*Queue(Dequeue|Enqueue).*|.*(FIFO|Shuffle|Priority)Queue(V2)?|Barrier(TakeMany)?"
    r"|(OrderedMap|Map)?(Stage|Unstage|UnstageNoKey|Peek)|StagePeek|TakeManySparseFromTensorsMap"
    r"|.*Reader(V2)?|Reader(Read|Restore|Serialize|Num).*|RecordInput|InfeedDequeue.*"
    r"|.*Dataset(V\d)?|(.*)?DatasetToSingleElement|DatasetTo(Graph|TFRecord).*|DatasetFromGraph)$"
)
ELEMENTS = re.compile(r"IteratorGetNext|.*Dequeue")  # these return a batch of examples
# These pass on a pipeline's element unchanged.
PASSING_ELEMENTS = SWITCHES | {"Identity", "RefIdentity", "StopGradient", "PreventGradient"}
TRAINING_RESOURCES = re.compile(r".+ResourceHandleOp$")  # of boosted trees and forests

# ---- ops that reach out of the graph: (kind, what they do, names)

# From the op registries of TensorFlow 1.15, 2.15 and 2.21: all stateful ops, and all ops with
# names, inputs or attributes that hold paths, addresses, or code that is not a graph.
_REACHES: Tuple[Tuple[str, str, str], ...] = (
    (
        "files",
        "reads or writes files",
        r"ReadFile|WriteFile|(Experimental)?MatchingFiles(Dataset)?|RecordInput|ImmutableConst"
        r"|(WholeFile|TextLine|TFRecord|FixedLengthRecord|LMDB)(Reader(V2)?|Dataset(V2)?)"
        r"|(Experimental)?(LMDB|CSV|Sql|Cache|Load|Save|Snapshot|ParallelMapAndSave)Dataset(V\d)?"
        r"|Snapshot.*(Dataset|DatasetReader)|ListSnapshotChunksDataset|DistributedSave"
        r"|(Experimental)?DatasetToTFRecord"
        r"|Save(V2|Slices)?|Restore(V2|Slice)?|DTensorRestoreV2|MergeV2Checkpoints"
        r"|InitializeTableFromTextFile(V2)?|GenerateVocabRemapping|LoadAndRemapMatrix"
        r"|FileSystemSetConfiguration|DumpTensor|CalibrationStatisticsSaver|Skipgram"
        r"|CreateSummary(File|Db)Writer|Write(.*)Summary|ImportEvent|StatsAggregatorSetSummaryWriter"
        r"|(Initialize|Serialize)TRTResource|BigQueryReader|Debug(Identity|NanCount|NumericSummary).*",
    ),
    (
        "network",
        "talks to other processes",
        r"Rpc.*|TryRpc|_?(Host)?(Send|Recv)|_Nccl.*|Nccl.*|Collective.*|RemoteCall"
        r"|DataServiceDataset.*|RegisterDataset.*|BigQueryReader|GenerateBigQueryReaderPartitions"
        r"|GcsConfigure(Credentials|BlockCache)|Debug(Identity|NanCount|Numeric).*",
    ),
    ("python", "runs Python functions", _PYTHON),
    (
        "devices",
        "drives devices",
        r"(In|Out)feed.*|.*(TPU|Tpu).*|_?Xla(HostCompute|Send|Recv).*|CrossReplicaSum|AllToAll"
        r"|StoreMinibatchStatisticsInFdo|WorkerHeartbeat|UpdateTaskIdAndGlobalCoreArray",
    ),
    (
        "code",
        "holds code that is not in the graph",
        r"XlaCallModule|XlaCustomCall.*|TRTEngineOp|TfLiteSubgraphExecute|RemoteFusedGraphExecute"
        r"|DatasetFromGraph",
    ),
    ("process", "ends the process", r"Abort"),
)
REACHES = tuple((kind, does, re.compile(f"({names})$")) for kind, does, names in _REACHES)
# Ops that reach out to files or addresses only if an attribute names one.
REACHES_WHERE: Dict[str, Tuple[str, Any]] = {
    "FixedUnigramCandidateSampler": ("vocab_file", re.compile(rb".")),
    "PrintV2": ("output_stream", re.compile(rb"file://")),
    "DecodeProtoV2": ("descriptor_source", re.compile(rb"(?!local://|bytes://).")),
    "EncodeProto": ("descriptor_source", re.compile(rb"(?!local://|bytes://).")),
}
# Of the ops that reach files: those that a SavedModel has anyway, and those that only read.
USUAL_FILES = frozenset(
    ("RestoreV2", "InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "ReadFile")
    + ("MatchingFiles", "TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2")
    + ("FixedLengthRecordDataset", "FixedLengthRecordDatasetV2")
)
SAVES = frozenset(("SaveV2", "MergeV2Checkpoints"))  # a Saver's, which no loader runs

# ---- ops that only report, and ops that are no answers

REPORTS = re.compile(r"PrintV2|CreateSummary(File|Db)Writer|Write(.*)Summary|ImportEvent")
SAVES_AND_SUMMARIES = re.compile(r"Save|.*Summary")
NO_ANSWER = frozenset(
    ("Const", "Identity", "ReadVariableOp", "NoOp", "Shape", "ShapeN", "Assert", "Fill", "Range")
)

# ---- layers

BATCH_NORMS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))
ANY_BATCH_NORM = re.compile(r"FusedBatchNorm(?!Grad)")
CONVOLUTIONS = frozenset(("Conv2D", "DepthwiseConv2dNative"))
SAME_VALUE = frozenset(("Identity", "StopGradient"))  # between a constant and a batch norm


def is_source(op: str) -> bool:
    """Return whether an op gives data of the training's process, which a file cannot hold."""
    return bool(PIPELINE.match(op) or PYTHON.match(op))


def is_mutable_table(op: str) -> bool:
    """Return whether an op type makes a table that other ops change."""
    return OF_REFERENCES.get(op, op) in MUTABLE_TABLES


def plain_op(op: str) -> str:
    """Return the plain form of an op on a reference: "Switch" for "RefSwitch"."""
    return op[3:] if op.startswith("Ref") else op

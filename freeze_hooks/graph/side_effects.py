"""Ops that reach out of a graph: to files, the network, Python or devices."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Tuple

from ..errors import NotFreezableError
from .body import UNSET
from .lint import Finding
from .op_registry import comes_with_tensorflow, op_def

# Found in the op registries of TensorFlow 1.15, 2.15 and 2.21: all ops with state, and all whose
# names, inputs or attributes hold paths, addresses, or code that is no graph.
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
    ("python", "runs Python functions", r"PyFunc(Stateless)?|EagerPyFunc"),
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
_PATTERNS = tuple((kind, problem, re.compile(f"({names})$")) for kind, problem, names in _REACHES)
# Ops that reach out only where an attribute names a file or an address.
_WHERE: Dict[str, Tuple[str, Any]] = {
    "FixedUnigramCandidateSampler": ("vocab_file", re.compile(rb".")),
    "PrintV2": ("output_stream", re.compile(rb"file://")),
    "DecodeProtoV2": ("descriptor_source", re.compile(rb"(?!local://|bytes://).")),
    "EncodeProto": ("descriptor_source", re.compile(rb"(?!local://|bytes://).")),
}
# What of the first kind a SavedModel has anyway, or only reads.
_USUAL = frozenset(
    ("SaveV2", "RestoreV2", "MergeV2Checkpoints", "InitializeTableFromTextFile", "ReadFile")
    + ("InitializeTableFromTextFileV2", "MatchingFiles", "TextLineDataset", "TFRecordDataset")
    + ("TFRecordDatasetV2", "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2")
)
# What tells of a run and answers nothing: no output is any other without it.
_REPORTS = re.compile(r"PrintV2|CreateSummary(File|Db)Writer|Write(.*)Summary|ImportEvent")
_LIBRARY = ("library", "runs code of a library that is not a part of TensorFlow")
_REMEDY = "a model needs none of these; load such a file only if you trust who wrote it"


def side_effects(graph_def: Any) -> List[Finding]:
    """What in a graph and in all functions of its library reaches out of it, a finding a kind.

    Nodes that no output needs count too: a session can be asked for them. So do ops of libraries
    that were loaded besides TensorFlow, since nobody knows what they do; an op that is not known
    here cannot run. An op such as FixedUnigramCandidateSampler counts where it names a file.
    """
    nodes = [("", node) for node in graph_def.node]
    for function in graph_def.library.function:
        nodes += [(function.signature.name + "/", node) for node in function.node_def]
    found: Dict[str, List[str]] = {}
    for scope, node in nodes:
        for kind in _kinds(node):
            found.setdefault(kind, []).append(f"{scope}{node.name} ({node.op})")
    problems = {kind: problem for kind, problem, _ in _PATTERNS}
    problems.update([_LIBRARY])
    return [Finding(k, tuple(names), problems[k], _REMEDY) for k, names in sorted(found.items())]


def refuse_to_run(graph_def: Any, what: str) -> None:
    """Make sure that to run any part of a graph from a file writes no file and talks to nobody.

    Reading files is allowed, as vocabularies are; so are the ops of a Saver.

    Raises:
      NotFreezableError: it has ops that do; they are named.
    """
    inner = [node for function in graph_def.library.function for node in function.node_def]
    for node in [*graph_def.node, *inner]:
        kinds = {"files", "network", "process"} & set(_kinds(node))
        if kinds and node.op not in _USUAL:
            raise NotFreezableError(
                f"{what} would run {node.op} {node.name!r}, which reaches out of the graph; if you "
                "trust who wrote it, load it yourself, and freeze the session or function"
            )


def silence(graph_def: Any) -> bool:
    """Make ops that do nothing of prints and summaries that write files, in place.

    Returns:
      Whether there were any.
    """
    inner = [node for function in graph_def.library.function for node in function.node_def]
    found = [n for n in [*graph_def.node, *inner] if _REPORTS.fullmatch(n.op) and _kinds(n)]
    for node in found:
        controls = [text for text in node.input if text.startswith("^")]
        node.op = "NoOp"
        node.attr.clear()
        node.input[:] = controls
    return bool(found)


def _kinds(node: Any) -> List[str]:
    kinds = [kind for kind, _, pattern in _PATTERNS if pattern.match(node.op)]
    attr, names = _WHERE.get(node.op, ("", None))
    if names is not None and names.match(node.attr.get(attr, UNSET).s):
        kinds.append("files")
    if not kinds and not comes_with_tensorflow(node.op) and op_def(node.op):
        kinds.append(_LIBRARY[0])
    return kinds

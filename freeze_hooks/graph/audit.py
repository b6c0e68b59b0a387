"""Ops that reach out of a graph: to files, the network, Python or devices."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, Tuple

from .lint import Finding

# Found in the op registries of TensorFlow 1.15 and 2.21, by name and by attributes that hold
# paths and addresses.
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
        r"|CreateSummary(File|Db)Writer|Write(.*)Summary|StatsAggregatorSetSummaryWriter"
        r"|InitializeTRTResource|Print(V2)?|BigQueryReader|Debug(Identity|NanCount|NumericSummary).*",
    ),
    (
        "network",
        "talks to other processes",
        r"Rpc.*|TryRpc|_?(Host)?(Send|Recv)|_Nccl.*|Nccl.*|Collective.*|RemoteCall"
        r"|DataServiceDataset.*|RegisterDataset.*|BigQueryReader|Debug(Identity|NanCount|Numeric).*",
    ),
    ("python", "runs Python functions", r"PyFunc(Stateless)?|EagerPyFunc"),
    (
        "devices",
        "drives devices",
        r"(In|Out)feed.*|_?(Configure|Shutdown|Initialize|WaitFor).*(TPU|Distributed).*|_?TPU.*"
        r"|_?Xla(HostCompute|Send|Recv|CustomCall).*|RemoteFusedGraphExecute",
    ),
)
_PATTERNS = tuple((kind, problem, re.compile(f"({names})$")) for kind, problem, names in _REACHES)
_REMEDY = "a model needs none of these; load such a file only if you trust who wrote it"


def side_effects(graph_def: Any) -> List[Finding]:
    """What in a graph and in all functions of its library reaches out of it, a finding a kind.

    Nodes that no output needs count too: a session can be asked for them.
    FixedUnigramCandidateSampler counts only where its `vocab_file` names a file.
    """
    nodes = [("", node) for node in graph_def.node]
    for function in graph_def.library.function:
        nodes += [(function.signature.name + "/", node) for node in function.node_def]
    found: Dict[str, List[str]] = {}
    for scope, node in nodes:
        for kind in _kinds(node):
            found.setdefault(kind, []).append(f"{scope}{node.name} ({node.op})")
    problems = {kind: problem for kind, problem, _ in _PATTERNS}
    return [Finding(k, tuple(names), problems[k], _REMEDY) for k, names in sorted(found.items())]


def _kinds(node: Any) -> Iterable[str]:
    for kind, _, pattern in _PATTERNS:
        if pattern.match(node.op):
            yield kind
    if node.op == "FixedUnigramCandidateSampler" and node.attr["vocab_file"].s:
        yield "files"

"""The part `plan`: the cost of the number of nodes, with the same 100 MB of weights.

The plan of a training graph (FreezeHook.begin, before the graph is finalized) takes turns with the
minimum that TensorFlow needs for it: `as_graph_def` and `extract_sub_graph`. Then the graph
trains, and saves take turns with a raw write.
"""

import models
from measure import take_turns, timed
from session_freeze import Hook, Session, pruned, v1


def times(name, rounds, directory):
    """In a child process: return the seconds of plan, prune, save and raw write."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    model = models.build(name)

    def plan():
        hook = Hook(model.outputs)
        with model.graph.as_default():
            hook.begin()
        return hook.begin_seconds

    calls = {"plan": plan, "prune": lambda: timed(lambda: pruned(model))}
    result = {"nodes": len(model.graph.get_operations()), "saved_nodes": len(pruned(model))}
    result["seconds"] = take_turns(calls, rounds, lambda: None)
    with Session(model, directory) as session:
        peers = {name: session.peers()[name] for name in ("freeze", "raw")}
        result["seconds"].update(take_turns(peers, rounds, session.folder.clean))
    return result

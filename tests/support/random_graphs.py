"""Random training graphs for hypothesis, with what to freeze of them and what to feed.

Every tensor of a graph that is computed with is 3 by 3, so that any may go into any op. Variables
are changed only where no read can notice: variables of their own behind control dependencies, and
branches of a conditional that `bind` turns off; so nothing here may be refused.
"""

import dataclasses
from typing import Any, Dict, List

import numpy as np
import tensorflow as tf
from hypothesis import strategies as st
from tensorflow.python.framework.function import Defun

v1 = tf.compat.v1
FLOATS = [tf.float32, tf.float64, tf.float16]
DTYPES = FLOATS + [tf.int32, tf.int64]
SIZE = 3
DEEPEST = 2
MOST_STEPS = 8  # of a loop, whatever is fed to what it counts by


@dataclasses.dataclass
class Case:
    """A graph, the arguments to freeze it with, and feeds by tensor name.

    `fixed` is what `bind` stands for when the graph is run live.
    """

    graph: Any
    outputs: List[Any]
    arguments: Dict[str, Any]
    feeds: List[Dict[str, Any]]
    fixed: Dict[str, Any]


@st.composite
def cases(draw):
    was = v1.control_flow_v2_enabled()
    try:
        with tf.Graph().as_default() as graph:
            return Program(draw).case(graph)
    finally:
        switch_control_flow(was)


def switch_control_flow(functional):
    (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()


def convert(tensor, dtype):
    """A cast without undefined results: a float says only whether it is over 0.1."""
    if tensor.dtype.is_floating and not dtype.is_floating:
        tensor = tensor > tf.constant(0.1, tensor.dtype)
    return tf.cast(tensor, dtype)


def tame(tensor):
    """Keeps floats where no later op leaves the finite numbers; integers wrap around."""
    return tf.tanh(tensor) * tf.constant(2, tensor.dtype) if tensor.dtype.is_floating else tensor


def number(tensor, below):
    """An int32 scalar, at least 0, made of a tensor."""
    return tf.math.floormod(tf.reduce_sum(convert(tensor, tf.int32)), below)


def spread(tensor, like):
    """3 by 3 of a scalar."""
    return tf.fill([SIZE, SIZE], tf.cast(tensor, like))


class Program:
    """Builds one graph in the default one, by what hypothesis draws."""

    def __init__(self, draw):
        self._draw = draw
        self._graph = v1.get_default_graph()
        self._inside = []  # what cannot capture references
        self._resource = v1.get_variable("r", initializer=np.eye(SIZE), use_resource=True)
        self._variables = [self._variable(i) for i in range(self.below(4) + 1)]
        self._placeholders = [
            v1.placeholder(self.pick(DTYPES), [SIZE, SIZE], name=f"x{i}")
            for i in range(self.below(3) + 1)
        ]
        self._flags = [v1.placeholder(tf.bool, [], name=f"flag{i}") for i in range(2)]
        self._training = v1.placeholder(tf.bool, [], name="training")

    def below(self, count):
        return self._draw(st.integers(0, count - 1))

    def maybe(self):
        return self.below(2) == 1

    def pick(self, options):
        return options[self.below(len(options))]

    def _variable(self, index):
        dtype, rows = self.pick(DTYPES), self.pick([3, 5])
        values = np.random.RandomState(index + 1).uniform(-3, 3, [rows, SIZE])
        return v1.get_variable(
            f"v{index}",
            use_resource=self.maybe(),
            initializer=values.astype(dtype.as_numpy_dtype),
        )

    # what is in a graph, a branch or a function

    def block(self, pool, depth):
        """The tensors of `pool` and some that are made of them."""
        pool = list(pool)
        for _ in range(self.below(3 if depth == 0 else 2) + 1):
            pool.append(self.step(pool, depth))
        return pool

    def step(self, pool, depth):
        plain = [self.arithmetic, self.read, self.read, self.constant, self.part, self.choice]
        nested = [self.conditional, self.loop, self.case_of, self.function, self.handed_over]
        if depth == 0:
            nested += [self.defined, self.updated, self.off_branch]
        if depth == DEEPEST or self.below(5) < 2:
            return self.pick(plain)(pool, depth)
        return self.pick(nested)(pool, depth)

    def arithmetic(self, pool, depth):
        a, b = self.pick(pool), self.pick(pool)
        b = convert(b, a.dtype)
        ops = [tf.add, tf.subtract, tf.multiply, tf.maximum]
        ops += [tf.matmul] if a.dtype != tf.float16 else []
        return tame(self.pick(ops)(a, b))

    def constant(self, pool, depth):
        return tf.constant(self.below(7) - 3, self.pick(DTYPES), [SIZE, SIZE])

    def part(self, pool, depth):
        """A second output of an op."""
        return tf.split(tf.concat([self.pick(pool)] * 2, 1), 2, axis=1)[1]

    def choice(self, pool, depth):
        a, b = self.pick(pool), self.pick(pool)
        return tf.where(self.pick(pool) > 0, a, convert(b, a.dtype))

    def read(self, pool, depth):
        variable = self.pick(self.readable())
        rows = int(variable.shape[0])
        ids = tf.stack([number(t, rows) for t in (self.pick(pool), self.pick(pool), pool[0])])
        reads = [
            lambda: variable[rows - SIZE :],
            lambda: variable.read_value()[:SIZE],
            lambda: tf.identity(variable)[:SIZE],
            lambda: tf.gather(variable, ids),
            lambda: tf.nn.embedding_lookup(variable, tf.cast(ids, tf.int64)),
            lambda: tf.gather_nd(variable, ids[:, None]),
            lambda: spread(tf.shape(variable)[0], variable.dtype.base_dtype),
            lambda: spread(self.initialized(variable), tf.int32),
        ]
        return tf.reshape(self.pick(reads)(), [SIZE, SIZE])

    def readable(self):
        """The variables, without references where a function's graph cannot capture them."""
        here = v1.get_default_graph()
        outer = getattr(here, "outer_graph", None)
        if here is self._graph or (outer is self._graph and not self._inside):
            return self._variables
        return [v for v in self._variables if v.op.type == "VarHandleOp"] or [self._resource]

    def initialized(self, variable):
        """A function's graph captures the value of a reference variable, not itself."""
        here = variable.op.graph is v1.get_default_graph() or variable.op.type == "VarHandleOp"
        return v1.is_variable_initialized(variable) if here else tf.constant(True)

    # control flow of both kinds

    def predicate(self, pool):
        of_tensors = [
            lambda: number(self.pick(pool), 2) > 0,
            lambda: tf.logical_not(self.pick(self._flags)),
            lambda: tf.logical_or(self.pick(self._flags), number(self.pick(pool), 3) > 1),
            lambda: self.pick(self._flags),
            lambda: self.pick(self._flags),
        ]
        return self.pick(of_tensors)()

    def branch(self, pool, depth, dtypes):
        """A function that gives one tensor of each dtype, of any in or before the branch."""

        def build(*args):
            inner = self.block(list(args) + list(pool), depth + 1)
            return [convert(self.pick(inner[-2:] + inner), dtype) for dtype in dtypes]

        return build

    def dtypes(self):
        return [self.pick(DTYPES) for _ in range(self.below(2) + 1)]

    def in_control_flow(self, build):
        was = v1.control_flow_v2_enabled()
        switch_control_flow(self.maybe())
        results = build()
        switch_control_flow(was)
        return self.pick(results)

    def conditional(self, pool, depth):
        dtypes, predicate = self.dtypes(), self.predicate(pool)
        then, orelse = (self.branch(pool, depth, dtypes) for _ in range(2))
        return self.in_control_flow(lambda: self._list(tf.cond(predicate, then, orelse)))

    def case_of(self, pool, depth):
        dtypes, index = self.dtypes(), number(self.pick(pool), 5) - 1
        branches = [self.branch(pool, depth, dtypes) for _ in range(self.below(2) + 2)]
        if self.maybe():
            return self.in_control_flow(lambda: self._list(tf.switch_case(index, branches)))
        pairs = [(tf.equal(index, i), branch) for i, branch in enumerate(branches[1:])]
        return self.in_control_flow(lambda: self._list(v1.case(pairs, default=branches[0])))

    def _list(self, results):
        return list(results) if isinstance(results, (list, tuple)) else [results]

    def loop(self, pool, depth):
        count, start = number(self.pick(pool), 4), [self.pick(pool) for _ in range(2)]
        branch = self.branch(pool, depth, [t.dtype for t in start])
        read_in_condition = self.maybe()

        def going(i, *state):
            if not read_in_condition:
                return i < count
            return tf.logical_and(i < count, number(self.read(state, depth), 5) < 4)

        def step(i, *state):
            return [i + 1] + [tame(t) for t in branch(*state)]

        def build():
            start_at = [tf.constant(0)] + start
            return list(v1.while_loop(going, step, start_at, maximum_iterations=MOST_STEPS))[1:]

        self._inside.append("loop")
        result = self.in_control_flow(build)
        self._inside.pop()
        return result

    # functions

    def function(self, pool, depth):
        """A tf.function that captures what is around it, called once or twice."""
        args = [self.pick(pool), self.pick(pool)]
        dtypes = self.dtypes()
        captured = pool if depth == 0 else []
        self._inside.append("function")
        inner = tf.function(
            lambda a, b: self.branch(captured, depth, dtypes)(a, b), autograph=False
        )
        results = inner(*args)
        if self.maybe():
            results = inner(convert(results[-1], args[0].dtype), args[1])
        self._inside.pop()
        return self.pick(results)

    def handed_over(self, pool, depth):
        """A function of a resource, called with different variables."""
        first = self.pick(self._variables)
        same = [
            v
            for v in self._variables
            if v.dtype == first.dtype and v.shape == first.shape and hasattr(v, "handle")
        ]
        same = [v for v in same if v.op.type == "VarHandleOp"]
        if not same:
            return self.read(pool, depth)
        dtype, gather = first.dtype.base_dtype, self.maybe()

        def body(handle, t):
            if gather:
                ids = tf.stack([number(t, SIZE), 0, 1])
                rows = tf.raw_ops.ResourceGather(resource=handle, indices=ids, dtype=dtype)
            else:
                rows = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)[:SIZE]
            return tame(tf.reshape(rows, [SIZE, SIZE]) + convert(t, dtype))

        inner = tf.function(body, autograph=False)
        result = self.pick(pool)
        for _ in range(2):
            result = convert(inner(self.pick(same).handle, result), result.dtype)
        return result

    def defined(self, pool, depth):
        """A function as TensorFlow 1 made them, without captures of its own variables."""
        args = [self.pick(pool), self.pick(pool)]
        dtype = self.pick(DTYPES)

        @Defun(args[0].dtype, args[1].dtype)
        def inner(a, b):
            a.set_shape([SIZE, SIZE])
            b.set_shape([SIZE, SIZE])
            if self.maybe():
                return tame(convert(a, dtype) + convert(b, dtype))
            return convert(self.arithmetic([a, b], DEEPEST), dtype)

        result = inner(*args)
        if self.maybe():
            result = inner(convert(result, args[0].dtype), args[1])
        return tf.reshape(result, [SIZE, SIZE])

    # updates that the outputs do not need

    def updated(self, pool, depth):
        """What waits for an update of a variable of its own, as of UPDATE_OPS."""
        own = v1.get_variable(
            f"own{len(v1.global_variables())}", initializer=np.float32(1), use_resource=self.maybe()
        )
        mean = tf.reduce_mean(convert(self.pick(pool), tf.float32))
        with tf.control_dependencies([v1.assign_sub(own, (own - mean) * 0.1).op]):
            if self.maybe():
                return self.read(pool, depth)
            return tf.identity(self.pick(pool))

    def off_branch(self, pool, depth):
        """A conditional whose other branch, which changes a variable, `bind` turns off."""
        variable, dtypes = self.pick(self._variables), self.dtypes()
        off = self.branch(pool, depth, dtypes)

        def on():
            with tf.control_dependencies([v1.assign(variable, variable * 2).op]):
                return [tf.identity(t) for t in off()]

        resource = variable.op.type == "VarHandleOp"  # the only ones a v2 branch can assign
        was = v1.control_flow_v2_enabled()
        switch_control_flow(resource and self.maybe())
        results = self._list(tf.cond(self._training, on, self.branch(pool, depth, dtypes)))
        switch_control_flow(was)
        return self.pick(results)

    # what to freeze

    def case(self, graph):
        switch_control_flow(False)
        made = self.block(self._placeholders, 0)[len(self._placeholders) :]
        ends = made[-3:] + made + self._placeholders + [self._whole(v) for v in self._variables]
        ends.append(tf.strings.join([tf.as_string(convert(made[-1], tf.int64)), "!"]))
        chosen = [made[-1]] + [self.pick(ends) for _ in range(self.below(4))]
        wanted: Any = list({tensor.name: tensor for tensor in chosen}.values())
        fixed = {self._training.name: False}
        for tensor in self._flags + self._placeholders + [made[0]]:
            if self.below(4) == 0:
                fixed[tensor.name] = self.value(tensor, self.below(100))
        arguments: Dict[str, Any] = {"bind": fixed, "lower_control_flow": self.maybe()}
        fed = [t for t in self._placeholders + self._flags if t.name not in fixed]
        if self.maybe():
            fed += [t for t in made[1:-1] if self.below(3) == 0 and t.name not in fixed]
            fed = list({t.name: t for t in fed}.values())
            arguments["inputs"] = fed
            if self.maybe():
                arguments["inputs"] = {f"in{i}": tensor for i, tensor in enumerate(fed)}
        outputs = wanted
        if self.maybe():  # by names of their own one tensor may be wanted twice
            outputs = chosen
            wanted = {f"out{i}": tensor for i, tensor in enumerate(chosen)}
        arguments["outputs"] = wanted
        feeds = [{t.name: self.value(t, self.below(100)) for t in fed} for _ in range(3)]
        return Case(graph, outputs, arguments, feeds, fixed)

    def _whole(self, variable):
        resource = variable.op.type == "VarHandleOp"
        return variable.value() if resource else variable.op.outputs[0]

    def value(self, tensor, seed):
        random = np.random.RandomState(seed)
        if tensor.dtype == tf.bool:
            return bool(seed % 2)
        values = random.uniform(-4, 4, [SIZE, SIZE])
        if tensor.dtype.is_floating and seed % 7 == 0:
            values[0, 1], values[2, 0] = np.nan, np.inf
        return values.astype(tensor.dtype.as_numpy_dtype)

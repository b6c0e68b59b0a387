"""Hostile graphs. Each function gives a GraphDef, or bytes; `REFUSED` says which are refused, with
what, by all that reads frozen files and by all that freezes graphs from files."""

import tensorflow as tf

from freeze_hooks.frozen.wire import field

v1 = tf.compat.v1
FLOAT = v1.AttrValue(type=1)


def node(op, name, *inputs, **attrs):
    made = v1.NodeDef(op=op, name=name, input=inputs)
    for key, value in attrs.items():
        made.attr[key].CopyFrom(value)
    return made


def placeholder(name="x"):
    return node("Placeholder", name, dtype=FLOAT, shape=shape(2))


def identity(name, above):
    return node("Identity", name, above, T=FLOAT)


def shape(*sizes):
    value = v1.AttrValue()
    value.shape.SetInParent()
    for size in sizes:
        value.shape.dim.add(size=size)
    return value


def const(name, sizes, dtype=1, **values):
    tensor = v1.AttrValue()
    tensor.tensor.dtype = dtype
    for size in sizes:
        tensor.tensor.tensor_shape.dim.add(size=size)
    for key, value in values.items():
        if key == "tensor_content":
            tensor.tensor.tensor_content = value
        else:
            getattr(tensor.tensor, key).extend(value)
    return node("Const", name, dtype=v1.AttrValue(type=dtype), value=tensor)


def graph(*nodes):
    return v1.GraphDef(node=nodes)


def ending(*nodes):
    """A graph whose output is called as the doors want it."""
    return graph(*nodes, placeholder(), identity("probs", "x"))


def with_functions(*chain):
    """`probs` calls the function "f0"; each of (name, [nodes], returned) is one of the library."""
    made = graph(placeholder(), node("f0", "call", "x"), identity("probs", "call"))
    for name, nodes, returned in chain:
        function = made.library.function.add()
        function.signature.name = name
        function.signature.input_arg.add(name="a", type=1)
        function.signature.output_arg.add(name="r", type=1)
        function.node_def.extend(nodes)
        function.ret["r"] = returned
    return made


def a_cycle():
    """Two nodes wait for each other. Refused: no order to run them in, and walks would not end."""
    return ending(identity("a", "b"), identity("b", "a"))


def a_cycle_of_controls():
    """The same by control inputs, which are easily forgotten. Refused."""
    return ending(node("NoOp", "a", "^b"), node("NoOp", "b", "^a"))


def a_long_cycle():
    """20,000 nodes in a circle: whoever follows it by recursion overflows the stack. Refused."""
    count = 20000
    return ending(*(identity(f"n{i}", f"n{(i + 1) % count}") for i in range(count)))


def two_of_a_name():
    """One of them could be shown, and the other run. Refused."""
    return ending(identity("a", "x"), const("a", [], float_val=[1]))


def two_functions_of_a_name():
    """The same in the library. Refused."""
    return with_functions(("f0", [identity("i", "a")], "i:output:0"), ("f0", [], "a"))


def a_missing_input():
    """An input of a node that is not there. Refused."""
    return ending(identity("a", "gone"))


def a_missing_output():
    """An input that is the 1,000,000th output of a node with one. Refused."""
    return ending(identity("a", "x:1000000"))


def a_negative_output():
    """Python would take it for the last one. Refused."""
    return ending(identity("a", "x:-2"))


def too_few_inputs():
    """A Switch without its predicate, which code that trusts it looks at. Refused."""
    return ending(node("Switch", "s", "x", T=FLOAT))


def too_many_inputs():
    """Refused."""
    return ending(node("Identity", "i", "x", "x", T=FLOAT))


def a_missing_attribute():
    """A Const without a value. Refused."""
    return ending(node("Const", "c", dtype=FLOAT))


def an_attribute_of_another_kind():
    """A Const whose value is a number. Refused."""
    return ending(node("Const", "c", dtype=FLOAT, value=v1.AttrValue(i=3)))


def a_type_that_is_none():
    """A number that stands for no dtype. Refused."""
    return ending(node("Placeholder", "p", dtype=v1.AttrValue(type=77), shape=shape(1)))


def terabytes():
    """A constant of a few bytes that claims 4 TB. Refused: TensorFlow would try to have them."""
    return ending(const("c", [1 << 40], float_val=[1]))


def terabytes_of_strings():
    """The same of strings, whose length no shape tells. Refused."""
    return ending(const("c", [1 << 40], dtype=7, string_val=[b"x"]))


def an_overflowing_shape():
    """2^32 by 2^32 elements: in 64 bits, that is none. Refused."""
    return ending(const("c", [1 << 32, 1 << 32], float_val=[1]))


def a_negative_size():
    """A constant of -1 elements. Refused."""
    return ending(const("c", [-1], float_val=[1]))


def a_thousand_dimensions():
    """TensorFlow's shapes have 254 at most; to make one of more ends the process. Refused."""
    return ending(node("Placeholder", "p", dtype=FLOAT, shape=shape(*[1] * 1000)))


def a_value_too_short():
    """Four bytes for a thousand numbers: who trusts the shape reads behind them. Refused."""
    return ending(const("c", [1000], tensor_content=b"four"))


def a_value_too_long():
    """More numbers than the shape has room for. Refused."""
    return ending(const("c", [1], float_val=[1.0] * 100))


def a_trillion_outputs():
    """One node that claims 2^40 tensors. Refused."""
    split = node("Split", "s", "axis", "x", T=FLOAT, num_split=v1.AttrValue(i=1 << 40))
    return ending(const("axis", [], dtype=3, int_val=[0]), split)


def less_than_no_outputs():
    """Refused."""
    split = node("Split", "s", "axis", "x", T=FLOAT, num_split=v1.AttrValue(i=-5))
    return ending(const("axis", [], dtype=3, int_val=[0]), split)


def many_nodes_of_many_outputs():
    """A thousand nodes, each of half as many as one may claim. Refused by their sum."""
    axis = const("axis", [], dtype=3, int_val=[0])
    many = v1.AttrValue(i=1 << 19)
    splits = (node("Split", f"s{i}", "axis", "x", T=FLOAT, num_split=many) for i in range(1000))
    return ending(axis, *splits)


def a_name_with_a_newline():
    """A name that forges a line of a log. Refused: no node can be called so."""
    return ending(identity("a\nERROR: all is lost", "x"))


def a_name_that_leads_out():
    """A name that would be a path out of a directory, if it were one. It is not: harmless."""
    return ending(identity("a/../../../etc/passwd", "x"))


def an_absolute_name():
    """A name that begins with a slash. Refused: no node can be called so."""
    return ending(identity("/etc/passwd", "x"))


def a_name_of_megabytes():
    """It is quoted in errors: they stay short. Refused, since the node's input is missing."""
    return ending(identity("a" * (4 << 20), "gone"))


def a_recursive_function():
    """A function that calls itself: TensorFlow's importer overflows the stack. Refused."""
    return with_functions(("f0", [node("f0", "again", "a")], "again:r:0"))


def functions_that_call_each_other():
    """The same by a detour."""
    return with_functions(
        ("f0", [node("f1", "n", "a")], "n:r:0"), ("f1", [node("f0", "n", "a")], "n:r:0")
    )


def a_chain_of_functions():
    """3,000 functions, each of which calls the next: too deep for recursion. Refused."""
    chain = [(f"f{i}", [node(f"f{i + 1}", "n", "a")], "n:r:0") for i in range(3000)]
    return with_functions(*chain, ("f3000", [identity("n", "a")], "n:output:0"))


def a_billion_laughs():
    """40 functions, each of which calls the next twice: inlined, 2^40 nodes, and as
    many steps for TensorFlow's importer. Refused."""
    chain = [
        (f"f{i}", [node(f"f{i + 1}", "n", "a"), node(f"f{i + 1}", "m", "n:r:0")], "m:r:0")
        for i in range(40)
    ]
    return with_functions(*chain, ("f40", [identity("n", "a")], "n:output:0"))


def a_billion_branches():
    """The same by conditionals, each of whose branches is the next. Refused."""
    chain = []
    for i in range(40):
        branch = v1.AttrValue()
        branch.func.name = f"f{i + 1}"
        types = v1.AttrValue()
        types.list.type.append(1)
        attrs = {"Tcond": FLOAT, "Tin": types, "Tout": types}
        chosen = node("If", "n", "a", "a", then_branch=branch, else_branch=branch, **attrs)
        chain.append((f"f{i}", [chosen], "n:output:0"))
    return with_functions(*chain, ("f40", [identity("n", "a")], "n:output:0"))


def a_function_without_its_result():
    """Refused."""
    return with_functions(("f0", [identity("i", "a")], "gone:output:0"))


def a_function_in_a_circle():
    """A cycle in a function's body. Refused."""
    return with_functions(
        ("f0", [identity("i", "j:output:0"), identity("j", "i:output:0")], "i:output:0")
    )


def a_deep_message():
    """Attributes of lists of functions of attributes...: parsers count, and refuse. Refused."""
    value = field(3, b"")  # AttrValue.i would be a number; its bytes do not matter
    for _ in range(2000):
        entry = field(1, b"a") + field(2, value)
        value = field(1, field(9, field(1, b"f") + field(2, entry)))  # list.func.attr
    attr = field(1, b"a") + field(2, value)
    deep = field(1, field(1, b"n") + field(2, b"NoOp") + field(5, attr))
    return ending().SerializeToString() + deep


def a_long_chain():
    """A graph 5,000 nodes deep is harmless, if nothing follows it by recursion."""
    chain = [identity("n0", "x")] + [identity(f"n{i}", f"n{i - 1}") for i in range(1, 5000)]
    return graph(placeholder(), *chain, identity("probs", "n4999"))


def unknown_ops():
    """2,000 ops that nobody knows, each looked up once. It can be looked into, not run."""
    return ending(*(node(f"Op{i}", f"n{i}") for i in range(2000)))

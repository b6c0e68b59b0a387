"""Hostile graphs. Each function returns a GraphDef or bytes.

A docstring with "Refused" means that all readers of frozen files and all freezing of files refuse
it; "harmless" means that all accept it. test_attacks.py reads these words.
"""

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
    """Return a graph with the output `probs`, which all readers ask for."""
    return graph(*nodes, placeholder(), identity("probs", "x"))


def with_functions(*chain):
    """Return a graph that calls "f0", with functions (name, [nodes], returned) in its library."""
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
    """Two nodes wait for each other. Refused: they have no order, and walks would not end."""
    return ending(identity("a", "b"), identity("b", "a"))


def a_cycle_of_controls():
    """A cycle of control inputs, which code easily forgets. Refused."""
    return ending(node("NoOp", "a", "^b"), node("NoOp", "b", "^a"))


def a_long_cycle():
    """A cycle of 20,000 nodes, which overflows the stack of recursive code. Refused."""
    count = 20000
    return ending(*(identity(f"n{i}", f"n{(i + 1) % count}") for i in range(count)))


def two_of_a_name():
    """Two nodes share a name: a tool could show one, and run the other. Refused."""
    return ending(identity("a", "x"), const("a", [], float_val=[1]))


def two_functions_of_a_name():
    """Two functions share a name. Refused."""
    return with_functions(("f0", [identity("i", "a")], "i:output:0"), ("f0", [], "a"))


def a_missing_input():
    """A node takes input from a node that does not exist. Refused."""
    return ending(identity("a", "gone"))


def a_missing_output():
    """A node takes the 1,000,000th output of a node that has one. Refused."""
    return ending(identity("a", "x:1000000"))


def a_negative_output():
    """Output -2, which Python would count from the end. Refused."""
    return ending(identity("a", "x:-2"))


def too_few_inputs():
    """A Switch without its predicate, which careless code would read. Refused."""
    return ending(node("Switch", "s", "x", T=FLOAT))


def too_many_inputs():
    """An Identity of two inputs. Refused."""
    return ending(node("Identity", "i", "x", "x", T=FLOAT))


def a_missing_attribute():
    """A Const without a value. Refused."""
    return ending(node("Const", "c", dtype=FLOAT))


def an_attribute_of_another_kind():
    """A Const whose value is a number. Refused."""
    return ending(node("Const", "c", dtype=FLOAT, value=v1.AttrValue(i=3)))


def a_type_that_is_none():
    """A number that is not a dtype. Refused."""
    return ending(node("Placeholder", "p", dtype=v1.AttrValue(type=77), shape=shape(1)))


def terabytes():
    """A constant of a few bytes that claims 4 TB. Refused: TensorFlow would try to allocate it."""
    return ending(const("c", [1 << 40], float_val=[1]))


def terabytes_of_strings():
    """Strings that claim a huge shape, which tells nothing about their length. Refused."""
    return ending(const("c", [1 << 40], dtype=7, string_val=[b"x"]))


def an_overflowing_shape():
    """2^32 by 2^32 elements, which is 0 in 64 bits. Refused."""
    return ending(const("c", [1 << 32, 1 << 32], float_val=[1]))


def a_negative_size():
    """A constant of -1 elements. Refused."""
    return ending(const("c", [-1], float_val=[1]))


def a_thousand_dimensions():
    """A shape of over 254 dimensions, which ends TensorFlow's process. Refused."""
    return ending(node("Placeholder", "p", dtype=FLOAT, shape=shape(*[1] * 1000)))


def a_value_too_short():
    """Four bytes for a thousand numbers: code that trusts the shape reads past them. Refused."""
    return ending(const("c", [1000], tensor_content=b"four"))


def a_value_too_long():
    """More numbers than the shape allows. Refused."""
    return ending(const("c", [1], float_val=[1.0] * 100))


def a_trillion_outputs():
    """One node that claims 2^40 tensors. Refused."""
    split = node("Split", "s", "axis", "x", T=FLOAT, num_split=v1.AttrValue(i=1 << 40))
    return ending(const("axis", [], dtype=3, int_val=[0]), split)


def less_than_no_outputs():
    """A node of -5 outputs. Refused."""
    split = node("Split", "s", "axis", "x", T=FLOAT, num_split=v1.AttrValue(i=-5))
    return ending(const("axis", [], dtype=3, int_val=[0]), split)


def many_nodes_of_many_outputs():
    """A thousand nodes, each with half the allowed number of outputs. Refused for the sum."""
    axis = const("axis", [], dtype=3, int_val=[0])
    many = v1.AttrValue(i=1 << 19)
    splits = (node("Split", f"s{i}", "axis", "x", T=FLOAT, num_split=many) for i in range(1000))
    return ending(axis, *splits)


def a_name_with_a_newline():
    """A name that forges a line of a log. Refused: nodes cannot have such names."""
    return ending(identity("a\nERROR: all is lost", "x"))


def a_name_that_leads_out():
    """A name that would lead out of a directory if it were a path. It is not: harmless."""
    return ending(identity("a/../../../etc/passwd", "x"))


def an_absolute_name():
    """A name that begins with a slash. Refused: nodes cannot have such names."""
    return ending(identity("/etc/passwd", "x"))


def a_name_of_megabytes():
    """A name of 4 MiB: errors that quote it stay short. Refused: the node's input is missing."""
    return ending(identity("a" * (4 << 20), "gone"))


def a_recursive_function():
    """A function that calls itself, which overflows the stack of TensorFlow's importer. Refused."""
    return with_functions(("f0", [node("f0", "again", "a")], "again:r:0"))


def functions_that_call_each_other():
    """Two functions that call each other."""
    return with_functions(
        ("f0", [node("f1", "n", "a")], "n:r:0"), ("f1", [node("f0", "n", "a")], "n:r:0")
    )


def a_chain_of_functions():
    """3,000 functions that call each other in a chain, too deep for recursion. Refused."""
    chain = [(f"f{i}", [node(f"f{i + 1}", "n", "a")], "n:r:0") for i in range(3000)]
    return with_functions(*chain, ("f3000", [identity("n", "a")], "n:output:0"))


def a_billion_laughs():
    """40 functions; each calls the next twice. Refused.

    Inlining would make 2^40 nodes, and TensorFlow's importer would take as many steps.
    """
    chain = [
        (f"f{i}", [node(f"f{i + 1}", "n", "a"), node(f"f{i + 1}", "m", "n:r:0")], "m:r:0")
        for i in range(40)
    ]
    return with_functions(*chain, ("f40", [identity("n", "a")], "n:output:0"))


def a_billion_branches():
    """40 functions; each has a conditional whose two branches are the next. Refused."""
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
    """A function that returns the output of a missing node. Refused."""
    return with_functions(("f0", [identity("i", "a")], "gone:output:0"))


def a_function_in_a_circle():
    """A cycle in a function's body. Refused."""
    return with_functions(
        ("f0", [identity("i", "j:output:0"), identity("j", "i:output:0")], "i:output:0")
    )


def a_deep_message():
    """Attributes nested 2,000 deep; protobuf's parsers have a limit. Refused."""
    value = field(3, b"")  # AttrValue.i would be a number; its bytes do not matter
    for _ in range(2000):
        entry = field(1, b"a") + field(2, value)
        value = field(1, field(9, field(1, b"f") + field(2, entry)))  # list.func.attr
    attr = field(1, b"a") + field(2, value)
    deep = field(1, field(1, b"n") + field(2, b"NoOp") + field(5, attr))
    return ending().SerializeToString() + deep


def a_long_chain():
    """A graph 5,000 nodes deep is harmless, if no code follows it by recursion."""
    chain = [identity("n0", "x")] + [identity(f"n{i}", f"n{i - 1}") for i in range(1, 5000)]
    return graph(placeholder(), *chain, identity("probs", "n4999"))


def unknown_ops():
    """2,000 unknown ops, each looked up once. The file can be inspected, but not run."""
    return ending(*(node(f"Op{i}", f"n{i}") for i in range(2000)))

"""An expression in x, checked before it is evaluated: numbers, operators, and the names of math."""

import ast
import math

NODES = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Load, ast.Constant,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod, ast.Pow, ast.USub, ast.UAdd,
)


def parse(text):
    """A function of x. Raises ValueError for what is no such expression."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ValueError("cannot use the expression '%s': %s" % (text, error)) from None
    names = {name: value for name, value in vars(math).items() if not name.startswith("_")}
    for node in ast.walk(tree):
        allowed = isinstance(node, NODES)
        if isinstance(node, ast.Constant):
            allowed = type(node.value) in (int, float)
        elif isinstance(node, ast.Name):
            allowed = node.id == "x" or node.id in names
        elif isinstance(node, ast.Call):
            allowed = isinstance(node.func, ast.Name) and not node.keywords
        if not allowed:
            what = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise ValueError("cannot use the expression '%s': '%s' is not allowed" % (text, what))
    code = compile(tree, "<expression>", "eval")
    return lambda x: eval(code, {"__builtins__": {}}, dict(names, x=x))

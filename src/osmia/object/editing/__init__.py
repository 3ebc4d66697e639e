"""Edit a function of an Object by instruction: put code in, replace it, take it out.

    edit = FunctionEditor(obj, "ingress")
    call = edit.label(17)
    edit.insert_before(call, "if r3 == 0 goto past", labels={"past": edit.label(18)})
    obj, moved = edit.apply()

Edits are said in labels of the function as it was, so that none has to know of another, and
`apply` does all of them in one go: code is copied in runs, never instruction by instruction.
Jumps (`gotox` and its tables too), calls and addresses within the function go on to the
instructions that they went to; relocations, CO-RE records, source lines and every other table
of the function stay with their instructions.
"""

from osmia.object.editing.editor import FunctionEditor, apply_edits
from osmia.object.editing.new_code import Code, Label, NewCode
from osmia.object.editing.rebuild import Moved

__all__ = ["Code", "FunctionEditor", "Label", "Moved", "NewCode", "apply_edits"]

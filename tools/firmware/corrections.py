"""What is changed in the sources of MicroPython before they are built."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from problem import Problem

_ROM_OBJECTS = Path(__file__).with_name("romobjects.py")


@dataclass(frozen=True)
class Correction:
    """`needed`: what goes wrong without it."""

    file: str
    old: str
    new: str
    needed: str = ""


# The hooks of romobjects.py: what stands for a function may be the function itself, a class body
# its dict, and the globals of such functions are known by a context at a fixed place.
_IMPORT = (
    "extern const mp_module_context_t *mp_frozen_context("
    "const mp_module_context_t *module, const void *frozen);\n"
)
_OBJECTS = (
    Correction(
        "tools/mpy-tool.py",
        'if __name__ == "__main__":\n    main()',
        'if __name__ == "__main__":\n'
        "    import romobjects\n\n"
        "    romobjects.install(sys.modules[__name__])\n"
        "    main()",
    ),
    Correction(
        "py/emitglue.c",
        "    if (mp_proto_fun_is_bytecode(proto_fun)) {\n",
        "    extern bool mp_frozen_is_object(const void *what);\n"
        "    if (mp_frozen_is_object(proto_fun)) {\n"
        "        return MP_OBJ_FROM_PTR(proto_fun);\n"
        "    }\n"
        "    if (mp_proto_fun_is_bytecode(proto_fun)) {\n",
    ),
    Correction(
        "py/modbuiltins.c",
        "    mp_obj_t class_locals = mp_obj_new_dict(0);\n"
        "    mp_locals_set(MP_OBJ_TO_PTR(class_locals));\n\n"
        "    // call the class code\n"
        "    mp_obj_t cell = mp_call_function_0(args[0]);\n",
        "    mp_obj_t class_locals = args[0];\n"
        "    mp_obj_t cell = mp_const_none;\n"
        "    if (!mp_obj_is_type(class_locals, &mp_type_dict)) {\n"
        "        class_locals = mp_obj_new_dict(0);\n"
        "        mp_locals_set(MP_OBJ_TO_PTR(class_locals));\n\n"
        "        // call the class code\n"
        "        cell = mp_call_function_0(args[0]);\n"
        "    }\n",
    ),
    Correction(
        "py/builtinimport.c",
        "            do_execute_proto_fun(module_obj, frozen->proto_fun, frozen_file_qstr);\n",
        f"            {_IMPORT}"
        "            do_execute_proto_fun(\n"
        "                mp_frozen_context(module_obj, frozen), frozen->proto_fun, "
        "frozen_file_qstr);\n",
    ),
    Correction(
        "shared/runtime/pyexec.c",
        "            module_fun = mp_make_function_from_proto_fun("
        "frozen->proto_fun, ctx, NULL);\n        } else",
        f"            {_IMPORT}"
        "            module_fun = mp_make_function_from_proto_fun(\n"
        "                frozen->proto_fun, mp_frozen_context(ctx, frozen), NULL);\n        } else",
    ),
    Correction(
        "py/gc.c",
        "    gc_collect_root(ptrs + root_start / sizeof(void *), "
        "(root_end - root_start) / sizeof(void *));\n",
        "    gc_collect_root(ptrs + root_start / sizeof(void *), "
        "(root_end - root_start) / sizeof(void *));\n"
        "    #if MICROPY_MODULE_FROZEN_MPY\n"
        "    extern void mp_frozen_collect(void);\n"
        "    mp_frozen_collect();\n"
        "    #endif\n",
    ),
)  # fmt: skip

CORRECTIONS = (
    # Thumb loads its literals from multiples of four.
    Correction(
        "tools/mpy-tool.py", "aligned (2)", "aligned (4)",
        "this MicroPython puts frozen viper code where the chip misreads its constants",
    ),
    # Meant to run from RAM, where no cache miss delays them; objects are called .o now.
    Correction("ports/rp2/memmap_mp_rp2040.ld", ".c.obj", ".c.o*"),
    # A second firmware in the same flash is linked for another place (halves.py).
    Correction(
        "ports/rp2/memmap_mp_rp2040.ld", "ORIGIN = 0x10000000,",
        "ORIGIN = DEFINED(__flash_origin) ? __flash_origin : 0x10000000,",
    ),
    # A list of the frozen modules that only picotool reads.
    Correction(
        "tools/mpy-tool.py", 'print("#ifdef MICROPY_FROZEN_LIST_ITEM")', 'print("#if 0")'
    ),
    # Machines of QEMU that the port has not: their UART is elsewhere, and the stack is a Pico's.
    Correction(
        "ports/qemu/uart.c", "((UART_t *)(0x40004000))", "((UART_t *)(MICROPY_HW_UART0_BASE))"
    ),
    Correction(
        "ports/qemu/main.c", "mp_stack_set_limit(10240);", "mp_stack_set_limit(0x4000 - 256);"
    ),
    *_OBJECTS,
)  # fmt: skip


def digest() -> bytes:
    """Of all that is changed: a tree is corrected once."""
    return hashlib.sha256(repr(CORRECTIONS).encode() + _ROM_OBJECTS.read_bytes()).digest()


def apply(tree: Path) -> None:
    for correction in CORRECTIONS:
        path = tree / correction.file
        text = path.read_text()
        if correction.old not in text:
            raise Problem(f"{correction.file} of this MicroPython is not as it is known here")
        path.write_text(text.replace(correction.old, correction.new))
    shutil.copy(_ROM_OBJECTS, tree / "tools")


def check(tree: Path) -> None:
    """A checkout is its owner's: it is not changed, only refused."""
    for correction in CORRECTIONS:
        text = (tree / correction.file).read_text() if correction.needed else ""
        if correction.needed and correction.old in text:
            raise Problem(
                f"{correction.needed}: run  sed -i "
                f"'s/{correction.old}/{correction.new}/' {tree / correction.file}"
            )

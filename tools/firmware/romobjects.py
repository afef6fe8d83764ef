"""Frozen methods and classes as objects in flash, where MicroPython makes them in RAM.

Loaded by `mpy-tool.py` (see sources.CORRECTIONS), whose classes it is given. A function has 16
octets of heap and an entry in a dict; a class has a dict with them all. What such an object is
stands firm when the image is built, so that it can be written into `frozen_content.c`:

- a method that is made without default values or cells: `mp_frozen_objects.functions`;
- the dict of a class whose body only defines such functions, constants and properties:
  `mp_frozen_objects.dicts`. `__module__` and `__qualname__` are left out: nobody asks for them.

A function has to name its module's globals: each frozen module has a context at a fixed place for
that, filled in by its import. Functions of a module itself are few and stay in RAM: the flash is
nearer to its budget than the heap. The same constant of several modules is written once, and the
name of a module's file is its dotted name, which is there anyhow.
"""

from __future__ import annotations

from typing import Any

DECLARATIONS = """
#include "py/gc.h"

// As mp_obj_fun_bc_t, with `count` default values.
#define MP_FROZEN_FUNCTION(count) struct { \\
        mp_obj_base_t base; \\
        const mp_module_context_t *context; \\
        const void *child_table; \\
        const byte *bytecode; \\
        mp_rom_obj_t defaults[count]; \\
}

struct _mp_frozen_objects_t {
    MP_FROZEN_FUNCTION(0) functions[%(functions)d];
    mp_obj_dict_t dicts[%(dicts)d];
};
static const struct _mp_frozen_objects_t mp_frozen_objects;

static mp_module_context_t mp_frozen_contexts[%(modules)d];
"""

HOOKS = """
// Whether what stands for a function in a table is the object itself.
bool mp_frozen_is_object(const void *what) {
    return (uintptr_t)what - (uintptr_t)&mp_frozen_objects < sizeof(mp_frozen_objects);
}

// The context of a frozen module that is being imported as `module`.
const mp_module_context_t *mp_frozen_context(
    const mp_module_context_t *module, const void *frozen) {
    for (size_t i = 0; i < MP_ARRAY_SIZE(mp_frozen_contexts); ++i) {
        if (mp_frozen_mpy_content[i] == frozen) {
            mp_frozen_contexts[i] = *module;
            return &mp_frozen_contexts[i];
        }
    }
    return module;
}

void mp_frozen_collect(void) {
    gc_collect_root((void **)mp_frozen_contexts, sizeof(mp_frozen_contexts) / (sizeof(void *)));
}
"""


class _NotFirm(Exception):
    """A class body that does more than to define."""


class _Function:
    """A method: the C expression of the function object, with default values or without."""

    def __init__(self, code: Any, defaults: tuple[Any, ...] = ()):
        self.code = code
        self.defaults = defaults


class _Wrapped:
    """property(function), staticmethod(function), classmethod(function)."""

    def __init__(self, kind: str, function: _Function):
        self.kind = kind
        self.function = function


_WRAPPERS = ("property", "staticmethod", "classmethod")
_NULL = object()


class _Qstr:
    """A string of the table of names."""

    def __init__(self, name: Any):
        self.name = name


class _Obj:
    """A constant, by its place in the module's table."""

    def __init__(self, index: int):
        self.index = index


class Rom:
    """What is to be written, collected from all modules."""

    def __init__(self, tool: Any):
        self.tool = tool
        self.functions: list[Any] = []
        self.dicts: list[tuple[Any, dict[Any, Any]]] = []
        self.modules: list[Any] = []
        self.constants: dict[int, list[str]] = {}  # C expressions, by id of a module's table
        self.known: dict[Any, str] = {}

    def prepare(self, modules: list[Any]) -> None:
        self.modules = modules
        for context, module in enumerate(modules):
            self.survey(module.raw_code, context, False)
            path = module.source_file.str
            dotted = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            module.source_file = self.tool.QStrType(path)
            module.qstr_table[0].__init__(dotted)

    def declarations(self) -> str:
        return DECLARATIONS % {
            "functions": len(self.functions),
            "dicts": len(self.dicts),
            "modules": len(self.modules),
        }

    # --- what a module has -----------------------------------------------------

    def operations(self, code: Any) -> Any:
        at = code.offset_opcodes
        while at < len(code.fun_data):
            form, size, argument, extra = self.tool.mp_opcode_decode(code.fun_data, at)
            name, *implied = self.tool.Opcode.mapping[code.fun_data[at]].split(" ")
            if form == self.tool.MP_BC_FORMAT_QSTR:
                argument = code.qstr_table[argument]
            elif argument is None and implied:
                argument = int(implied[0])
            yield name, argument, extra
            at += size

    def survey(self, code: Any, context: int, functions: bool = True) -> None:
        """Decides for everything that `code` makes, and for what is in that."""
        code.context = context
        before = None
        uses: dict[int, str] = {}
        for name, argument, _ in self.operations(code):
            if name.startswith(("MAKE_FUNCTION", "MAKE_CLOSURE")):
                body = name == "MAKE_FUNCTION" and before == "LOAD_BUILD_CLASS"
                uses[argument] = "many" if argument in uses else "class" if body else name
            before = name
        for index, child in enumerate(code.children):
            if not isinstance(child, self.tool.RawCodeBytecode):
                continue
            use = uses.get(index)
            if use == "MAKE_FUNCTION" and functions:
                self.function(child)
            elif use == "class":
                self.class_body(child)
            self.survey(child, context)

    def function(self, code: Any) -> None:
        code.rom = f"&mp_frozen_objects.functions[{len(self.functions)}]"
        self.functions.append(code)

    def class_body(self, code: Any) -> None:
        try:
            entries = self.entries(code)
        except _NotFirm:
            return
        code.rom = f"&mp_frozen_objects.dicts[{len(self.dicts)}]"
        code.defines = True
        self.dicts.append((code, entries))
        for value in entries.values():
            function = value.function if isinstance(value, _Wrapped) else value
            if isinstance(function, _Function) and function.defaults:
                function.code.rom = f"&method_{function.code.escaped_name}"

    def entries(self, code: Any) -> dict[Any, Any]:
        """What the body of a class defines: {name: value}."""
        stack: list[Any] = []
        entries: dict[str, Any] = {}
        names: dict[str, Any] = {}
        for name, argument, extra in self.operations(code):
            if name == "RETURN_VALUE":
                if stack != [None]:
                    break  # the cell of `super()`
                return {names[key]: value for key, value in entries.items()}
            if name == "STORE_NAME":
                value = stack.pop()
                if argument.str in ("__module__", "__qualname__"):
                    continue
                if value is _NULL or isinstance(value, str) or argument.str == "__new__":
                    break
                entries[argument.str] = value
                names[argument.str] = argument
            elif not self.pushes(code, stack, entries, name, argument, extra):
                break
        raise _NotFirm

    def pushes(
        self, code: Any, stack: list[Any], entries: dict[str, Any],
        name: str, argument: Any, extra: int,
    ) -> bool:  # fmt: skip
        if name == "LOAD_CONST_SMALL_INT":
            stack.append(argument)
        elif name == "LOAD_CONST_STRING":
            stack.append(_Qstr(argument))
        elif name == "LOAD_CONST_OBJ":
            stack.append(_Obj(argument))
        elif name in ("LOAD_CONST_NONE", "LOAD_CONST_TRUE", "LOAD_CONST_FALSE"):
            stack.append({"NONE": None, "TRUE": True, "FALSE": False}[name[11:]])
        elif name == "LOAD_NULL":
            stack.append(_NULL)
        elif name == "LOAD_NAME" and argument.str in entries:
            stack.append(entries[argument.str])
        elif name == "LOAD_NAME" and argument.str in (*_WRAPPERS, "__name__"):
            stack.append(argument.str)
        elif name == "BUILD_TUPLE":
            items = tuple(stack[len(stack) - argument :])
            del stack[len(stack) - argument :]
            stack.append(items)
        elif name.startswith("MAKE_FUNCTION"):
            child = code.children[argument]
            if not isinstance(child, self.tool.RawCodeBytecode):
                return False
            defaults: tuple[Any, ...] = ()
            if name == "MAKE_FUNCTION_DEFARGS":
                if stack.pop() is not _NULL:
                    return False  # of keywords
                defaults = stack.pop()
            stack.append(_Function(child, defaults))
        elif name == "CALL_FUNCTION" and argument == 1 and isinstance(stack[-2], str):
            function, kind = stack.pop(), stack.pop()
            if kind not in _WRAPPERS or not isinstance(function, _Function):
                return False
            stack.append(_Wrapped(kind, function))
        else:
            return False
        return True

    # --- what is written -------------------------------------------------------

    def function_fields(self, code: Any) -> str:
        generator = code.scope_flags & self.tool.MP_SCOPE_FLAG_GENERATOR
        kind = "mp_type_gen_wrap" if generator else "mp_type_fun_bc"
        children = f"children_{code.escaped_name}" if code.children else "NULL"
        return (
            f"{{&{kind}}}, &mp_frozen_contexts[{code.context}], {children}, "
            f"fun_data_{code.escaped_name}"
        )

    def value(self, code: Any, name: str, value: Any) -> str:
        """The C expression of a value of a class; what it needs is printed before."""
        if value is None or isinstance(value, bool):
            return f"MP_ROM_{str(value).upper()}"
        if isinstance(value, int):
            return f"MP_ROM_INT({value})"
        if isinstance(value, _Qstr):
            return f"MP_ROM_QSTR({value.name.qstr_id})"
        if isinstance(value, _Obj):
            return self.constants[id(code.obj_table)][value.index]
        if isinstance(value, tuple):
            if not value:
                return "MP_ROM_PTR(&mp_const_empty_tuple_obj)"
            items = [self.value(code, f"{name}_{k}", item) for k, item in enumerate(value)]
            print(f"static const mp_rom_obj_tuple_t {name} = "
                  f"{{{{&mp_type_tuple}}, {len(items)}, {{{', '.join(items)}}}}};")  # fmt: skip
            return f"MP_ROM_PTR(&{name})"
        if isinstance(value, _Wrapped):
            function = self.value(code, name + "_of", value.function)
            fields = f"{{&mp_type_{value.kind}}}, {function}"
            if value.kind == "property":
                print("static const struct { mp_obj_base_t base; mp_rom_obj_t proxy[3]; } "
                      f"{name} = {{{{&mp_type_property}}, "
                      f"{{{function}, MP_ROM_NONE, MP_ROM_NONE}}}};")  # fmt: skip
            else:
                print(f"static const mp_rom_obj_static_class_method_t {name} = {{{fields}}};")
            return f"MP_ROM_PTR(&{name})"
        made = value.code
        if value.defaults:
            defaults = [
                self.value(code, f"{name}_{k}", item) for k, item in enumerate(value.defaults)
            ]
            print(f"static const MP_FROZEN_FUNCTION({len(defaults)}) {made.rom[1:]} = "
                  f"{{{self.function_fields(made)}, {{{', '.join(defaults)}}}}};")  # fmt: skip
        return f"MP_ROM_PTR({made.rom})"

    def table(self, code: Any, entries: dict[Any, Any]) -> None:
        """A hash table as mp_map_lookup reads it, with no place left."""
        config = self.tool.config
        slots: list[str | None] = [None] * len(entries)
        for key, value in entries.items():
            octets = bytes(key.str, "utf8")
            at = self.tool.qstrutil.compute_hash(octets, config.MICROPY_QSTR_BYTES_IN_HASH)
            at %= len(slots)
            while slots[at] is not None:
                at = (at + 1) % len(slots)
            name = f"in_{code.escaped_name}_{key.qstr_esc}"
            slots[at] = f"{{MP_ROM_QSTR({key.qstr_id}), {self.value(code, name, value)}}}"
        print(f"static const mp_rom_map_elem_t dict_{code.escaped_name}[] = {{")
        for slot in slots:
            print(f"    {slot},")
        print("};")

    def write(self) -> None:
        for code, entries in self.dicts:
            if entries:
                self.table(code, entries)
        print("static const struct _mp_frozen_objects_t mp_frozen_objects = {")
        print("    .functions = {")
        for code in self.functions:
            print(f"        {{{self.function_fields(code)}, {{}}}},")
        print("    },")
        print("    .dicts = {")
        for code, entries in self.dicts:
            at = f"(mp_map_elem_t *)dict_{code.escaped_name}" if entries else "NULL"
            print("        {{&mp_type_dict}, {.all_keys_are_qstrs = 1, .is_fixed = 1, "
                  f".is_ordered = 0, .used = {len(entries)}, .alloc = {len(entries)}, "
                  f".table = {at}}}}},")  # fmt: skip
        print("    },")
        print("};")
        print(HOOKS)


def install(tool: Any) -> None:
    """Into the module of mpy-tool.py."""
    rom = Rom(tool)
    freeze_all = tool.freeze_mpy
    freeze_module = tool.CompiledModule.freeze
    freeze_constant = tool.CompiledModule.freeze_constant_obj
    freeze_code = tool.RawCodeBytecode.freeze
    freeze_raw_code = tool.RawCode.freeze_raw_code

    def all_modules(names: Any, modules: list[Any]) -> None:
        rom.prepare(modules)
        freeze_all(names, modules)
        rom.write()

    def module(self: Any, index: int) -> None:
        if index == 0:
            print(rom.declarations())
        freeze_module(self, index)

    def constant(self: Any, name: str, value: Any) -> str:
        key = (type(value), repr(value))
        if key not in rom.known:
            rom.known[key] = freeze_constant(self, name, value)
        if name.removeprefix(f"const_obj_{self.escaped_name}_").isdigit():
            rom.constants.setdefault(id(self.obj_table), []).append(rom.known[key])
        return rom.known[key]

    def code(self: Any) -> None:
        if hasattr(self, "defines"):
            for child in self.children:
                child.freeze()
        else:
            freeze_code(self)

    def children(self: Any, prelude: str | None = None) -> None:
        if not self.children:
            return
        for child in self.children:
            child.freeze()
        print(f"static const mp_raw_code_t *const children_{self.escaped_name}[] = {{")
        for child in self.children:
            rom_object = getattr(child, "rom", f"&proto_fun_{child.escaped_name}")
            print(f"    (const mp_raw_code_t *){rom_object},")
        if prelude:
            print(f"    (void *){prelude},")
        print("};")

    def raw_code(self: Any, *arguments: Any) -> None:
        if not hasattr(self, "rom"):
            freeze_raw_code(self, *arguments)

    tool.freeze_mpy = all_modules
    tool.CompiledModule.freeze = module
    tool.CompiledModule.freeze_constant_obj = constant
    tool.RawCodeBytecode.freeze = code
    tool.RawCode.freeze_children = children
    tool.RawCode.freeze_raw_code = raw_code

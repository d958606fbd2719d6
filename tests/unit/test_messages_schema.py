#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""client/messages.xml says the same as client/messages.h: the schema's offsets and block lengths
against what the C compiler made of the structs.

Usage: test_messages_schema.py SOURCE_ROOT COMPILER [FLAG…]"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

ROOT, COMPILER = sys.argv[1], sys.argv[2:]
SBE = "{http://fixprotocol.io/2016/sbe}"
PRIMITIVE_BYTES = {"uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8}
C_NAMES = {"blockLength": "block_bytes"}


def snake(name):
    return C_NAMES.get(name) or re.sub("([A-Z])", r"_\1", name).lower().lstrip("_")


class Schema:
    def __init__(self, path):
        self.root = ElementTree.parse(path).getroot()
        self.bytes = dict(PRIMITIVE_BYTES)
        for one in self.root.findall("types/type"):
            self.bytes[one.get("name")] = (
                PRIMITIVE_BYTES[one.get("primitiveType")] * int(one.get("length", "1")))
        for kind in ("enum", "set"):
            for one in self.root.findall(f"types/{kind}"):
                self.bytes[one.get("name")] = PRIMITIVE_BYTES[one.get("encodingType")]
        self.messages = self.root.findall(f"{SBE}message")

    def composite(self, name):
        found = [c for c in self.root.findall("types/composite") if c.get("name") == name]
        return found[0] if len(found) == 1 else None


def compiled(lines):
    """Prints the values of C expressions: {expression: value}."""
    body = "".join(f'printf("%zu\\n", (size_t)({line}));' for line in lines)
    source = f'#include "client/messages.h"\n#include <stdio.h>\nint main(void){{{body}}}\n'
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "layout")
        subprocess.run([*COMPILER, "-I", ROOT, "-x", "c", "-", "-o", program], check=True,
                       input=source.encode())
        out = subprocess.run([program], check=True, stdout=subprocess.PIPE).stdout
    return dict(zip(lines, map(int, out.split())))


class SchemaTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = Schema(os.path.join(ROOT, "client", "messages.xml"))

    def test_schema_when_read_then_names_id_version_and_byte_order(self):
        values = compiled(["CLI_SCHEMA_ID", "CLI_SCHEMA_VERSION"])
        root = self.schema.root
        self.assertEqual(root.tag, SBE + "messageSchema")
        self.assertEqual(int(root.get("id")), values["CLI_SCHEMA_ID"])
        self.assertEqual(int(root.get("version")), values["CLI_SCHEMA_VERSION"])
        self.assertEqual(root.get("byteOrder"), "littleEndian")
        self.assertEqual(root.get("package"), "standfast.client")

    def test_header_and_var_data_when_compared_then_as_the_structs(self):
        header = self.schema.composite("messageHeader")
        names = [t.get("name") for t in header]
        self.assertEqual(names, ["blockLength", "templateId", "schemaId", "version"])
        lines = [f"offsetof(struct cli_header, {snake(n)})" for n in names]
        values = compiled(lines)
        self.assertEqual([values[line] for line in lines], [0, 2, 4, 6])
        self.assertEqual({t.get("primitiveType") for t in header}, {"uint16"})
        data = self.schema.composite("varDataEncoding")
        self.assertEqual([(t.get("name"), t.get("primitiveType")) for t in data],
                         [("length", "uint16"), ("varData", "uint8")])
        self.assertEqual(data[1].get("length"), "0")

    def test_messages_when_compared_then_five_with_the_structs_layouts(self):
        self.assertEqual(len(self.schema.messages), 5)
        for message in self.schema.messages:
            struct = "struct cli_" + snake(message.get("name"))
            template = "CLI_" + snake(message.get("name")).upper()
            fields = message.findall("field")
            where = {f.get("name"): f"offsetof({struct}, {snake(f.get('name'))})" for f in fields}
            size = {f.get("name"): f"sizeof((({struct} *)0)->{snake(f.get('name'))})"
                    for f in fields}
            values = compiled([template, f"sizeof({struct})", *where.values(), *size.values()])
            with self.subTest(message=message.get("name")):
                self.assertEqual(int(message.get("id")), values[template])
                self.assertEqual(int(message.get("blockLength")), values[f"sizeof({struct})"])
                at = 0
                for field in fields:
                    name = field.get("name")
                    self.assertEqual(int(field.get("offset")), at, name)
                    self.assertEqual(int(field.get("offset")), values[where[name]], name)
                    self.assertEqual(self.schema.bytes[field.get("type")], values[size[name]], name)
                    at += values[size[name]]
                self.assertEqual(at, int(message.get("blockLength")))
                data = message.findall("data")
                self.assertEqual([d.get("type") for d in data], ["varDataEncoding"])
                ids = [int(f.get("id")) for f in [*fields, *data]]
                self.assertEqual(ids, list(range(1, len(ids) + 1)))

    def test_statuses_when_compared_then_the_enum_values(self):
        enum = [e for e in self.schema.root.findall("types/enum") if e.get("name") == "Status"][0]
        names = {f"CLI_{v.get('name')}": int(v.text) for v in enum}
        self.assertEqual(compiled(list(names)), names)
        self.assertEqual(sorted(names.values()), list(range(8)))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)

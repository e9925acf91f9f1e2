"""Tables that lie elsewhere, and results that go there: the same rows, all of them or none, and no secret in a word."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.request import urlopen

import numpy as np
import polars as pl
import pytest

import tsx
from tests.io.s3_server import PROGRAM, options, s3_server
from tsx.cli.main import main
from tsx.errors import DataError, MissingDependency, NotFound, TsxError, WriteError
from tsx.io import remote
from tsx.io.destination import check_destination, is_destination
from tsx.io.objects import Object
from tsx.io.remote import is_remote, place_of, stores_opened_with
from tsx.io.source import scan, where_of
from tsx.io.writing import write_table
from tsx.store import copies
from tsx.store.catalog import list_versions
from tsx.store.layout import Pointer, damaged
from tsx.workflows.elsewhere import inputs_changed

ROOT = Path(__file__).parents[2]
CANARY = "Zq7canary4tQ"
"""A secret."""


def table(rows: int = 60) -> pl.DataFrame:
    random = np.random.default_rng(0)
    steps = np.tile(np.arange(rows), 3)
    y = 5 + np.sin(steps / 3) + 0.1 * random.normal(size=3 * rows)
    return pl.DataFrame({"id": np.repeat(["a", "b", "c"], rows), "t": steps, "y": y})


def rows_of(source: Any) -> pl.DataFrame:
    return scan(source).rows.collect()


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("s3://bucket/sales.parquet", "s3://bucket/sales.parquet"),
        (f"https://anna:{CANARY}@host:8080/a.parquet?token={CANARY}#x", "https://host:8080/a.parquet"),
        (f"az://box@account.blob/a.parquet?sig={CANARY}", "az://account.blob/a.parquet"),
        (f"delta:s3://key:{CANARY}@bucket/sales", "delta:s3://bucket/sales"),
        ("delta:folder/sales", "delta:folder/sales"),
        (f"iceberg:gs:/key:{CANARY}@bucket/sales", "iceberg:gs://bucket/sales"),
    ],
)
def test_a_place_is_what_is_left_without_users_and_signatures(source: str, place: str) -> None:
    assert is_remote(source)
    assert place_of(source) == where_of(source) == where_of([source]) == place


def test_a_place_that_lost_a_slash_as_a_path_is_still_one() -> None:
    for place in (f"https://anna:{CANARY}@host/a/b?token={CANARY}", f"S3://key:{CANARY}@host/a/b"):
        scheme = place.partition("://")[0].casefold()
        assert place_of(Path(place)) == f"{scheme}://host/a/b"
    for path in ("sales.csv", "C:/sales.csv", "notes:/sales.csv", "/https:/sales.csv"):
        assert place_of(path) == path


@pytest.mark.parametrize("source", ["sales.parquet", "/data/s3/sales.parquet", "s3", "C:/sales.csv", Path("folder")])
def test_files_and_folders_are_not_elsewhere(source: Any) -> None:
    assert not is_remote(source)


def test_what_is_no_parquet_in_a_store_needs_a_package_that_fetches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="obstore") as caught:
        scan(f"s3://bucket/sales.csv?signature={CANARY}")
    assert CANARY not in json.dumps(caught.value.to_dict())


HEADERS: list[str | None] = []
"""What the server was given as a password, a request each."""
ASKED: list[str] = []
"""What the server was asked for."""


class Silent(SimpleHTTPRequestHandler):
    """Serves the files of a folder, as whole ones or in ranges, which Parquet is read by."""

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        HEADERS.append(self.headers.get("Authorization"))
        ASKED.append(self.path)
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        wanted = self.headers.get("Range")
        begin, end = 0, len(content) - 1
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = (int(first), min(int(last or end), end)) if first else (max(0, len(content) - int(last)), end)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(end + 1 - begin))
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{end}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[begin : end + 1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    HEADERS.clear()
    ASKED.clear()
    (tmp_path / "served").mkdir()
    table().write_parquet(tmp_path / "served" / "sales.parquet")
    serving = HTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(tmp_path / "served")))
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


def test_a_table_behind_http_is_the_one_on_the_disk(server: str) -> None:
    assert rows_of(f"{server}/sales.parquet").equals(table())
    with pytest.raises(NotFound) as caught:
        rows_of(f"{server}/none.parquet?token={CANARY}")
    assert caught.value.code == "file-not-found"
    assert CANARY not in json.dumps(caught.value.to_dict())


@pytest.mark.parametrize("name", ["sales.csv", "sales.csv.gz", "sales.jsonl", "sales.arrow"])
def test_files_of_any_format_are_fetched_over_http(server: str, tmp_path: Path, name: str) -> None:
    file = tmp_path / "served" / name
    {
        "csv": lambda: table().write_csv(file),
        "gz": lambda: file.write_bytes(gzip.compress(table().write_csv().encode())),
        "jsonl": lambda: table().write_ndjson(file),
        "arrow": lambda: table().write_ipc(file),
    }[name.rpartition(".")[2]]()
    assert rows_of(f"{server}/{name}?signature={CANARY}").equals(rows_of(file))
    with pytest.raises(NotFound) as caught:
        rows_of(f"{server}/none-{name}?token={CANARY}")
    assert CANARY not in json.dumps(caught.value.to_dict())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    table().write_parquet(folder / "sales.parquet")
    tsx.fit(folder / "sales.parquet", model=folder / "model", horizon=2, context_length=4, max_steps=1, hidden_size=2)
    return folder / "model"


def forecasts(model: str | Path) -> pl.DataFrame:
    return tsx.forecast(table(), model=model).table


def test_a_model_behind_http_is_read_with_the_checks_of_one_on_the_disk(
    server: str, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = shutil.copytree(model, tmp_path / "served" / "model")
    place = f"{server}/model"
    assert forecasts(place).equals(forecasts(model))
    monkeypatch.setattr(copies, "_read_last", {})
    weights = served / "versions" / "v1" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DataError, match="not as it was written") as caught:
        forecasts(place)
    assert (caught.value.code, caught.value.where) == ("model-damaged", f"{place}/versions/v1")
    weights.unlink()
    with pytest.raises(DataError, match="is missing"):
        forecasts(place)
    (served / "CURRENT").unlink()
    with pytest.raises(NotFound) as missing:
        forecasts(f"{server.replace('//', f'//anna:{CANARY}@')}/model?token={CANARY}")
    assert missing.value.code == "model-not-found"
    assert CANARY not in json.dumps(missing.value.to_dict())


@pytest.mark.parametrize("asked", [{}, {"label": "y"}, {"update": True}, {"private_epsilon": 5.0}])
def test_no_fit_writes_a_model_to_an_object_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    if "private_epsilon" in asked:
        monkeypatch.setattr("tsx.workflows.fit_private.check_flags", lambda *_: None)
    if "update" in asked:
        monkeypatch.setattr("tsx.store.classifier.is_classifier", lambda _: False)
    with pytest.raises(WriteError, match="is read only"):
        tsx.fit(table(), model=f"s3://bucket/model?token={CANARY}", **asked)
    assert not list(tmp_path.iterdir())


def test_a_model_is_read_with_the_signature_and_password_of_its_place_which_no_redirect_passes_on(
    server: str, tmp_path: Path, model: Path
) -> None:
    shutil.copytree(model, tmp_path / "served" / "model")
    seen: list[tuple[str, str | None]] = []

    class Elsewhere(SimpleHTTPRequestHandler):
        """Sends everybody on to the server."""

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Authorization")))
            self.send_response(302)
            self.send_header("Location", server + self.path)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as before:
        threading.Thread(target=before.serve_forever, daemon=True).start()
        found = forecasts(f"http://anna:{CANARY}@127.0.0.1:{before.server_port}/model/?token={CANARY}")
        before.shutdown()
    assert found.equals(forecasts(model))
    assert seen[0][0] == f"/model/CURRENT?token={CANARY}"
    assert all(key for _, key in seen)
    assert HEADERS
    assert not any(HEADERS)


def test_the_versions_of_a_model_behind_http_are_called_by_its_place(server: str) -> None:
    with pytest.raises(NotFound) as caught:
        list_versions(f"{server}/none?token={CANARY}")
    assert caught.value.where == f"{server}/none"


def test_the_version_that_is_put_in_use_behind_http_is_the_one_that_is_read(
    server: str, tmp_path: Path, model: Path
) -> None:
    served = shutil.copytree(model, tmp_path / "served" / "model")
    before = forecasts(f"{server}/model")
    tsx.fit(table().with_columns(pl.col("y") + 100), model=served, horizon=2, context_length=4, max_steps=1)
    after = forecasts(f"{server}/model")
    assert after.equals(forecasts(served))
    assert not after.equals(before)


def test_parts_are_made_anew_where_a_table_beside_them_behind_http_has_changed(server: str, tmp_path: Path) -> None:
    future = table(62).with_columns(price=pl.col("t") % 3)
    known = table().with_columns(price=pl.col("t") % 3)
    sizes: dict[str, Any] = {"horizon": 2, "context_length": 4, "max_steps": 1, "hidden_size": 2}
    tsx.fit(known, model=tmp_path / "model", id="id", time="t", target="y", future=("price",), **sizes)
    tsx.partition(known, id="id", parts=2, out=tmp_path / "parts")
    reused = []
    for price in (1, 1, 2):
        later = future.filter(pl.col("t") >= 60).with_columns(price=price).drop("y")
        later.write_parquet(tmp_path / "served" / "future.parquet")
        done = tsx.in_parts(
            tsx.forecast,
            tmp_path / "parts",
            out=tmp_path / "out",
            model=tmp_path / "model",
            future_data=f"{server}/future.parquet",
        )
        reused.append(done.reused)
    assert reused == [0, 2, 0]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the system keeps temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_command_asks_once_which_version_is_in_use_and_leaves_no_copy(
    server: str, tmp_path: Path, model: Path, temporary: Path
) -> None:
    shutil.copytree(model, tmp_path / "served" / "model")
    files = ["CURRENT", *(f"versions/v1/{name}" for name in ("manifest.json", "model.safetensors", "card.md"))]
    tsx.partition(table(), id="id", parts=2, out=tmp_path / "parts")
    tsx.in_parts(tsx.forecast, tmp_path / "parts", out=tmp_path / "out", model=f"{server}/model")
    assert [f"/model/{name}" for name in files] == ASKED
    forecasts(f"{server}/model")
    assert ASKED[len(files) :] == ["/model/CURRENT"]
    assert not list(temporary.iterdir())


def test_a_model_that_was_read_half_uploaded_is_read_again(server: str, tmp_path: Path, model: Path) -> None:
    served = shutil.copytree(model, tmp_path / "served" / "model")
    weights = served / "versions" / "v1" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-8])
    with pytest.raises(DataError) as caught:
        forecasts(f"{server}/model")
    assert caught.value.code == "model-damaged"
    weights.write_bytes(whole)
    assert forecasts(f"{server}/model").equals(forecasts(model))


def test_of_the_models_read_one_is_kept_and_no_signature(
    server: str, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_read_last", {})
    for name in ("one", "other"):
        shutil.copytree(model, tmp_path / "served" / name)
        for signature in (CANARY, CANARY[::-1]):
            with copies.here(f"{server}/{name}?sig={signature}"):
                pass
    assert list(copies._read_last) == [f"{server}/other"]
    assert len(ASKED) == 2 * (4 + 1)


def test_without_a_folder_for_temporary_files_a_model_in_a_store_is_a_declared_error(
    server: str, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(model, tmp_path / "served" / "model")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(WriteError) as caught:
        forecasts(f"{server}/model")
    assert caught.value.code == "file-not-writable"


def test_a_manifest_with_a_changed_field_is_called_by_the_place_of_its_model(
    server: str, tmp_path: Path, model: Path
) -> None:
    served = shutil.copytree(model, tmp_path / "served" / "model")
    path = served / "versions" / "v1" / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "history": "long"}))
    (served / "CURRENT").write_bytes(Pointer.to("v1", path.read_bytes()).line())
    with pytest.raises(DataError, match="the manifest was changed") as caught:
        forecasts(f"{server}/model?token={CANARY}")
    assert (caught.value.code, caught.value.where) == ("model-damaged", f"{server}/model")
    assert "tsx-model-" not in json.dumps(caught.value.to_dict())


def test_a_version_that_is_removed_while_it_is_fetched_gives_way_to_the_one_in_use(
    monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    pointers = [f"{name} {'0' * 64}\n".encode() for name in ("v1", "v2")]

    def read(place: str) -> Object:
        name = place.removeprefix("s3://bucket/raced/")
        if name == "CURRENT":
            return Object(pointers.pop(0), None)
        if name.startswith("versions/v1/"):
            raise FileNotFoundError(name)
        return Object(name.encode(), None)

    monkeypatch.setattr(copies, "read_object", read)
    with copies.here("s3://bucket/raced") as folder:
        names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {"CURRENT", *(f"versions/v2/{name}" for name in ("manifest.json", "model.safetensors", "card.md"))}
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("words", [["forecast", "--out", "f.csv"], ["explain"], ["models", "diff"]], ids=" ".join)
def test_a_command_asks_a_store_once_which_version_is_in_use(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = []

    def read(place: str) -> Object:
        name = place.removeprefix("s3://bucket/model/")
        asked.append(name)
        return Object((model / name).read_bytes(), None)

    monkeypatch.setattr(copies, "read_object", read)
    main([*words, "--model", "s3://bucket/model"])
    assert asked.count("CURRENT") == 1


def test_the_files_of_a_model_in_a_store_are_listed_where_they_lie(
    server: str, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = shutil.copytree(model, tmp_path / "served" / "model")
    assert main(["models", "--model", f"{server}/model/?token={CANARY}", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["model"] == f"{server}/model/"
    (version,) = said["versions"]
    assert version["in_use"]
    for name, place in version["files"].items():
        with urlopen(place) as answer:
            assert answer.read() == (served / "versions" / "v1" / name).read_bytes()


def test_no_secret_of_a_place_is_in_the_model_or_in_what_is_said(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tsx.toml").write_text(f'[storage]\naws_secret_access_key = "{CANARY}"\n')
    data = f"{server.replace('//', f'//anna:{CANARY}@')}/sales.parquet?signature={CANARY}"
    sizes = ["--horizon", "2", "--context-length", "4", "--max-steps", "1", "--hidden-size", "2"]
    for words in (
        ["fit", data, *sizes, "--verbose"],
        ["forecast", data, "--out", "f.csv", "--verbose"],
        ["inspect", data, "--verbose"],
        ["inspect", data, "--json"],
        ["fit", data, "--target", "nothing", "--json", "--verbose"],
        ["fit", data.replace("sales", "none"), "--show-values"],
    ):
        main(words)
    said = capfd.readouterr()
    assert "127.0.0.1" in said.out + said.err
    assert CANARY not in said.out + said.err
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "tsx.toml"]
    assert any(path.name == "manifest.json" for path in files)
    assert all(CANARY.encode() not in path.read_bytes() for path in files)


def test_no_secret_of_the_place_of_a_model_is_in_what_is_said(
    server: str, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    served = shutil.copytree(model, tmp_path / "served" / "model")
    table().write_parquet("sales.parquet")
    place = ["--model", f"{server.replace('//', f'//anna:{CANARY}@')}/model?token={CANARY}"]
    fitted_on = (model.parent / "sales.parquet").rename(model.parent / "sales.gone")
    found, expected = [], []
    for words, status in (
        (["forecast"], 4),
        (["classify", "sales.parquet"], 2),
        (["monitor", "sales.parquet"], 4),
        (["explain", "sales.parquet", "--label", "y"], 2),
        (["make-future", "sales.parquet", "--out", "future.csv"], 2),
        (["models", "list"], 0),
        (["models", "diff", "v1", "v9"], 4),
        (["models", "diff", "v1"], 0),
        (["models", "diff"], 4),
        (["models", "rollback"], 74),
        (["models", "prune"], 74),
        (["fit", "sales.parquet", "--update"], 74),
    ):
        found.append((words, main([*words, *place]), main([*words, *place, "--json"])))
        expected.append((words, status, status))
    fitted_on.rename(model.parent / "sales.parquet")
    (served / "CURRENT").write_text("nothing")
    main(["forecast", "sales.parquet", *place])
    main(["models", *place])
    assert CANARY not in "".join(capfd.readouterr())
    assert found == expected


def test_no_secret_of_a_place_that_results_do_not_go_to_is_said_or_made_a_folder(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table().write_parquet("sales.parquet")
    before = set(tmp_path.iterdir())
    place = f"s3://key:{CANARY}@bucket/out"
    for words in (
        ["forecast", "sales.parquet", "--model", str(model), "--out", f"{place}/"],
        ["forecast", "sales.parquet", "--model", str(model), "--out", f"delta:{place}/"],
        ["forecast", "sales.parquet", "--model", str(model), "--out", place],
        ["explain", "sales.parquet", "--model", str(model), "--out", place],
        ["monitor", "sales.parquet", "--model", str(model), "--out", place],
        ["tune", "sales.parquet", "--out", f"{place}.toml"],
    ):
        for how in ([], ["--json"]):
            assert main([*words, *how]) in (2, 74)
    said = "".join(capfd.readouterr())
    assert "bucket/out" in said
    assert CANARY not in said
    assert set(tmp_path.iterdir()) == before


def test_no_secret_of_the_place_of_a_result_is_said_where_it_is_written(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tsx.io.writing.write_table", lambda frame, path: None)
    monkeypatch.setattr("tsx.io.destination.need", lambda package, extra: None)
    table().write_parquet("sales.parquet")
    forecast = ["forecast", "sales.parquet", "--model", str(model), "--json", "--out"]
    assert main([*forecast, f"delta:s3://key:{CANARY}@bucket/out"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out)["out"] == "delta:s3://bucket/out"
    assert CANARY not in said.out + said.err
    assert main([*forecast, "sqlite:///results.db#forecasts"]) == 0
    assert json.loads(capfd.readouterr().out)["out"] == "sqlite:///results.db#forecasts"


def test_several_places_of_stores_are_refused_without_their_secrets() -> None:
    places = [f"https://anna:{CANARY}@host/{name}.csv?sig={CANARY}" for name in "ab"]
    for several in (places, [places[0], "sales.csv"], [f"delta:s3://key:{CANARY}@bucket/a", "sales.csv"]):
        with pytest.raises(TsxError) as caught:
            scan(several)
        assert caught.value.code == "source-unknown"
        assert caught.value.where == f"{place_of(several[0])} and 1 more"
        assert CANARY not in json.dumps(caught.value.to_dict())


def test_the_places_of_errors_hold_no_secrets() -> None:
    place = f"https://anna:{CANARY}@host/model?token={CANARY}"
    for error in (inputs_changed(place), damaged(place, "broken"), damaged(Path(place), "broken")):
        assert error.where == "https://host/model"
        assert CANARY not in json.dumps(error.to_dict())


DATABASES = ["sqlite:///results.db#fore casts", "duckdb:///results.duckdb#forecasts"]


def in_database(out: str) -> pl.DataFrame:
    name = out.partition("#")[2]
    return pl.DataFrame(scan(tsx_query(f'SELECT * FROM "{name}"', out.partition("#")[0])).rows.collect())


def tsx_query(sql: str, connection: str) -> Any:
    from tsx.io.database import Query

    return Query(sql, connection)


@pytest.mark.parametrize("out", DATABASES)
def test_a_database_gets_all_rows_and_a_later_result_replaces_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    pytest.importorskip(out.partition(":")[0].replace("sqlite", "sqlite3"))
    monkeypatch.chdir(tmp_path)
    write_table(table(60), out)
    write_table(table(20), out)
    assert in_database(out).equals(table(20))


@pytest.mark.parametrize("out", DATABASES)
def test_a_table_of_somebody_else_stays_and_so_does_the_old_result_where_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    pytest.importorskip(out.partition(":")[0].replace("sqlite", "sqlite3"))
    monkeypatch.chdir(tmp_path)
    write_table(table(20), out)
    with pytest.raises(WriteError, match="other columns"):
        write_table(table(60).drop("y"), out)
    broken = table(60).with_columns(y=pl.col("y").cast(pl.Int128) * 10**30)
    with pytest.raises(WriteError, match="cannot be written"):
        write_table(broken, out.replace("#", "#new "))
    assert in_database(out).equals(table(20))


def test_a_database_that_another_program_writes_to_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(table(20), "sqlite:///results.db#forecasts")
    monkeypatch.setattr("tsx.io.destination.sqlite3.connect", partial(sqlite3.connect, timeout=0))
    holder = sqlite3.connect("results.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(WriteError) as caught:
        write_table(table(60), "sqlite:///results.db#forecasts")
    assert caught.value.code == "file-not-writable"
    holder.execute("ROLLBACK")
    holder.close()
    assert in_database("sqlite:///results.db#forecasts").height == 60


@pytest.mark.parametrize(
    ("out", "code"),
    [
        ("postgresql://anna:secret@host/db#t", "file-format-unknown"),
        ("sqlite:///results.db", "file-format-unknown"),
        ("s3://bucket/forecast.parquet", "file-format-unknown"),
        ("sqlite:///nowhere/results.db#t", "file-not-writable"),
    ],
)
def test_a_place_that_nothing_is_written_to_is_refused_before_any_work(out: str, code: str) -> None:
    assert is_destination(out)
    with pytest.raises(TsxError) as caught:
        check_destination(out)
    assert caught.value.code == code
    assert "secret" not in json.dumps(caught.value.to_dict())


def test_a_forecast_goes_into_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table().write_parquet("sales.parquet")
    tsx.fit("sales.parquet", horizon=2, context_length=4, max_steps=1, hidden_size=2)
    made = tsx.forecast("sales.parquet", out="sqlite:///results.db#forecasts")
    assert in_database("sqlite:///results.db#forecasts").equals(made.table)


def test_without_its_package_a_table_format_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.io.remote.find_spec", lambda _: None)
    for source, extra in (("delta:sales", "delta"), ("iceberg:sales", "iceberg")):
        with pytest.raises(MissingDependency, match="not installed") as caught:
            scan(source)
        assert f"[{extra}]" in caught.value.hint


@pytest.mark.parametrize("place", ["gcs://bucket/{}", "GCS://bucket/{}", "gs://bucket/{}"])
def test_google_cloud_storage_has_two_names_and_every_library_is_given_the_one_it_knows(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    asked: list[str] = []

    def opened(where: str, *_: Any, **__: Any) -> Any:
        asked.append(where)
        raise FileNotFoundError(where)

    monkeypatch.setattr("tsx.io.remote.find_spec", lambda _: True)
    module, exceptions = ModuleType("obstore.store"), ModuleType("obstore.exceptions")
    module.from_url, exceptions.NotFoundError = opened, FileNotFoundError  # type: ignore[attr-defined]
    for name, fake in (("obstore", module), ("obstore.store", module), ("obstore.exceptions", exceptions)):
        monkeypatch.setitem(sys.modules, name, fake)
    for name in ("scan_parquet", "scan_delta", "scan_iceberg"):
        monkeypatch.setattr(pl, name, opened)
    tables = [place.format(name) for name in ("sales.csv", "sales.parquet", "sales", "v1.metadata.json")]
    for kind, table in zip(("", "", "delta:", "iceberg:"), tables, strict=True):
        with pytest.raises(NotFound) as caught:
            scan(kind + table)
        assert caught.value.where.casefold() == (kind + table).casefold()
    assert asked == ["gs://bucket", *(f"gs://bucket/{name}" for name in ("sales.parquet", "sales", "v1.metadata.json"))]


@pytest.mark.nightly
def test_delta_tables_are_read_and_written_with_their_earlier_versions(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    table(60).write_delta(tmp_path / "sales")
    assert rows_of(str(tmp_path / "sales")).equals(table(60))
    assert rows_of(f"delta:{tmp_path}/sales").equals(table(60))
    out = f"delta:{tmp_path}/forecasts"
    write_table(table(60), out)
    write_table(table(20), out)
    assert rows_of(out).sort("id", "t").equals(table(20))
    assert pl.read_delta(str(tmp_path / "forecasts"), version=0).height == 180
    with pytest.raises(WriteError, match="other columns"):
        write_table(table(20).drop("y"), out)
    assert deltalake.DeltaTable(tmp_path / "forecasts").version() == 1
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(WriteError, match="something else"):
        write_table(table(20), f"delta:{tmp_path}/other")
    with pytest.raises(NotFound):
        rows_of(f"delta:{tmp_path}/none")


@pytest.mark.nightly
def test_iceberg_tables_are_read(tmp_path: Path) -> None:
    catalogs = pytest.importorskip("pyiceberg.catalog")
    pytest.importorskip("sqlalchemy")
    catalog = catalogs.load_catalog("c", type="sql", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}/w")
    catalog.create_namespace("n")
    made = catalog.create_table("n.sales", schema=table().to_arrow().schema)
    made.append(table(20).to_arrow())
    made.append(table(60).to_arrow())
    folder = made.location().removeprefix("file://")
    assert rows_of(folder).height == rows_of(f"iceberg:{folder}").height == 240
    with pytest.raises(NotFound):
        rows_of(f"iceberg:{tmp_path}/none")


@pytest.mark.nightly
@pytest.mark.skipif(PROGRAM is None, reason="moto_server is not installed")
def test_an_object_store_gives_the_rows_of_the_disk_with_keys_of_the_environment_or_the_options(tmp_path: Path) -> None:
    files = {}
    for name in "abc":
        files[f"sales/part-{name}.parquet"] = tmp_path / f"{name}.parquet"
        table().filter(pl.col("id") == name).write_parquet(tmp_path / f"{name}.parquet")
    with s3_server(files) as address:
        with stores_opened_with(options(address, CANARY)):
            assert rows_of("s3://bucket/sales/").equals(table())
            assert rows_of("s3://bucket/sales/*.parquet").equals(table())
            assert rows_of("s3://bucket/sales/part-b.parquet").equals(table().filter(pl.col("id") == "b"))
            with pytest.raises(NotFound) as caught:
                rows_of("s3://bucket/none.parquet")
        assert CANARY not in str(caught.value.to_dict())
        environment = {name.upper(): value for name, value in options(address, CANARY).items()}
        read = "import sys; from tsx.io.source import scan; print(scan(sys.argv[1]).rows.collect().height)"
        done = subprocess.run(
            [sys.executable, "-c", read, "s3://bucket/sales/"],
            env={"PATH": "/usr/bin", "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["180"]


@pytest.mark.nightly
@pytest.mark.skipif(PROGRAM is None, reason="moto_server is not installed")
def test_an_object_store_gives_text_and_models_too(tmp_path: Path, model: Path) -> None:
    pytest.importorskip("obstore")
    write_table(table(), tmp_path / "sales.csv")
    files = {"sales.csv": tmp_path / "sales.csv"}
    files |= {f"models/sales/{path.relative_to(model)}": path for path in model.rglob("*") if path.is_file()}
    with s3_server(files) as address, stores_opened_with(options(address, CANARY)):
        assert rows_of("s3://bucket/sales.csv").equals(rows_of(tmp_path / "sales.csv"))
        assert forecasts("s3://bucket/models/sales").equals(forecasts(model))
        tsx.partition(table(), id="id", parts=2, out=tmp_path / "parts")
        done = tsx.in_parts(tsx.forecast, tmp_path / "parts", out=tmp_path / "out", model="s3://bucket/models/sales")
        assert done.series == 3
        with pytest.raises(NotFound) as caught:
            rows_of("s3://bucket/none.csv")
        assert CANARY not in str(caught.value.to_dict())
        with pytest.raises(NotFound):
            forecasts("s3://bucket/models/none")

"""Inputs and outputs by content, file and http: what is brought, what is refused, and what is said of it."""

import os
import threading
import uuid

import pytest

from harness.client import run, sh, system_logs, task


def stdout_of(document):
    return document["logs"][-1]["logs"][0]["stdout"]


def cat(url, **fields):
    return task(run("cat", "/in/x"), inputs=[{"path": "/in/x", "url": url, **fields}])


def outputs_of(document):
    return {x["url"]: (x["path"], x["size_bytes"]) for x in document["logs"][-1]["outputs"]}


# --- content --------------------------------------------------------------------------------------

@pytest.mark.parametrize("content", ["x", "naïve 日本語 🧬\n", "a\r\nb", "no newline", "\n\n", "'\"`$\\", " "],
                         ids=repr)
def test_content_arrives_exactly(client, folder, content):
    client.run(task("cp /in/x /out/x", inputs=[{"path": "/in/x", "content": content}],
                    outputs=[{"path": "/out/x", "url": f"file://{folder}/x"}]))
    assert (folder / "x").read_bytes() == content.encode()


def test_a_mebibyte_of_content_arrives(client):
    ended = client.run(task("wc -c < /in/x", inputs=[{"path": "/in/x", "content": "x" * (1 << 20)}]))
    assert stdout_of(ended).strip() == str(1 << 20)


def test_content_wins_over_a_url(client):
    ended = client.run(task(run("cat", "/in/x"), inputs=[
        {"path": "/in/x", "url": "http://127.0.0.1:1/nowhere", "content": "the content"}]))
    assert stdout_of(ended) == "the content"


# --- file: inside the allowed roots ---------------------------------------------------------------

@pytest.mark.parametrize("prefix", ["file://", "", "file://localhost"])
def test_a_file_is_brought(client, folder, prefix):
    (folder / "x").write_text("from a file")
    assert stdout_of(client.run(cat(f"{prefix}{folder}/x"))) == "from a file"


@pytest.mark.parametrize("name", ["a b", "ü", "a+b", "a'b", "a#b", "a?b", "a%20b"])
def test_a_file_with_an_odd_name_is_brought(client, folder, name):
    (folder / name).write_text("odd")
    assert stdout_of(client.run(cat(f"{folder}/{name}"))) == "odd"


def test_a_file_of_a_read_only_root_is_brought(client, server):
    (server.readonly / "x").write_text("read only")
    assert stdout_of(client.run(cat(f"file://{server.readonly}/x"))) == "read only"


def test_a_folder_is_brought_with_all_that_it_holds(client, folder):
    for path in ["tree/a", "tree/sub/b", "tree/sub/deep/c"]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    (folder / "tree/empty").mkdir()
    ended = client.run(task(sh("find . | sort", workdir="/in"),
                            inputs=[{"path": "/in", "url": f"file://{folder}/tree/", "type": "DIRECTORY"}]))
    assert stdout_of(ended).split() == [".", "./a", "./empty", "./sub", "./sub/b", "./sub/deep", "./sub/deep/c"]


def test_a_link_inside_the_root_is_followed(client, folder):
    (folder / "target").write_text("linked")
    (folder / "link").symlink_to("target")
    assert stdout_of(client.run(cat(f"file://{folder}/link"))) == "linked"


def test_an_empty_folder_is_had_without_a_source(client):
    ended = client.run(task("ls -A /in/d | wc -l; touch /in/d/x", inputs=[
        {"path": "/in/d", "url": "_:anything", "type": "DIRECTORY"}]))
    assert stdout_of(ended).strip() == "0"


def test_an_input_is_a_copy(client, folder):
    (folder / "x").write_text("original")
    client.run(task("echo changed > /in/x", inputs=[{"path": "/in/x", "url": f"file://{folder}/x"}]))
    assert (folder / "x").read_text() == "original"


# --- file: refused --------------------------------------------------------------------------------

def test_a_file_outside_the_roots_is_refused(client):
    ended = client.run(cat("file:///etc/hostname"), "SYSTEM_ERROR")
    assert "/etc/hostname" in system_logs(ended)


def test_the_refusal_names_the_remedy(client):
    assert "allow-files" in system_logs(client.run(cat("file:///etc/hostname"), "SYSTEM_ERROR"))


@pytest.mark.parametrize("escape", ["/../../../../../../etc/hostname", "/%2e%2e/%2e%2e/%2e%2e/etc/hostname"])
def test_a_url_that_climbs_out_is_refused(client, server, escape):
    answer = client.post(cat(f"file://{server.files}{escape}"))
    # A climbing path may be refused at once, or when the task runs.
    if answer.status_code == 200:
        assert client.wait(answer.json()["id"])["state"] == "SYSTEM_ERROR"
    else:
        assert answer.status_code == 400


@pytest.fixture
def outside(scratch):
    """A secret of the host, beside every root."""
    path = scratch / f"outside-{uuid.uuid4().hex}"
    path.mkdir()
    (path / "secret").write_text(f"secret {uuid.uuid4().hex}")
    return path


def test_a_link_out_of_the_root_is_refused(client, folder, outside):
    (folder / "link").symlink_to(outside / "secret")
    assert "link" in system_logs(client.run(cat(f"file://{folder}/link"), "SYSTEM_ERROR"))


def test_a_linked_folder_out_of_the_root_is_refused(client, folder, outside):
    (folder / "door").symlink_to(outside)
    assert client.run(cat(f"file://{folder}/door/secret"), "SYSTEM_ERROR")["state"] == "SYSTEM_ERROR"


def test_a_link_out_of_the_root_inside_a_folder_brings_nothing(client, folder, outside):
    (folder / "tree").mkdir()
    (folder / "tree" / "link").symlink_to(outside / "secret")
    (folder / "tree" / "file").write_text("file")
    done = client.wait(client.create(task("cat /in/*", inputs=[
        {"path": "/in", "url": f"file://{folder}/tree", "type": "DIRECTORY"}])))
    assert (outside / "secret").read_text() not in str(done)


def test_an_output_is_not_written_outside_the_roots(client, outside):
    ended = client.run(task("echo x > /out/x", outputs=[
        {"path": "/out/x", "url": f"file://{outside}/x"}]), "SYSTEM_ERROR")
    assert (str(outside) in system_logs(ended), (outside / "x").exists()) == (True, False)


def test_an_output_is_not_written_to_a_read_only_root(client, server):
    ended = client.run(task("echo x > /out/x", outputs=[
        {"path": "/out/x", "url": f"file://{server.readonly}/new"}]), "SYSTEM_ERROR")
    assert (str(server.readonly) in system_logs(ended), (server.readonly / "new").exists()) == (True, False)


def test_an_output_does_not_go_through_a_link_out_of_the_root(client, folder, outside):
    (folder / "door").symlink_to(outside)
    client.run(task("echo x > /out/x", outputs=[{"path": "/out/x", "url": f"file://{folder}/door/x"}]), "SYSTEM_ERROR")
    assert not (outside / "x").exists()


@pytest.mark.parametrize("kind", ["missing", "fifo", "folder"])
def test_an_input_that_is_no_file_is_named(client, folder, kind):
    path = folder / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    assert str(path) in system_logs(client.run(cat(f"file://{path}"), "SYSTEM_ERROR"))


def test_a_missing_input_among_several_is_named(client, folder):
    ended = client.run(task("true", inputs=[
        {"path": f"/in/{x}", "url": f"file://{folder}/{x}"} for x in ("one", "two")]), "SYSTEM_ERROR")
    assert f"{folder}/one" in system_logs(ended) or f"{folder}/two" in system_logs(ended)


# --- http -----------------------------------------------------------------------------------------

def test_http_brings_a_file(client, http_files):
    assert stdout_of(client.run(cat(http_files.put("plain", b"from http")))) == "from http"


def test_http_brings_an_empty_file(client, http_files):
    ended = client.run(task("wc -c < /in/x", inputs=[{"path": "/in/x", "url": http_files.put("empty", b"")}]))
    assert stdout_of(ended).strip() == "0"


def test_http_brings_a_big_file_whole(client, folder, http_files):
    body = os.urandom(20_000_000)
    client.run(task("cp /in/x /out/x", inputs=[{"path": "/in/x", "url": http_files.put("big", body)}],
                    outputs=[{"path": "/out/x", "url": f"file://{folder}/x"}]))
    assert (folder / "x").read_bytes() == body


def test_http_follows_a_redirect(client, http_files):
    target = http_files.put("target", b"redirected")
    assert stdout_of(client.run(cat(http_files.put("redirect", redirect=target)))) == "redirected"


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_http_is_tried_again(client, http_files, status):
    url = http_files.put(f"fails-{status}", b"at last", fail=2, status=status)
    assert stdout_of(client.run(cat(url))) == "at last"


def test_http_does_not_take_a_short_body_for_the_whole(client, http_files):
    url = http_files.put("short-once", b"0123456789" * 1000, short=1)
    assert stdout_of(client.run(cat(url))) == "0123456789" * 1000


def test_http_gives_up_on_a_body_that_stays_short(client, http_files):
    url = http_files.put("short", b"0123456789" * 1000, short=1000)
    assert url in system_logs(client.run(cat(url), "SYSTEM_ERROR"))


@pytest.mark.parametrize(("name", "options", "word"), [
    ("absent", None, "404"), ("forbidden", {"fail": 1000, "status": 403}, "403"), ("down", {"fail": 1000}, "503")])
def test_http_says_why_an_input_cannot_be_had(client, http_files, name, options, word):
    url = http_files.put(f"why-{name}", b"x", **options) if options else f"{http_files.url}/why-{name}"
    logs = system_logs(client.run(cat(url), "SYSTEM_ERROR"))
    assert (url in logs, word in logs) == (True, True), logs


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_http_is_not_tried_again_where_that_is_useless(client, http_files, status):
    client.run(cat(http_files.put(f"useless-{status}", b"x", fail=1000, status=status)), "SYSTEM_ERROR")
    assert http_files.gets(f"useless-{status}") == 1


def test_an_unreachable_host_is_named(client):
    assert "http://127.0.0.1:1/x" in system_logs(client.run(cat("http://127.0.0.1:1/x"), "SYSTEM_ERROR"))


def test_several_inputs_are_brought_at_once(client, http_files):
    together = threading.Barrier(4)
    urls = [http_files.put(f"parallel-{x}", b"x", together=together) for x in range(4)]
    client.run(task("true", inputs=[{"path": f"/in/{n}", "url": url} for n, url in enumerate(urls)]))


def test_an_http_output_is_refused_when_the_task_runs(client, http_files):
    url = f"{http_files.url}/upload"
    ended = client.run(task("echo x > /out/x", outputs=[{"path": "/out/x", "url": url}]), "SYSTEM_ERROR")
    assert url in system_logs(ended)


def test_nothing_runs_when_an_input_is_missing(client, folder):
    ended = client.run(cat(f"file://{folder}/missing"), "SYSTEM_ERROR")
    assert ended["logs"][-1]["logs"] == []

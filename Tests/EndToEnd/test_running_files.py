"""Standard streams, volumes and the mount plan: which files an executor sees, and what comes back."""

import pytest

from harness.client import run, sh, system_logs, task


def executor_logs(document):
    return document["logs"][-1]["logs"]


def into(folder, path, name="out", **fields):
    return {"path": path, "url": f"file://{folder}/{name}", **fields}


# --- Standard streams -----------------------------------------------------------------------------

def test_stdout_and_stderr_are_kept_apart(client):
    log = client.run_sh("echo out; echo err >&2; echo out")
    assert (log["stdout"], log["stderr"]) == ("out\nout\n", "err\n")


def test_stdin_comes_from_an_input(client):
    ended = client.run(task(run("cat", stdin="/in/x"), inputs=[{"path": "/in/x", "content": "given"}]))
    assert executor_logs(ended)[0]["stdout"] == "given"


def test_stdin_may_be_a_file_of_the_image(client):
    assert client.run_sh("cat", stdin="/etc/image-file")["stdout"] == "this file belongs to the image\n"


def test_stdin_may_be_a_device(client):
    assert client.run_sh("head -c 3 | wc -c", stdin="/dev/zero")["stdout"].strip() == "3"


def test_stdin_is_empty_otherwise(client):
    assert client.run_sh("cat; echo ended")["stdout"] == "ended\n"


def test_a_missing_stdin_is_named(client):
    document = client.wait(client.create(task(run("cat", stdin="/no/such/file"))))
    assert document["state"] in ("EXECUTOR_ERROR", "SYSTEM_ERROR")
    assert "/no/such/file" in executor_text(document)


def executor_text(document):
    return system_logs(document) + "".join(x.get("stderr", "") for x in executor_logs(document))


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("path", ["/work/new/folder/file", "/tmp/file", "/root/file", "/etc/file", "/file"])
def test_a_redirect_ends_up_in_its_file(client, folder, stream, path):
    redirect = {"stdout": "echo text", "stderr": "echo text >&2"}[stream]
    client.run(task(sh(redirect, **{stream: path}), outputs=[into(folder, path)]))
    assert (folder / "out").read_text() == "text\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_redirected_stream_is_in_the_log_too(client, stream):
    script = {"stdout": "echo text", "stderr": "echo text >&2"}[stream]
    assert client.run_sh(script, **{stream: "/work/file"})[stream] == "text\n"


def test_both_streams_may_go_to_one_file(client, folder):
    client.run(task(sh("echo out; echo err >&2", stdout="/w/both", stderr="/w/both"),
                    outputs=[into(folder, "/w/both")]))
    assert sorted((folder / "out").read_text().split()) == ["err", "out"]


def test_a_redirect_is_whole_however_big(client, folder):
    client.run(task(sh("head -c 20000000 /dev/zero", stdout="/w/big"), outputs=[into(folder, "/w/big")]))
    assert (folder / "out").stat().st_size == 20_000_000


def test_the_next_executor_reads_a_redirect_of_the_last(client):
    ended = client.run(task(sh("echo passed on", stdout="/w/file"), run("cat", stdin="/w/file")))
    assert executor_logs(ended)[1]["stdout"] == "passed on\n"


# --- Captured output ------------------------------------------------------------------------------

def test_invalid_utf8_is_repaired(client):
    assert client.run_sh(r"printf 'a\377b\000c'")["stdout"] == "a\ufffdb\ufffdc"


def test_binary_output_does_not_hurt(client):
    assert client.run_sh("head -c 100000 /dev/urandom; cat /bin/busybox >&2")["exit_code"] == 0


def test_unicode_output_survives(client):
    assert client.run_sh("printf 'naïve 日本語 🧬'")["stdout"] == "naïve 日本語 🧬"


@pytest.mark.parametrize("redirect", [{}, {"stdout": "/w/file"}], ids=["captured", "redirected"])
def test_huge_output_keeps_its_head(client, redirect):
    assert client.run_sh("seq 1 300000", **redirect)["stdout"].startswith("1\n2\n3\n")


@pytest.mark.parametrize("redirect", [{}, {"stdout": "/w/file"}], ids=["captured", "redirected"])
def test_huge_output_keeps_its_tail(client, redirect):
    assert client.run_sh("seq 1 300000", **redirect)["stdout"].endswith("\n299999\n300000\n")


def test_huge_output_is_cut(client):
    # 16 KiB by default, and the words that stand where something was left out.
    assert 8 << 10 <= len(client.run_sh("seq 1 300000")["stdout"].encode()) <= 17 << 10


def test_a_cut_does_not_break_a_character(client):
    assert "\ufffd" not in client.run_sh("yes '日本語x' | head -n 20000")["stdout"]


def test_what_was_printed_before_a_kill_survives(client):
    ended = client.run(task("echo last words; kill -9 $$"), "EXECUTOR_ERROR")
    assert executor_logs(ended)[0]["stdout"] == "last words\n"


# --- Volumes and /tmp -----------------------------------------------------------------------------

@pytest.mark.parametrize("volume", ["/vol", "/vol/", "/a/deep/one", "/root", "/opt", "/home/user", "/tmp", "/tmp/x"])
def test_a_volume_is_shared(client, volume):
    path = volume.rstrip("/") + "/file"
    ended = client.run(task(f"echo shared > {path}", f"cat {path}", volumes=[volume]))
    assert executor_logs(ended)[1]["stdout"] == "shared\n"


def test_a_volume_starts_empty(client):
    assert executor_logs(client.run(task("ls -A /vol", volumes=["/vol"])))[0].get("stdout", "") == ""


def test_volumes_of_two_tasks_are_not_the_same(client):
    client.run(task("echo mine > /vol/file", volumes=["/vol"]))
    assert executor_logs(client.run(task("ls -A /vol", volumes=["/vol"])))[0].get("stdout", "") == ""


def test_tmp_is_shared_where_the_task_names_a_path_in_it(client):
    ended = client.run(task(sh("echo x > /tmp/other", stdout="/tmp/log"), "cat /tmp/other"))
    assert executor_logs(ended)[1]["stdout"] == "x\n"


@pytest.mark.parametrize("fields", [{}, {"volumes": ["/tmp"]}], ids=["of the image", "named"])
def test_tmp_is_fresh_and_writable_for_each_task(client, fields):
    for _ in range(2):
        client.run(task("mkdir /tmp/conda && test \"$(ls /tmp)\" = conda", **fields))


# --- The image's own folders ----------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/root/out.txt", "/etc/x", "/usr/share/deep/x", "/out.txt", "/bin/x"])
def test_an_output_in_a_folder_of_the_image_comes_back(client, folder, path):
    client.run(task(f"mkdir -p {path.rsplit('/', 1)[0] or '/'}; echo carried > {path}", outputs=[into(folder, path)]))
    assert (folder / "out").read_text() == "carried\n"


@pytest.mark.parametrize("path", ["/root/out.txt", "/etc/x", "/out.txt"])
def test_a_file_in_a_folder_of_the_image_reaches_the_next_executor(client, folder, path):
    ended = client.run(task(f"echo carried > {path}", f"cat {path}; echo more >> {path}", outputs=[into(folder, path)]))
    assert (executor_logs(ended)[1]["stdout"], (folder / "out").read_text()) == ("carried\n", "carried\nmore\n")


def test_an_output_hides_no_file_of_the_image(client, folder):
    ended = client.run(task("echo x > /etc/x; cat /etc/image-file", outputs=[into(folder, "/etc/x")]))
    assert executor_logs(ended)[0]["stdout"] == "this file belongs to the image\n"


def test_an_input_hides_no_file_of_the_image(client):
    ended = client.run(task("cat /etc/image-file", inputs=[{"path": "/etc/given", "content": "x"}]))
    assert executor_logs(ended)[0]["stdout"] == "this file belongs to the image\n"


def test_an_input_in_a_folder_of_the_image_is_there(client):
    ended = client.run(task("cat /etc/given", inputs=[{"path": "/etc/given", "content": "given"}]))
    assert executor_logs(ended)[0]["stdout"] == "given"


def test_a_pattern_in_a_folder_of_the_image_is_carried(client, folder):
    client.run(task("echo a > /root/a.txt; echo b > /root/b.log", outputs=[
        into(folder, "/root/*.txt", path_prefix="/root")]))
    assert [x.name for x in (folder / "out").iterdir()] == ["a.txt"]


# --- Inputs and outputs in one place --------------------------------------------------------------

def test_inputs_and_outputs_may_share_a_folder(client, folder):
    # Nextflow does all of its work in one directory.
    client.run(task(sh("cat in.txt > out.txt", workdir="/work"), inputs=[{"path": "/work/in.txt", "content": "x"}],
                    outputs=[into(folder, "/work/out.txt")]))
    assert (folder / "out").read_text() == "x"


def test_an_input_may_be_an_output_too(client, folder):
    client.run(task("printf more >> /work/file", inputs=[{"path": "/work/file", "content": "some "}],
                    outputs=[into(folder, "/work/file")]))
    assert (folder / "out").read_text() == "some more"


def test_an_input_may_lie_inside_an_output_folder(client, folder):
    client.run(task("printf made > /work/made", inputs=[{"path": "/work/given", "content": "x"}],
                    outputs=[into(folder, "/work", type="DIRECTORY")]))
    assert sorted(x.name for x in (folder / "out").iterdir()) == ["given", "made"]


def test_a_file_output_may_lie_inside_an_output_folder(client, folder):
    client.run(task("echo x > /work/x", outputs=[
        into(folder, "/work", type="DIRECTORY"), into(folder, "/work/x", "one")]))
    assert (folder / "out" / "x").read_text() == (folder / "one").read_text() == "x\n"


def test_the_same_input_twice_is_one(client):
    given = {"path": "/in/x", "content": "once"}
    assert executor_logs(client.run(task("cat /in/x", inputs=[given, given])))[0]["stdout"] == "once"


def test_an_input_inside_an_input_folder_is_there(client, server, folder):
    (folder / "tree").mkdir()
    (folder / "tree" / "a").write_text("a")
    ended = client.run(task("cat /in/a /in/sub/b", inputs=[
        {"path": "/in", "url": f"file://{folder}/tree", "type": "DIRECTORY"}, {"path": "/in/sub/b", "content": "b"}]))
    assert executor_logs(ended)[0]["stdout"] == "ab"


def test_outputs_come_back_after_a_failure(client, folder):
    client.run(task("echo rc > /work/rc; exit 9", outputs=[into(folder, "/work/rc")]), "EXECUTOR_ERROR")
    assert (folder / "out").read_text() == "rc\n"


def test_redirects_come_back_after_a_missing_program(client, folder):
    client.run(task(sh("echo before; no-such-program; exit 127", stdout="/w/o"), outputs=[into(folder, "/w/o")]),
               "EXECUTOR_ERROR")
    assert (folder / "out").read_text() == "before\n"

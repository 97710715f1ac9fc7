"""The contract of backends (Tests/BackendTests) by HTTP: what a task is promised wherever it runs.

A marker `case` names the promise that a test holds the cluster to; some are in the other files. ClusterContractTests in Tests/BackendTests
fails where a promise is neither marked nor in NOT_HERE. One difference is listed in docs/reference/outcomes.md: after an executor that ran out of memory nothing more runs here, whatever its
own exit code was, and outputs are not uploaded.
"""

import uuid

import pytest

from harness.client import system_logs

NOT_HERE = {
    "a task that needs more than there is ends at once":
        "a cluster's size is known only where resources.largest_node says it; then the API answers 400 (TaskRequirementsTests)",
    "an image that cannot be had is SYSTEM_ERROR with its name, and nothing runs":
        "the kubelet fetches an image when its executor's turn comes: test_an_image_of_a_later_executor_that_cannot_be_had",
    "what attempts of nobody left behind is removed at the start":
        "a Job without a row is left alone for ten minutes (ControllerTests); nothing else is left behind by a controller",
    "a shim that cannot write its result names a full disk":
        "the disk of a node is the kubelet's to watch, which evicts the Pod: test_more_than_the_disk_ends_the_task",
}
"""Promises that are not tried on a cluster, with the reason."""


def logs(document):
    return document["logs"][-1]["logs"]


@pytest.fixture
def run(client, images):
    """Runs scripts as executors; an executor that is a dictionary overrides."""
    def go(*executors, state="COMPLETE", **fields):
        made = [{"image": images.executor, "command": ["/bin/sh", "-c", x]} if isinstance(x, str)
                else {"image": images.executor, **x} for x in executors]
        return client.run({"executors": made, **fields}, state)
    return go


@pytest.fixture
def out(services):
    """A prefix of S3 URLs, and what lies below it."""
    class Out:
        prefix = "contract/" + uuid.uuid4().hex[:8]

        def url(self, name):
            return f"s3://bucket/{self.prefix}/{name}"

        def __getitem__(self, name):
            found = services.object(f"{self.prefix}/{name}")
            return None if found is None else found.decode()
    return Out()


# --- Programs -------------------------------------------------------------------------------------

@pytest.mark.case("a task that succeeds is COMPLETE and says where and when it ran")
@pytest.mark.case("an attempt says which image ran")
def test_a_task_that_succeeds_says_where_and_when_it_ran(run):
    done = run("exit 0")
    log, executor = done["logs"][0], logs(done)[0]
    assert len(done["logs"]) == 1 and executor["exit_code"] == 0 and not log.get("system_logs")
    assert done["creation_time"] <= log["start_time"] <= executor["start_time"] <= executor["end_time"] <= log["end_time"]
    metadata = log["metadata"]
    assert metadata["backend"] == "kubernetes" and metadata["pod"].startswith("poiesis-" + done["id"])
    assert float(metadata["cpu_seconds"]) >= 0 and int(metadata["peak_memory_bytes"]) > 0
    assert metadata[f"image_digest[{done['executors'][0]['image']}]"].startswith("sha256:")


@pytest.mark.case("a program's exit code is the executor's")
def test_exit_codes_of_many_executors_are_theirs(run):
    # In one Pod, each ignored: the last decides.
    codes = [1, 2, 42, 125, 126, 127, 128, 255]
    done = run(*[{"command": ["/bin/sh", "-c", f"exit {code}"], "ignore_error": code != 255} for code in codes], state="EXECUTOR_ERROR")
    assert [x["exit_code"] for x in logs(done)] == codes
    assert f"executor {len(codes) - 1} ended with exit code 255" in system_logs(done)


@pytest.mark.case("death by a signal is 128 and its number")
def test_death_by_a_signal_is_128_and_its_number(run):
    numbers = [15, 9, 11]
    done = run(*[{"command": ["/bin/sh", "-c", f"kill -{n} $$"], "ignore_error": True} for n in numbers], "kill -6 $$", state="EXECUTOR_ERROR")
    assert [x["exit_code"] for x in logs(done)] == [128 + n for n in [*numbers, 6]]
    assert "signal 6" in system_logs(done)


@pytest.mark.case("signals from inside a container are its program's own business")
def test_signals_from_inside_a_container_are_its_program_s_own_business(run):
    done = run("trap : TERM INT USR1 WINCH; for s in TERM INT USR1 WINCH; do kill -$s 1; done; sleep 1; exit 3", state="EXECUTOR_ERROR")
    assert [x["exit_code"] for x in logs(done)] == [3]


@pytest.mark.case("a result beside the shim's own trouble is not the shim's")
def test_a_result_beside_the_shim_s_own_trouble_is_not_the_shim_s(run):
    fields = "exit-code 1\\n0\\nstart 1\\n1\\nend 1\\n1\\ncpu 1\\n0\\npeak-memory 1\\n0\\n"
    run(f"cd /.poiesis/exec-0 && mkdir -p result.new/x && printf '{fields}' > result", state="SYSTEM_ERROR")


@pytest.mark.case("a missing program is 127, one that cannot be executed 126, both with the reason")
def test_a_missing_program_is_127_and_one_that_cannot_be_executed_126(run):
    programs = [("no-such-program", 127), ("/no/such", 127), ("/etc/passwd", 126), ("/etc", 126)]
    done = run(*[{"command": [program, "x"], "ignore_error": True} for program, _ in programs], {"command": ["missing"]}, state="EXECUTOR_ERROR")
    assert [x["exit_code"] for x in logs(done)] == [code for _, code in programs] + [127]
    assert "missing is not in the PATH" in system_logs(done)
    done = run({"command": ["/etc/passwd"]}, state="EXECUTOR_ERROR")
    assert "/etc/passwd is not executable" in system_logs(done)


@pytest.mark.case("arguments arrive exactly, by no shell")
def test_arguments_arrive_exactly_by_no_shell(run):
    # $(…) and $$ are what a Pod's own command would expand.
    arguments = ["", " a  b ", "$HOME", "$(POD_UID)", "$$(x)", "`x`", "*", "\"'\\", "é漢😀", "-n", "two\nlines", "x" * 5000]
    done = run({"command": ["/bin/sh", "-c", "printf '[%s]' \"$@\"", "name", *arguments]})
    assert logs(done)[0]["stdout"] == "".join(f"[{x}]" for x in arguments)


def test_arguments_and_contents_may_be_large(run):
    content = "x" * 130_000
    done = run({"command": ["/bin/sh", "-c", "echo ${#1}; wc -c < /in/large", "name", "y" * 100_000]},
               inputs=[{"content": content, "path": "/in/large"}])
    assert logs(done)[0]["stdout"] == "100000\n130000\n"


@pytest.mark.case("environment and working directory are the task's")
def test_environment_and_working_directory_are_the_task_s(run):
    done = run({"command": ["/bin/sh", "-c", "printf '%s|' \"$ONE\" \"$EMPTY\" \"$TEXT\"; pwd"], "workdir": "/task-dir/new/deep",
                "env": {"ONE": "1 = one $(x)", "EMPTY": "", "TEXT": "a\nb"}}, volumes=["/task-dir"])
    assert logs(done)[0]["stdout"] == "1 = one $(x)||a\nb|/task-dir/new/deep\n"


@pytest.mark.case("what a program leaves in the background does not hold the task")
def test_what_a_program_leaves_in_the_background_does_not_hold_the_task(run):
    assert logs(run("sleep 1000 & echo done"))[0]["stdout"] == "done\n"


# --- Streams --------------------------------------------------------------------------------------

@pytest.mark.case("stdout and stderr are kept apart")
@pytest.mark.case("output of exactly the limit is whole, one byte more is cut")
def test_streams_are_kept_apart_and_whole_up_to_their_limit(run):
    limit = 16 * 1024
    sizes = [limit // 2, limit // 2 + 1, limit, limit + 1]
    done = run(*[f"head -c {size} /dev/zero | tr '\\0' x" for size in sizes], "echo out; echo err >&2; printf end")
    for size, log in zip(sizes, logs(done)):
        assert log["stdout"].count("x") == min(size, limit) and ("left out" in log["stdout"]) == (size > limit), size
    assert (logs(done)[-1]["stdout"], logs(done)[-1]["stderr"]) == ("out\nend", "err\n")


@pytest.mark.case("of long output head and tail are kept")
def test_of_long_output_head_and_tail_are_kept(run):
    done = run("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo short >&2")
    stdout = logs(done)[0]["stdout"]
    assert stdout.startswith("line 0\nline 1\n") and stdout.endswith("line 19998\nline 19999\n") and "bytes were left out" in stdout
    assert len(stdout) < 17_000 and logs(done)[0]["stderr"] == "short\n"


@pytest.mark.case("binary output is repaired and the task still ends")
def test_binary_output_is_repaired(run):
    assert logs(run(r"printf '\377\000abc\303'"))[0]["stdout"] == "\ufffd\ufffdabc\ufffd"


@pytest.mark.case("redirects are files, and head and tail are cut from them")
def test_redirects_are_files_and_head_and_tail_are_cut_from_them(run, out):
    done = run({"command": ["/bin/sh", "-c", "cat; echo err >&2"], "stdin": "/task-in/text", "stdout": "/task-out/deep/o",
                "stderr": "/task-out/e"}, inputs=[{"path": "/task-in/text", "content": "from a file\n"}],
               outputs=[{"url": out.url("o"), "path": "/task-out/deep/o"}, {"url": out.url("e"), "path": "/task-out/e"}])
    assert (out["o"], out["e"]) == ("from a file\n", "err\n")
    assert (logs(done)[0]["stdout"], logs(done)[0]["stderr"]) == ("from a file\n", "err\n")


@pytest.mark.case("both streams may go to one file")
def test_both_streams_may_go_to_one_file(run, out):
    run({"command": ["/bin/sh", "-c", "echo one; echo two >&2; echo three"], "stdout": "/d/both", "stderr": "/d/both"},
        outputs=[{"url": out.url("both"), "path": "/d/both"}])
    assert out["both"] == "one\ntwo\nthree\n"


@pytest.mark.case("a missing stdin file is 126 with the reason")
def test_a_missing_stdin_file_is_126(run):
    done = run({"command": ["cat"], "stdin": "/task-dir/nothing"}, volumes=["/task-dir"], state="EXECUTOR_ERROR")
    assert logs(done)[0]["exit_code"] == 126 and "stdin" in system_logs(done)


# --- Order and files ------------------------------------------------------------------------------

@pytest.mark.case("executors run strictly in order and see the same files")
def test_executors_run_in_order_and_see_the_same_files(run):
    done = run(*[f"cat /d/log 2>/dev/null; echo {x} >> /d/log" for x in "abc"], volumes=["/d"])
    assert [x["stdout"] for x in logs(done)] == ["", "a\n", "a\nb\n"]
    assert all(one["end_time"] <= two["start_time"] for one, two in zip(logs(done), logs(done)[1:]))


@pytest.mark.case("after a failure nothing more runs")
def test_after_a_failure_nothing_more_runs(run, out):
    done = run("true", "exit 7", "echo ran > /d/ran", outputs=[{"url": out.url("ran"), "path": "/d/ran"}], state="EXECUTOR_ERROR")
    assert [x["exit_code"] for x in logs(done)] == [0, 7] and out["ran"] is None


@pytest.mark.case("an ignored error is recorded and the task goes on")
def test_an_ignored_error_is_recorded_and_the_task_goes_on(run):
    done = run({"command": ["/bin/sh", "-c", "exit 3"], "ignore_error": True}, "echo went on; exit 4", "true", state="EXECUTOR_ERROR")
    assert [x["exit_code"] for x in logs(done)] == [3, 4] and logs(done)[1]["stdout"] == "went on\n"
    assert [x["exit_code"] for x in logs(run({"command": ["/bin/sh", "-c", "exit 3"], "ignore_error": True}, "true"))] == [3, 0]


@pytest.mark.case("outputs are uploaded with their sizes, after a failure too")
def test_outputs_are_uploaded_with_their_sizes_after_a_failure_too(run, out):
    done = run("printf 12345 > /out/a; mkdir -p /tree/x; echo t > /tree/x/t; exit 1", state="EXECUTOR_ERROR", outputs=[
        {"url": out.url("a"), "path": "/out/a"}, {"url": out.url("tree"), "path": "/tree", "type": "DIRECTORY"},
        {"url": out.url("none"), "path": "/out/none"}])
    assert (out["a"], out["tree/x/t"]) == ("12345", "t\n")
    assert [(x["path"], x["size_bytes"]) for x in done["logs"][0]["outputs"]] == [("/out/a", "5"), ("/tree/x/t", "2")]
    assert "output 2 (/out/none) does not exist and was not uploaded" in system_logs(done)


@pytest.mark.case("a missing output leaves the state")
def test_a_missing_output_leaves_the_state(run, out):
    assert len(run("true", outputs=[{"url": out.url("none"), "path": "/d/none"}])["logs"][0]["system_logs"]) == 1


@pytest.mark.case("a missing output fails where that is configured")
def test_a_missing_output_fails_where_that_is_configured(second, sh, out):
    fields = {"outputs": [{"url": out.url("none"), "path": "/d/none"}]}
    done = second.client.run({"executors": [sh("true")], **fields}, "SYSTEM_ERROR")
    assert [x["exit_code"] for x in logs(done)] == [0]
    second.client.run({"executors": [sh("exit 2")], **fields}, "EXECUTOR_ERROR")


@pytest.mark.case("an input that cannot be had is SYSTEM_ERROR and nothing runs")
def test_an_input_that_cannot_be_had_ends_the_task_and_nothing_runs(run, out):
    done = run("true", inputs=[{"url": out.url("nothing"), "path": "/task-in/x"}], state="SYSTEM_ERROR")
    assert len(done["logs"]) == 1 and logs(done) == [] and done["logs"][0]["system_logs"][-1].startswith("input 0 (")


@pytest.mark.case("an output that cannot be written is SYSTEM_ERROR, but not after a failure")
def test_an_output_that_cannot_be_written_ends_the_task_but_hides_no_failure(run):
    outputs = [{"url": "s3://no-such-bucket/x", "path": "/d/x"}]
    done = run("touch /d/x", outputs=outputs, state="SYSTEM_ERROR")
    assert "could not be uploaded" in done["logs"][0]["system_logs"][-1]
    failed = run("touch /d/x; exit 5", outputs=outputs, state="EXECUTOR_ERROR")
    assert "could not be uploaded" in system_logs(failed)


@pytest.mark.case("files in the image's own folders are carried, and the image's stay visible")
def test_files_in_the_image_s_own_folders_are_carried(run, out):
    done = run("echo one > /root/out.txt; ls /bin/sh", "cat /root/out.txt; echo two >> /root/out.txt; cat /etc/in.conf",
               inputs=[{"path": "/etc/in.conf", "content": "conf\n"}], outputs=[{"url": out.url("o"), "path": "/root/out.txt"}])
    assert [x["stdout"] for x in logs(done)] == ["/bin/sh\n", "one\nconf\n"] and out["o"] == "one\ntwo\n"


@pytest.mark.case("a program's own failure wins over files that could not be carried")
def test_a_program_s_own_failure_wins_over_files_that_could_not_be_carried(run, out):
    script = "mkdir -p /.poiesis/carry/root/out.txt/x; echo x > /root/out.txt"
    outputs = [{"url": out.url("o"), "path": "/root/out.txt"}]
    failed = run(script + "; exit 3", outputs=outputs, state="EXECUTOR_ERROR")
    assert [x["exit_code"] for x in logs(failed)] == [3] and "could not be copied out of the container" in system_logs(failed)
    run(script, outputs=outputs, state="SYSTEM_ERROR")


@pytest.mark.case("a mount's source that was replaced by a link is never mounted")
def test_a_link_in_place_of_a_mount_shows_nothing_of_the_node(run):
    """The kubelet resolves a subPath inside the volume alone."""
    replace = "mv /.poiesis/carry/two /.poiesis/carry/old; ln -s / /.poiesis/carry/two"
    done = run(replace, "ls /two", state="SYSTEM_ERROR", volumes=["/two"], outputs=[{"url": "s3://bucket/none", "path": "/out.txt"}])
    assert [x["exit_code"] for x in logs(done)] == [0]


@pytest.mark.case("the control folder shows an executor nothing but its own")
def test_the_control_folder_shows_an_executor_nothing_but_its_own(run):
    done = run("true", "ls /.poiesis; touch /.poiesis/bin/x; echo $?")
    assert logs(done)[1]["stdout"].startswith("bin\nexec-1\n") and not logs(done)[1]["stdout"].endswith("\n0\n")


@pytest.mark.case("paths of the task are fresh and writable for any user")
def test_paths_of_the_task_are_fresh_and_writable_for_any_user(run):
    # Of two empty folders `ls` prints the names alone.
    script = "ls -A /tmp /d | grep -c .; for d in /tmp /d; do stat -c %a $d | grep -o '7$'; done; mkdir /tmp/conda && echo made"
    done = run(script, volumes=["/tmp", "/d"])
    assert logs(done)[0]["stdout"] == "2\n7\n7\nmade\n"

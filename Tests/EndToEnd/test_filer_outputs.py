"""Outputs: patterns, folders, links and other traps, and the log of what was uploaded."""

import pytest

from harness.client import sh, system_logs, task


def into(folder, path, **fields):
    return {"path": path, "url": f"file://{folder}/out", **fields}


def tree(folder):
    """Relative paths of all files."""
    return sorted(str(x.relative_to(folder)) for x in folder.rglob("*") if x.is_file()) if folder.exists() else []


def outputs_of(document):
    return sorted((x["url"], x["path"], x["size_bytes"]) for x in document["logs"][-1]["outputs"])


# --- The log of outputs ---------------------------------------------------------------------------

@pytest.mark.parametrize("size", [0, 1, 7, 5_000_000])
def test_the_size_of_an_output_is_logged(client, folder, size):
    ended = client.run(task(f"head -c {size} /dev/zero > /o/x", outputs=[into(folder, "/o/x")]))
    assert outputs_of(ended) == [(f"file://{folder}/out", "/o/x", str(size))]


def test_a_folder_is_logged_file_by_file(client, folder):
    ended = client.run(task("mkdir -p /o/d; echo 1 > /o/a; echo 123 > /o/d/b", outputs=[
        into(folder, "/o", type="DIRECTORY")]))
    assert outputs_of(ended) == [(f"file://{folder}/out/a", "/o/a", "2"), (f"file://{folder}/out/d/b", "/o/d/b", "4")]


def test_a_pattern_is_logged_file_by_file(client, folder):
    ended = client.run(task("echo 1 > /o/a.txt; echo 12 > /o/b.txt; echo > /o/c", outputs=[
        into(folder, "/o/*.txt", path_prefix="/o")]))
    assert outputs_of(ended) == [(f"file://{folder}/out/a.txt", "/o/a.txt", "2"),
                                 (f"file://{folder}/out/b.txt", "/o/b.txt", "3")]


def test_outputs_of_a_failed_task_are_logged(client, folder):
    ended = client.run(task("echo 1 > /o/a; exit 1", outputs=[into(folder, "/o/a")]), "EXECUTOR_ERROR")
    assert outputs_of(ended) == [(f"file://{folder}/out", "/o/a", "2")]


# --- Files and folders ----------------------------------------------------------------------------

def test_an_output_replaces_what_was_there(client, folder):
    (folder / "out").write_text("old and longer than the new one")
    client.run(task("echo new > /o/x", outputs=[into(folder, "/o/x")]))
    assert (folder / "out").read_text() == "new\n"


def test_missing_folders_of_the_target_are_made(client, folder):
    client.run(task("echo x > /o/x", outputs=[{"path": "/o/x", "url": f"file://{folder}/a/b/c"}]))
    assert (folder / "a/b/c").read_text() == "x\n"


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_comes_back_with_all_that_it_holds(client, folder, slash):
    output = {"path": f"/o{slash}", "url": f"file://{folder}/out{slash}", "type": "DIRECTORY"}
    client.run(task("mkdir -p /o/d/e; echo > /o/a; echo > /o/d/b; echo > /o/d/e/.c; : > /o/empty", outputs=[output]))
    assert tree(folder / "out") == ["a", "d/b", "d/e/.c", "empty"]


def test_empty_folders_survive(client, folder):
    client.run(task("mkdir -p /o/d/empty", outputs=[into(folder, "/o", type="DIRECTORY")]))
    assert (folder / "out/d/empty").is_dir()


def test_a_folder_without_any_file_survives(client, folder):
    client.run(task("true", outputs=[into(folder, "/o", type="DIRECTORY")]))
    assert (folder / "out").is_dir()


@pytest.mark.parametrize("name", ["a b", "ü", "a'b", '"', "\\", "a\nb", "-x", "#", "%41", "*", "x" * 200], ids=repr)
def test_a_file_with_an_odd_name_comes_back(client, folder, name):
    client.run(task(sh('printf x > "/o/$NAME"', env={"NAME": name}), outputs=[into(folder, "/o", type="DIRECTORY")]))
    assert tree(folder / "out") == [name]


@pytest.mark.parametrize("name", ["{a,b}", "[ab]", "{}", "]"])
def test_a_literal_output_without_prefix_is_just_a_name(client, folder, name):
    client.run(task(sh('printf x > "$NAME"', env={"NAME": f"/o/{name}"}), outputs=[into(folder, f"/o/{name}")]))
    assert (folder / "out").read_text() == "x"


def test_an_output_that_is_not_there_is_a_warning(client, folder):
    ended = client.run(task("true", outputs=[into(folder, "/o/missing")]))
    assert "/o/missing" in system_logs(ended)


def test_an_output_that_is_not_there_is_not_logged_as_uploaded(client, folder):
    assert outputs_of(client.run(task("true", outputs=[into(folder, "/o/missing")]))) == []


# --- Patterns -------------------------------------------------------------------------------------

MAKE = ("mkdir -p /o/sub/deep /o/none; cd /o; for x in a.txt b.txt c.log .hidden.txt 'd*.txt' sub/e.txt sub/deep/f.txt "
        "sub/deep/g.log; do echo > \"$x\"; done")
PATTERNS = {
    "/o/*.txt": ["a.txt", "b.txt", "d*.txt"],
    "/o/?.txt": ["a.txt", "b.txt"],
    "/o/[ab].txt": ["a.txt", "b.txt"],
    "/o/[!a].*": ["b.txt", "c.log"],
    "/o/[a-c].*": ["a.txt", "b.txt", "c.log"],
    "/o/[[:alpha:]].log": ["c.log"],
    "/o/d\\*.txt": ["d*.txt"],
    "/o/.*.txt": [".hidden.txt"],
    "/o/*/*.txt": ["sub/e.txt"],
    "/o/*/*/*": ["sub/deep/f.txt", "sub/deep/g.log"],
    "/o/sub/*": ["sub/deep/f.txt", "sub/deep/g.log", "sub/e.txt"],
    "/o/s*b": ["sub/deep/f.txt", "sub/deep/g.log", "sub/e.txt"],
    "/o/**/*.txt": ["a.txt", "b.txt", "d*.txt", "sub/deep/f.txt", "sub/e.txt"],
    "/o/sub/**/*.log": ["sub/deep/g.log"],
    "/o/{a,c}.*": ["a.txt", "c.log"],
    "/o/{a.txt,sub/e.txt}": ["a.txt", "sub/e.txt"],
    "/o/**/*.{log,none}": ["c.log", "sub/deep/g.log"],
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_selects(client, folder, pattern):
    client.run(task(MAKE, outputs=[into(folder, pattern, path_prefix="/o")], volumes=["/o"]))
    assert tree(folder / "out") == PATTERNS[pattern]


@pytest.mark.parametrize(("prefix", "expected"), [("/o/sub", ["deep/f.txt"]), ("/o/sub/", ["deep/f.txt"]),
                                                  ("/o/sub/deep", ["f.txt"]), ("/o", ["sub/deep/f.txt"]),
                                                  ("/", ["o/sub/deep/f.txt"])])
def test_the_prefix_is_cut_off(client, folder, prefix, expected):
    client.run(task(MAKE, outputs=[into(folder, "/o/sub/deep/*.txt", path_prefix=prefix)], volumes=["/o"]))
    assert tree(folder / "out") == expected


def test_a_pattern_that_matches_nothing_is_said(client, folder):
    ended = client.run(task("true", outputs=[into(folder, "/o/*.none", path_prefix="/o")]))
    assert "/o/*.none" in system_logs(ended)


# --- What a hostile task leaves -------------------------------------------------------------------

@pytest.fixture
def secret(scratch, folder):
    """A file of the host that a task must not get hold of."""
    path = scratch / f"secret-{folder.name}"
    path.write_text("a secret of the host")
    return path


def everything(folder):
    return b"".join((folder / x).read_bytes() for x in tree(folder))


@pytest.mark.parametrize("target", ["{secret}", "../../../../../../../../../../..{secret}", "/proc/1/root{secret}"])
@pytest.mark.parametrize("output", [{"path": "/o", "type": "DIRECTORY"}, {"path": "/o/link"},
                                    {"path": "/o/l*", "path_prefix": "/o"}], ids=["folder", "file", "pattern"])
def test_a_link_to_a_file_of_the_host_brings_nothing(client, folder, secret, output, target):
    link = target.format(secret=secret)
    client.wait(client.create(task(f"ln -s {link} /o/link; echo x > /o/x", outputs=[
        into(folder, **output), into(folder, "/o/x") | {"url": f"file://{folder}/x"}])))
    assert b"secret" not in everything(folder)


def test_a_linked_folder_of_the_host_brings_nothing(client, folder, secret):
    client.wait(client.create(task(f"ln -s {secret.parent} /o/link", outputs=[into(folder, "/o", type="DIRECTORY")])))
    assert b"secret" not in everything(folder)


def test_a_link_that_escapes_is_named(client, folder, secret):
    ended = client.wait(client.create(task(f"ln -s {secret} /o/link", outputs=[into(folder, "/o/link")])))
    assert "/o/link" in system_logs(ended)


@pytest.mark.parametrize("target", ["/o/real", "real", "../o/real"])
def test_a_link_inside_the_task_works(client, folder, target):
    client.run(task(f"echo real > /o/real; ln -s {target} /o/link", outputs=[into(folder, "/o/link")]))
    assert (folder / "out").read_text() == "real\n"


@pytest.mark.parametrize("special", ["mkfifo /o/special", "mknod /o/special c 1 5", "ln -s special /o/special",
                                     "ln -s /dev/zero /o/special"], ids=["fifo", "device", "loop", "link to a device"])
def test_a_special_file_does_not_stop_the_others(client, folder, special):
    client.wait(client.create(task(f"echo x > /o/x; {special}", outputs=[into(folder, "/o", type="DIRECTORY")])))
    assert tree(folder / "out") == ["x"]


def test_a_fifo_as_an_output_is_named(client, folder):
    ended = client.wait(client.create(task("mkfifo /o/fifo", outputs=[into(folder, "/o/fifo")])))
    assert "/o/fifo" in system_logs(ended)


def test_a_folder_of_links_in_a_circle_comes_to_an_end(client, folder):
    client.wait(client.create(task("mkdir /o/d; ln -s .. /o/d/up; echo x > /o/d/x",
                                   outputs=[into(folder, "/o", type="DIRECTORY")])))
    assert "d/x" in tree(folder / "out")
